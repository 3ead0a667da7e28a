//! While some processes do their worst, the probes of others come out in time, and nobody's fork(2)
//! waits for us.
//!
//! Bounds are asserted in a soak; in the short form, on any machine, they are only printed, and what
//! would hang fails.

use serde_json::json;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use tracer_tests::cli::{self, RunningTracer};
use tracer_tests::daemon::Daemon;
use tracer_tests::fuse::Stalling;
use tracer_tests::placed::Placed;
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// What `storm.c` can do.
const STORMS: [&str; 4] = ["uffd", "mmap", "fork", "threads"];
/// How long the removal of a probe may take.
const REMOVAL: Duration = Duration::from_millis(500);
/// How much longer fork(2) may take for us.
const FORK: Duration = Duration::from_millis(100);
/// A refusal waits for a page no longer than two seconds.
const REFUSAL: Duration = Duration::from_millis(2500);
/// What is no hang in the short form.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it is watched what fork(2) takes without us, for each round.
const WATCHED: Duration = Duration::from_millis(300);

const UNSUPPORTED_FILESYSTEM: i32 = 29;

/// Rounds in a soak.
fn soak() -> Option<u32> {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map(|text| text.parse().expect("TRACER_SOAK_N is a number"))
}

/// `bound` in a soak.
fn bound(bound: Duration) -> Duration {
    if soak().is_some() { bound } else { PATIENCE }
}

fn started(name: &str, arguments: &[&str]) -> RunningTarget {
    Target::c(name, "gcc", &["-O2"]).unwrap().start(arguments).unwrap()
}

/// The longest that fork(2) took since the last question.
fn longest_fork(forks: &mut RunningTarget) -> Duration {
    Duration::from_micros(forks.go().unwrap())
}

/// A probe that takes everything, if it may be.
fn place(daemon: &Daemon, target: &RunningTarget, location: &str) -> Placed {
    let request = json!({
        "pid": target.pid(), "location": location, "hits": 0, "rate": 50, "timeout_ms": 600_000,
    });
    Placed::place(daemon, &request).unwrap().unwrap_or_else(|line| panic!("{location}: {line}"))
}

/// Removes a probe; gives how long its breakpoints stayed.
fn remove(daemon: &Daemon, target: &RunningTarget, probe: &Placed) -> Duration {
    let took = std::thread::scope(|scope| {
        let start = Instant::now();
        let asked = scope.spawn(|| probe.remove(daemon));
        while let Err(error) = require_as_in_files(target.pid()) {
            assert!(start.elapsed() < PATIENCE, "{error:#}");
        }
        let took = start.elapsed();
        asked.join().unwrap().unwrap();
        took
    });
    probe.require_exact(daemon).unwrap();
    took
}

/// Storms that are probed all the time.
struct Storms<'d> {
    daemon: &'d Daemon,
    storms: Vec<(&'static str, RunningTarget, Option<Placed>)>,
}

impl<'d> Storms<'d> {
    fn start(daemon: &'d Daemon) -> Self {
        let start = |mode: &'static str| {
            let mut storm = started("storm", &[mode]);
            storm.go().unwrap();
            (mode, storm, None)
        };
        Self { daemon, storms: STORMS.into_iter().map(start).collect() }
    }

    /// Places a probe wherever none is, or the last one has ended by itself.
    fn probe(&mut self) {
        for (mode, storm, probe) in &mut self.storms {
            if let Some(ended) = probe.take_if(|probe| !probe.is_armed(self.daemon).unwrap()) {
                let summary = ended.require_exact(self.daemon).unwrap();
                println!("storm: {mode}: ended by itself: {}", summary["ended"]);
            }
            probe.get_or_insert_with(|| place(self.daemon, storm, "stormy"));
        }
    }

    /// Takes all out and looks that nothing is left of them.
    fn end(self) {
        for (mode, mut storm, probe) in self.storms {
            if let Some(probe) = probe {
                let took = remove(self.daemon, &storm, &probe);
                println!("storm: {mode}: out in {took:?}");
                assert!(took < bound(REMOVAL), "{mode}: {took:?}");
            }
            require_as_in_files(storm.pid()).unwrap();
            let before = storm.count;
            assert!(storm.go().unwrap() > before, "{mode} does not work any more");
        }
    }
}

/// END-1, HOST-3
#[test]
fn storms_delay_neither_removals_nor_forks() {
    require().unwrap();
    let rounds = soak().unwrap_or(3);
    let daemon = Daemon::start().unwrap();
    let mut target = started("counter", &["2", "5"]);
    let mut forks = started("forks", &[]);
    let mut storms = Storms::start(&daemon);
    longest_fork(&mut forks);
    let start = Instant::now();
    while start.elapsed() < WATCHED * rounds {
        target.go().unwrap();
    }
    let without = longest_fork(&mut forks);

    let mut removals = Vec::new();
    for _ in 0..rounds {
        storms.probe();
        let probe = place(&daemon, &target, "counted");
        target.go().unwrap();
        removals.push(remove(&daemon, &target, &probe));
    }
    storms.end();
    let with = longest_fork(&mut forks);
    removals.sort_unstable();
    let (median, worst) = (removals[removals.len() / 2], removals[removals.len() - 1]);
    println!(
        "storm: removal {median:?}, at worst {worst:?}; fork {without:?} without us, {with:?} with"
    );
    assert!(worst < bound(REMOVAL), "{worst:?}");
    assert!(with < without + bound(FORK), "{with:?}, without us {without:?}");
}

/// A program on a filesystem whose server does not answer any more.
///
/// HOST-3
#[test]
fn a_program_on_a_filesystem_that_hangs_is_refused() {
    require().unwrap();
    let program = Target::c("counter", "gcc", &["-O2"]).unwrap().program;
    let mount = Stalling::mount(fs::read(program).unwrap()).unwrap();
    let hanging = RunningTarget::start(&mut Command::new(mount.program())).unwrap();
    let mut target = started("counter", &["2", "5"]);
    let mut forks = started("forks", &[]);
    let daemon = Daemon::start().unwrap();
    mount.stall();
    longest_fork(&mut forks);
    let pid = hanging.pid().to_string();
    for _ in 0..soak().unwrap_or(1) {
        for mut command in [
            cli::command(&["snapshot", "-p", &pid, "counted"]).unwrap(),
            daemon.command(&["snapshot", "-p", &pid, "counted"]).unwrap(),
        ] {
            let start = Instant::now();
            let done = RunningTracer::start(&mut command).unwrap().finish().unwrap();
            let took = start.elapsed();
            println!("hangs: refused in {took:?}");
            assert_eq!(done.status.code(), Some(UNSUPPORTED_FILESYSTEM), "{done:?}");
            assert!(done.errors().unwrap().contains("fuse"), "{done:?}");
            assert!(took < bound(REFUSAL), "{took:?}");
        }
        let probe = place(&daemon, &target, "counted");
        target.go().unwrap();
        let took = remove(&daemon, &target, &probe);
        assert!(took < bound(REMOVAL), "{took:?}");
    }
    let longest = longest_fork(&mut forks);
    println!("hangs: fork {longest:?}, {} requests unanswered", mount.unanswered());
    assert!(longest < bound(FORK), "{longest:?}");
}
