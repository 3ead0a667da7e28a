//! The daemon's room: many probes at once, placed one by one, and what they take.

use super::{Daemon, attach};
use serde_json::{Value as Json, json};
use std::time::Instant;
use tracer_tests::privilege::require;
use tracer_tests::targets::Target;
use tracer_tests::text::require_as_in_files;

/// Probes, unless `TRACER_SOAK_N` says how many; by perf events each takes 0.1 s to remove.
const FEW: usize = 40;
const FEW_PERF: usize = 8;
/// All that the target has functions for.
const MOST: usize = 1000;

fn probes() -> usize {
    let few = if attach().is_some_and(|(_, how)| how == "perf") { FEW_PERF } else { FEW };
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map_or(few, |text| text.parse::<usize>().unwrap().min(MOST))
}

/// A figure of `/proc/PID/status`.
fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// END-1
#[test]
fn many_probes_are_placed_one_by_one_and_all_out_at_once() {
    require().unwrap();
    let count = probes();
    let mut target = Target::c("many", "gcc", &["-O2"]).unwrap().start(&[]).unwrap();
    let daemon = Daemon::start().unwrap();
    let before = (status(daemon.pid(), "Threads:"), status(daemon.pid(), "RssAnon:"));
    let start = Instant::now();
    for number in 0..count {
        let location = format!("many_{number:03}");
        let request = json!({"pid": target.pid(), "location": location, "detach": true});
        let answer = daemon.ask("POST", "/v1/probes", Some(&request)).unwrap();
        assert_eq!(answer.status, 201, "{location}: {:?}", answer.json().unwrap());
    }
    let placed = start.elapsed();
    let after = (status(daemon.pid(), "Threads:"), status(daemon.pid(), "RssAnon:"));
    target.go().unwrap();
    let hits = |probe: &Json| probe["hits"].as_u64().unwrap_or(0);
    let asked = Instant::now();
    let all = daemon.probes().unwrap();
    let listed = asked.elapsed();
    assert_eq!(all.len(), count);
    println!("{} of {count} were hit", all.iter().filter(|probe| hits(probe) > 0).count());

    let start = Instant::now();
    let answer = daemon.ask("POST", "/v1/stop-all", None).unwrap().json().unwrap();
    let stopped = start.elapsed();
    let lines = answer["stopped"].as_array().unwrap();
    println!(
        "{count} probes: placed in {placed:?}, listed in {listed:?}, all out in {stopped:?}; \
         threads {} to {}, own memory {} to {} KiB",
        before.0, after.0, before.1, after.1
    );
    let unclean: Vec<&Json> = lines.iter().filter(|line| line["text"] != "restored").collect();
    require_as_in_files(target.pid()).unwrap();
    assert!(unclean.is_empty(), "{}: {:?}", unclean.len(), unclean.first());
    // A thread each and a watchdog. Rings are the kernel's memory: 256 KiB each, mapped twice.
    assert!(after.0 - before.0 <= 2 * count as u64 + 200, "{before:?} {after:?}");
    assert!(
        after.1.saturating_sub(before.1) <= 192 * count as u64 + 65_536,
        "{before:?} {after:?}"
    );
    if std::env::var_os("TRACER_SOAK_N").is_some() && count == MOST {
        assert!(stopped.as_millis() <= 1000, "{stopped:?}");
    }
}
