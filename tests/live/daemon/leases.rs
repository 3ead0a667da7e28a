//! Leases: how long a probe lives, and whether its breakpoints are in place meanwhile.

use super::{Daemon, assert_untouched, detach, probe, target, wait_untouched};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use tracer_tests::cli::{RunningTracer, tracer};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// How long a probe lives that is given more time: long enough to be given it.
const SHORT: Duration = Duration::from_secs(2);

fn order(daemon: &Daemon, id: &str, what: &str, body: Option<&Json>) -> (u16, Json) {
    let answer = daemon.ask("POST", &format!("/v1/probes/{id}/{what}"), body).unwrap();
    (answer.status, answer.json().unwrap())
}

fn captured(daemon: &Daemon, id: &str) -> Json {
    probe(daemon, id)["outcomes"]["captured"].clone()
}

/// The lines of a probe that has ended.
fn lines(daemon: &Daemon, id: &str) -> Vec<Json> {
    let path = format!("/v1/probes/{id}/captures");
    daemon.ask("GET", &path, None).unwrap().lines().unwrap()
}

fn tell(daemon: &Daemon, arguments: &[&str], said: &str) {
    let done = daemon.tracer(arguments).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.output().unwrap().contains(said), "{done:?}");
}

/// LEASE-1, SAFE-1
#[test]
fn a_paused_probe_is_out_and_goes_on_where_it_was() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let id = detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    target.go().unwrap();
    for _ in 0..2 {
        tell(&daemon, &["pause", &id], "is paused; the code is as before");
        assert_untouched(&mut target);
    }
    let line = probe(&daemon, &id);
    assert_eq!((&line["state"], &line["text_restored"]), (&"paused".into(), &true.into()));
    assert_eq!(line["outcomes"]["captured"], 10, "what came while it was paused is no hit");
    for _ in 0..2 {
        tell(&daemon, &["resume", &id], "is in place again");
        assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
    }
    target.go().unwrap();
    assert_eq!(captured(&daemon, &id), 20);
    tell(&daemon, &["pause", &id], "is paused");
    tell(&daemon, &["remove", &id], "20 captures");
    assert_untouched(&mut target);

    let lines = lines(&daemon, &id);
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "without a hole");
    let summary = &lines.last().unwrap()["summary"];
    assert_eq!((&summary["hits"], &summary["text_restored"]), (&20.into(), &true.into()));
    assert!(summary["paused_ms"].as_u64().unwrap() > 0, "{summary}");
    for what in ["pause", "resume"] {
        let (status, line) = order(&daemon, &id, what, None);
        assert_eq!((status, &line["error"]["code"]), (409, &"probe_over".into()), "{line}");
    }
}

/// LEASE-1, SITE-3
#[test]
fn what_a_child_has_of_another_probe_is_not_left_by_a_paused_one() {
    let mut target = Target::c("forker", "gcc", &["-O2"]).unwrap().start(&["10"]).unwrap();
    let daemon = Daemon::start().unwrap();
    let [paused, other] = [(); 2].map(|()| detach(&daemon, &target, &["--hits", "0"]));
    assert_eq!(order(&daemon, &paused, "pause", None).0, 200);
    target.go().unwrap();
    for id in [paused, other] {
        tell(&daemon, &["remove", &id], "is out");
        let lines = lines(&daemon, &id);
        let summary = &lines.last().unwrap()["summary"];
        assert_eq!(summary["text_restored"], true, "{summary}");
    }
    wait_untouched(&target);
    target.finish().unwrap();
}

