//! `tracer top`: what probes cost, as a table and as JSON.

use super::{Daemon, assert_untouched, detach, target};
use serde_json::Value as Json;
use std::time::Duration;
use tracer_tests::cli::{Done, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::targets::RunningTarget;

/// Between two rounds of the target's calls.
const PAUSE: Duration = Duration::from_millis(20);

/// A run of `tracer top` during which the target works all the time.
fn top(daemon: &Daemon, target: &mut RunningTarget, arguments: &[&str]) -> Done {
    let arguments = [&["top", "--interval", "500ms"], arguments].concat();
    let mut tracer = RunningTracer::start(&mut daemon.command(&arguments).unwrap()).unwrap();
    while tracer.runs().unwrap() {
        target.go().unwrap();
        // Not so fast that the probe costs more than it may.
        std::thread::sleep(PAUSE);
    }
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    done
}

#[test]
fn what_probes_do_is_shown_once_and_as_json() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let busy = detach(&daemon, &target, &["--hits", "0", "--rate", "5"]);
    let mut other = super::target();
    let quiet = detach(&daemon, &other, &["--hits", "0", "--rate", "0"]);
    daemon.tracer(&["pause", &quiet]).unwrap();

    let done = top(&daemon, &mut target, &["--once", "--json"]);
    let line: Json = serde_json::from_str(done.output().unwrap()).unwrap();
    println!("{line}");
    assert_eq!(line["schema"], "tracer/top/1");
    assert!(line["interval_ms"].as_u64().unwrap() >= 500, "{line}");
    let of = |id: &str| {
        let probes = line["probes"].as_array().unwrap();
        probes.iter().find(|probe| probe["id"] == id).unwrap().clone()
    };
    let (busy_line, quiet_line) = (of(&busy), of(&quiet));
    let figure = |name: &str| busy_line[name].as_f64().unwrap();
    assert!(figure("hits") > 0.0, "{line}");
    let others: f64 =
        busy_line["others"].as_object().unwrap().values().map(|rate| rate.as_f64().unwrap()).sum();
    let sum = figure("captured") + others;
    assert!((figure("hits") - sum).abs() < 1e-6 * figure("hits"), "hits are the sum: {line}");
    assert!(figure("expires_in_ms") > 3_000_000.0, "{line}");
    assert_eq!((&quiet_line["state"], &quiet_line["hits"]), (&"paused".into(), &0.0.into()));
    assert_eq!(quiet_line["pid"], other.pid());

    let done = top(&daemon, &mut target, &["--once"]);
    let table = done.output().unwrap();
    let row = |id: &str| table.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(table.starts_with("ID ") && !table.contains('\x1b'), "{table}");
    assert!(row(&busy).contains(" counted ") && row(&quiet).contains(" paused "), "{table}");
    for id in [busy, quiet] {
        daemon.tracer(&["remove", &id]).unwrap();
    }
    assert_untouched(&mut target);
    assert_untouched(&mut other);
}

#[test]
fn it_draws_on_until_nobody_reads_it() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    let arguments = ["top", "--interval", "10ms"];
    let mut tracer = RunningTracer::start(&mut daemon.command(&arguments).unwrap()).unwrap();
    tracer.close_output();
    assert_eq!(tracer.finish().unwrap().status.code(), Some(0));
    daemon.stop().unwrap();
}
