//! Never a bad site, never a dead one: what is tried before it is done to a target, what is refused,
//! and what becomes of a probe whose code changes under it.

mod changed;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tracer_core::engine::error::EngineError;
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_tests::cli::{self, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{engine, request, take};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

fn start(name: &str, arguments: &[&str]) -> RunningTarget {
    require().unwrap();
    Target::c(name, "gcc", &["-O2"]).unwrap().start(arguments).unwrap()
}

/// Why a location of a process is refused.
fn refusal(pid: u32, location: &str) -> Issue {
    let (stop, _keep_going) = std::io::pipe().unwrap();
    let request = request(pid, location).unwrap();
    let stop = std::os::fd::AsFd::as_fd(&stop);
    let refused = engine().snapshot(&request, stop, &mut |_| std::ops::ControlFlow::Continue(()));
    match refused.unwrap_err() {
        EngineError::Issue(issue) => issue,
        other => panic!("{other:?}"),
    }
}

/// A kernel that is safe says so, one that is not is not trusted; either way it was tried.
///
/// SITE-1
#[test]
fn what_the_kernel_does_wrong_is_tried_in_children() {
    require().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut command = cli::command(&["doctor", "--json"]).unwrap();
    command.env("TRACER_CACHE_DIR", cache.path());
    let done = RunningTracer::start(&mut command).unwrap().finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let lines = done.output().unwrap().lines().map(|line| serde_json::from_str(line).unwrap());
    let checks: Vec<Json> = lines.collect();
    let kept = std::fs::read_to_string(cache.path().join("self-tests")).unwrap();
    println!("{kept}");
    assert_eq!(kept.lines().count(), 5, "{kept}");
    for name in ["5-byte nop", "seccomp", "return probes"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert!(!check["detail"].as_str().unwrap().contains("could not be tried"), "{check}");
    }
}

/// H39
#[test]
fn a_process_under_a_seccomp_filter_bears_the_probe() {
    let mut target = start("sandboxed", &["10"]);
    let mut wanted = request(target.pid(), "counted").unwrap();
    wanted.hits = 5;
    let snapshot = take(&wanted, &mut target).unwrap();
    assert_eq!(snapshot.captures.len(), 5);
    assert_eq!(target.go().unwrap(), 20);
    require_as_in_files(target.pid()).unwrap();
    target.finish().unwrap();
}

/// H50
#[test]
fn tracers_are_no_targets() {
    let target = start("counter", &["1", "1"]);
    assert_eq!(refusal(std::process::id(), "main").kind, IssueKind::OwnProcess);
    let pid = target.pid().to_string();
    let tracer = RunningTracer::armed(&["snapshot", "-p", &pid, "counted"]).unwrap();
    let other = cli::tracer(&["snapshot", "-p", &tracer.pid().to_string(), "malloc"]).unwrap();
    assert_eq!(other.status.code(), Some(56), "{other:?}");
    kill_process(Pid::from_raw(tracer.pid().cast_signed()).unwrap(), Signal::INT).unwrap();
    tracer.finish().unwrap();
}

/// H17, H51
#[test]
fn code_that_can_bear_no_breakpoint_is_refused_before_one_is_placed() {
    let whys = [
        ("anonymous", "moved its code to anonymous memory"),
        ("shared", "mapped shared"),
        ("writable", "mapped writable"),
    ];
    for (mode, why) in whys {
        let mut target = start("moved", &[mode]);
        let issue = refusal(target.pid(), "counted");
        assert_eq!(issue.kind, IssueKind::CannotFire, "{issue:?}");
        assert!(issue.detail.contains(why), "{issue:?}");
        assert_eq!(target.go().unwrap(), 10);
        target.finish().unwrap();
    }
    let mut target = start("moved", &["jit"]);
    let address = format!("*{}", target.greeting.strip_prefix("ready ").unwrap());
    let issue = refusal(target.pid(), &address);
    assert_eq!(issue.kind, IssueKind::NotMapped);
    assert!(issue.detail.contains("anonymous"), "{issue:?}");
    assert_eq!(target.go().unwrap(), 10);
}