/// LEASE-1, SAFE-4
#[test]
fn a_probe_whose_place_another_tracer_took_stays_paused() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let first = detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    assert_eq!(order(&daemon, &first, "pause", None).0, 200);
    let pid = target.pid().to_string();
    let arguments =
        ["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--no-daemon"];
    let other = RunningTracer::armed(&arguments).unwrap();
    let (status, line) = order(&daemon, &first, "resume", None);
    assert_eq!((status, &line["error"]["code"]), (409, &"already_probed".into()), "{line}");
    assert_eq!(probe(&daemon, &first)["state"], "paused");
    kill_process(Pid::from_raw(other.pid().cast_signed()).unwrap(), Signal::INT).unwrap();
    other.finish().unwrap();
    assert_eq!(order(&daemon, &first, "resume", None).0, 200);
    target.go().unwrap();
    assert_eq!(captured(&daemon, &first), 10);
    tell(&daemon, &["remove", &first], "10 captures");
    assert_untouched(&mut target);
}

/// END-1
#[test]
fn a_paused_probe_expires_and_ends_with_its_process() {
    let target = target();
    let daemon = Daemon::start().unwrap();
    let expires = detach(&daemon, &target, &["--hits", "0", "--rate", "0", "--timeout", "1s"]);
    let (status, _) = order(&daemon, &expires, "pause", None);
    assert!(status == 200 || status == 409, "it may have expired already");
    daemon.wait_until_none_lives().unwrap();
    assert_eq!(probe(&daemon, &expires)["ended"], "timeout");
    let ends = detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    assert_eq!(order(&daemon, &ends, "pause", None).0, 200);
    target.finish().unwrap();
    daemon.wait_until_none_lives().unwrap();
    assert_eq!(probe(&daemon, &ends)["ended"], "process_gone");
}

/// END-1
#[test]
fn a_probe_that_is_given_more_time_lives_longer() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let timeout = format!("{}ms", SHORT.as_millis());
    let start = Instant::now();
    let id = detach(&daemon, &target, &["--hits", "0", "--rate", "0", "--timeout", &timeout]);
    let expires = |line: &Json| line["expires_unix_ms"].as_u64().unwrap();
    let before = expires(&probe(&daemon, &id));
    let (status, line) = order(&daemon, &id, "extend", Some(&json!({ "by_ms": 3_600_000 })));
    assert_eq!((status, expires(&line)), (200, before + 3_600_000), "{line}");
    // Nothing tells that it does not end.
    let placed_by = start.elapsed();
    std::thread::sleep(SHORT + placed_by);
    assert_eq!(probe(&daemon, &id)["state"], "armed");
    assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
    tell(&daemon, &["extend", &id, "22h"], "lives for 1379m");
    let done = daemon.tracer(&["extend", &id, "2h"]).unwrap();
    assert_eq!(done.status.code(), Some(2), "more than a day: {done:?}");
    assert!(done.errors().unwrap().contains("within a day"), "{done:?}");
    tell(&daemon, &["remove", &id], "is out");
    assert_untouched(&mut target);
    let (status, line) = order(&daemon, &id, "extend", Some(&json!({ "by_ms": 1 })));
    assert_eq!((status, &line["error"]["code"]), (409, &"probe_over".into()), "{line}");
}

/// END-1
#[test]
fn a_probe_that_is_not_hit_any_more_ends_where_that_was_asked_for() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let id = detach(&daemon, &target, &["--hits", "0", "--rate", "0", "--idle", "1s"]);
    target.go().unwrap();
    daemon.wait_until_none_lives().unwrap();
    let line = probe(&daemon, &id);
    assert_eq!((&line["ended"], &line["text_restored"]), (&"idle".into(), &true.into()));
    assert_untouched(&mut target);
    alone(&mut target);
}

/// The same without a daemon.
fn alone(target: &mut RunningTarget) {
    let pid = target.pid().to_string();
    let done = tracer(&["snapshot", "-p", &pid, "counted", "--idle", "100ms"]).unwrap();
    assert_eq!(done.status.code(), Some(28), "{done:?}");
    assert!(done.errors().unwrap().contains("waited 100ms"), "{done:?}");
    wait_untouched(target);
    assert_untouched(target);
}
