//! Requests that come at the same time.

use super::{assert_untouched, target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::ScopedJoinHandle;
use tracer_tests::cli::RunningTracer;
use tracer_tests::daemon::Daemon;
use tracer_tests::placed::Placed;
use tracer_tests::privilege::require;
use tracer_tests::targets::Target;
use tracer_tests::text::require_as_in_files;

/// Who ask at once, and how often they do: two that look at a place at once both see no breakpoint.
const CLIENTS: usize = 3;
const ROUNDS: usize = 2;
/// Probes that each of two clients has at one place.
const CHANGES: usize = 20;

/// Each probe counts and captures by itself, and the removal of one leaves the others in place: what is
/// then in the text is their breakpoint, and that is no damage.
///
/// END-1, SAFE-1, SAFE-4
#[test]
fn those_who_ask_for_one_place_at_once_share_it() {
    require().unwrap();
    let program = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let mut target = program.start(&["1", "1"]).unwrap();
    let daemon = Daemon::start().unwrap();
    let mut request = json!({"pid": target.pid(), "location": "counted", "detach": true});
    (request["hits"], request["budget_percent"]) = (0.into(), 10.into());
    for _ in 0..ROUNDS {
        let mut probes: Vec<String> = std::thread::scope(|scope| {
            let ask = || daemon.ask("POST", "/v1/probes", Some(&request)).unwrap();
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
            let answers = clients.into_iter().map(|client| client.join().unwrap());
            let lines = answers.map(|answer| (answer.status, answer.json().unwrap()));
            let id = |(status, line): (u16, Json)| {
                assert_eq!(status, 201, "{line}");
                line["id"].as_str().unwrap().to_owned()
            };
            lines.map(id).collect()
        });
        let mut hits = 0;
        while let Some(removed) = probes.pop() {
            target.go().unwrap();
            hits += 1;
            let path = format!("/v1/probes/{removed}");
            daemon.ask("DELETE", &path, None).unwrap();
            let answer = daemon.ask("GET", &format!("{path}/captures"), None).unwrap();
            let lines = answer.lines().unwrap();
            let summary = &lines.last().unwrap()["summary"];
            assert_eq!(summary["text_restored"], true, "{summary}");
            assert_eq!(summary["outcomes"]["captured"], hits, "{summary}");
            let captures = lines.iter().filter(|line| line["frames"].is_array()).count();
            assert_eq!(captures as u64, hits, "{lines:?}");
            assert_eq!(require_as_in_files(target.pid()).is_ok(), probes.is_empty());
        }
    }
}

/// A breakpoint of someone else's at the place is not touched.
///
/// SAFE-4
#[test]
fn a_place_that_another_tracer_has_is_refused() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let pid = target.pid().to_string();
    let arguments =
        ["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--no-daemon"];
    let other = RunningTracer::armed(&arguments).unwrap();
    let request = json!({"pid": target.pid(), "location": "counted"});
    let refused = Placed::place(&daemon, &request).unwrap().unwrap_err();
    assert_eq!(refused["code"], "already_probed", "{refused}");
    assert!(require_as_in_files(target.pid()).is_err(), "its breakpoint is gone");
    kill_process(Pid::from_raw(other.pid().cast_signed()).unwrap(), Signal::INT).unwrap();
    other.finish().unwrap();
    assert_untouched(&mut target);
}

/// The next probe may be in a place before the last one has looked whether it left the place as it
/// was.
///
/// SAFE-1
#[test]
fn a_place_changes_hands() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let request = json!({"pid": target.pid(), "location": "counted", "hits": 1});
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let place_again_and_again = || {
            let mut placed = 0;
            while placed < CHANGES {
                let Ok(probe) = Placed::place(&daemon, &request).unwrap() else { continue };
                let summary = probe.require_exact(&daemon).unwrap();
                assert_eq!(summary["text_restored"], true, "{summary}");
                placed += 1;
            }
        };
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(place_again_and_again)).collect();
        let work = scope.spawn(|| {
            while !done.load(Relaxed) {
                target.go().unwrap();
            }
        });
        let results: Vec<_> = clients.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Relaxed);
        work.join().unwrap();
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert_untouched(&mut target);
}
