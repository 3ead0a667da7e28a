//! The kernel program's own log: on stderr from the level that was asked for, else not there.

use tracer_common::outcome::Outcome;
use tracer_tests::cli::{self, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::targets::Target;

/// What is said on stderr while a target makes ten calls, three of which are captured.
fn said(arguments: &[&str], log: Option<&str>) -> String {
    require().unwrap();
    let target = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let mut target = target.start(&["2", "5"]).unwrap();
    let pid = target.pid().to_string();
    let common = ["snapshot", "-p", &pid, "counted", "--hits", "3", "--timeout", "60s"];
    let mut command = cli::command(&[common.as_slice(), arguments].concat()).unwrap();
    command.envs(log.map(|filter| ("TRACER_LOG", filter)));
    let mut tracer = RunningTracer::start(&mut command).unwrap();
    tracer.wait_for("probing ").unwrap();
    target.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    target.finish().unwrap();
    done.errors().unwrap().to_owned()
}

fn lines_of_kernel(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.contains("tracer_ebpf")).collect()
}

#[test]
fn no_log_unless_asked_for() {
    for log in [None, Some("debug")] {
        let said = said(&[], log);
        assert_eq!(lines_of_kernel(&said), Vec::<&str>::new());
    }
}

#[test]
fn hits_that_were_not_captured_are_in_the_debug_log() {
    for log in [None, Some("error")] {
        let said = said(&["--kernel-log", "debug"], log);
        let lines = lines_of_kernel(&said);
        // Its level is its own: the filter of the rest does not hide it.
        assert!(lines.iter().all(|line| line.contains(" DEBUG ")), "{said}");
        let limit = format!("outcome {}", Outcome::HitLimit as u8);
        assert!(lines.iter().any(|line| line.contains(&limit)), "{said}");
        assert!(!said.contains(": captured"), "{said}");
    }
}

#[test]
fn every_hit_is_in_the_trace_log() {
    let said = said(&["--kernel-log", "trace"], None);
    let lines = lines_of_kernel(&said);
    let captured = lines.iter().filter(|line| line.contains(" TRACE ")).count();
    assert_eq!(captured, 3, "{said}");
    assert!(lines.iter().any(|line| line.contains(": captured")), "{said}");
}

#[test]
fn less_than_debug_says_nothing_of_hits() {
    let said = said(&["--kernel-log", "info"], None);
    assert_eq!(lines_of_kernel(&said), Vec::<&str>::new());
}
