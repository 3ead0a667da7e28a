//! The guardian: whoever dies or falls silent, the breakpoints go, and in time.

mod coming_out;
mod killed;
mod malformed;
mod silent;

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::time::{Duration, Instant};
use tracer_tests::text::require_as_in_files;

/// How long breakpoints may take to go on a machine that does much else; the bounds of the design
/// hold for a quiet one and are asserted in a soak.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number that a soak was asked for, up to `most`; in the short form `few`.
fn number(few: u64, most: u64) -> u64 {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map_or(few, |text| text.parse::<u64>().expect("TRACER_SOAK_N is a number").min(most))
}

fn is_soak() -> bool {
    std::env::var_os("TRACER_SOAK_N").is_some()
}

/// Waits until the code of a process is as in its files; gives how long it took since `start`.
fn wait_untouched(pid: u32, start: Instant, bound: Duration) -> Duration {
    while let Err(error) = require_as_in_files(pid) {
        assert!(start.elapsed() < PATIENCE, "{error:#}");
    }
    let took = start.elapsed();
    assert!(!is_soak() || took <= bound, "{took:?} and not {bound:?}");
    took
}

fn children_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let children: String = children.flatten().collect();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The guardians that a process has started.
fn guardians_of(pid: u32) -> Vec<u32> {
    let is_guardian = |child: &u32| {
        let name = fs::read_to_string(format!("/proc/{child}/comm"));
        name.is_ok_and(|name| name.trim() == "tracer-guardian")
    };
    children_of(pid).into_iter().filter(is_guardian).collect()
}

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by itself.
    let _sent = kill_process(pid, signal);
}
