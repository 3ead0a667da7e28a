//! However a snapshot ends, the probe is out: the target's code is as in its files, byte for byte,
//! and the target works. The exit code says how it ended.

use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};
use tracer_core::engine::event::Event;
use tracer_tests::cli::{Done, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{accompany, request};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

const PROCESS_GONE: i32 = 11;
const CODE_GONE: i32 = 34;
const NO_HIT: i32 = 28;
/// How long the kernel may take to close what a killed process had open.
const CLEANUP: Duration = Duration::from_secs(60);

/// A target with few calls for each "go", so that a reader of all of them keeps up.
fn target() -> RunningTarget {
    require().unwrap();
    Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["2", "5"]).unwrap()
}

/// A probe that takes all hits, in place.
fn armed(target: &RunningTarget, timeout: &str) -> RunningTracer {
    let pid = target.pid().to_string();
    let arguments =
        ["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--timeout", timeout];
    let tracer = RunningTracer::armed(&arguments).unwrap();
    assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
    tracer
}

/// The target is as if nothing had been.
fn assert_untouched(target: &mut RunningTarget) {
    require_as_in_files(target.pid()).unwrap();
    let before = target.count;
    assert_eq!(target.go().unwrap(), before + 10);
}

fn captures(done: &Done) -> usize {
    done.output().unwrap().lines().filter(|line| line.starts_with("#0")).count()
}

fn send(tracer: &RunningTracer, signal: Signal) {
    let pid = i32::try_from(tracer.pid()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// SAFE-1, END-1
#[test]
fn signals() {
    let mut target = target();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        for hits in [false, true] {
            let tracer = armed(&target, "60s");
            if hits {
                target.go().unwrap();
            }
            send(&tracer, signal);
            let done = tracer.finish().unwrap();
            assert_eq!(done.status.code(), Some(code), "{signal:?}: {done:?}");
            if hits {
                // What was in the ring when it stopped was counted, if not all was shown.
                let output = done.output().unwrap();
                assert!(output.contains(" of 10 hits; stopped"), "{output}");
            }
            assert_untouched(&mut target);
        }
    }
}

/// A second signal while the first one is served changes nothing.
#[test]
fn signals_in_a_row() {
    let mut target = target();
    let tracer = armed(&target, "60s");
    for _ in 0..5 {
        send(&tracer, Signal::INT);
        send(&tracer, Signal::TERM);
    }
    let done = tracer.finish().unwrap();
    assert!(matches!(done.status.code(), Some(130 | 143)), "{done:?}");
    assert_untouched(&mut target);
}

#[test]
fn a_reader_that_goes_away() {
    let mut target = target();
    for hits in [false, true] {
        let mut tracer = armed(&target, "60s");
        if hits {
            target.go().unwrap();
        }
        tracer.close_output();
        let done = tracer.finish().unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert_untouched(&mut target);
    }
}

#[test]
fn a_timeout() {
    let mut target = target();
    let done = armed(&target, "2s").finish().unwrap();
    assert_eq!(done.status.code(), Some(NO_HIT), "{done:?}");
    assert!(done.errors().unwrap().contains("raise --timeout"), "{done:?}");
    assert_untouched(&mut target);

    let tracer = armed(&target, "5s");
    target.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(captures(&done), 10);
    assert!(done.output().unwrap().contains("the timeout passed"), "{done:?}");
    assert_untouched(&mut target);
}

/// SAFE-4, COST-2
#[test]
fn all_captures_are_taken() {
    let mut target = target();
    let pid = target.pid().to_string();
    let arguments = ["snapshot", "-p", &pid, "counted", "--hits", "3"];
    let tracer = RunningTracer::armed(&arguments).unwrap();
    target.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(captures(&done), 3);
    assert_untouched(&mut target);
}

#[test]
fn the_target_ends() {
    // By itself, after hits.
    let mut by_itself = target();
    let tracer = armed(&by_itself, "60s");
    by_itself.go().unwrap();
    by_itself.finish().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(PROCESS_GONE), "{done:?}");
    assert!(done.errors().unwrap().contains("captures taken before that: 10"), "{done:?}");
    assert_eq!(captures(&done), 10);

    // Killed, without a hit.
    let killed = target();
    let tracer = armed(&killed, "60s");
    drop(killed);
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(PROCESS_GONE), "{done:?}");
}

/// Nothing of ours runs any more; the kernel closes what is left.
/// END-1
#[test]
fn tracer_is_killed() {
    let mut target = target();
    for hits in [false, true] {
        let mut tracer = armed(&target, "60s");
        if hits {
            target.go().unwrap();
        }
        tracer.kill().unwrap();
        let killed = Instant::now();
        drop(tracer);
        // The kernel tells nobody when it is done; the target works meanwhile.
        while let Err(error) = require_as_in_files(target.pid()) {
            assert!(killed.elapsed() < CLEANUP, "{error:#}");
            target.go().unwrap();
        }
        println!("the code is as before {:?} after kill -9", killed.elapsed());
        assert_untouched(&mut target);
    }
}

/// A door that is stuck does not keep the breakpoints in, nor the process alive.
///
/// END-1
#[test]
fn a_reader_that_does_not_read() {
    let mut target = target();
    for signal in [None, Some(Signal::TERM)] {
        let mut tracer = armed(&target, if signal.is_some() { "60s" } else { "3s" });
        // Far more than a pipe holds.
        for _ in 0..40 {
            target.go().unwrap();
        }
        if let Some(signal) = signal {
            send(&tracer, signal);
        }
        let start = Instant::now();
        while require_as_in_files(target.pid()).is_err() {
            assert!(start.elapsed() < CLEANUP, "the breakpoints stay in");
        }
        if signal.is_some() {
            while tracer.runs().unwrap() {
                assert!(start.elapsed() < CLEANUP, "tracer stays alive");
            }
        }
        let done = tracer.finish().unwrap();
        assert_eq!(done.status.code(), Some(signal.map_or(0, |_| 143)), "{done:?}");
        assert_untouched(&mut target);
    }
}

/// Two probes on one function of one process: the second is refused, the first goes on.
///
/// SAFE-4
#[test]
fn another_tracer_is_there() {
    let mut target = target();
    let first = armed(&target, "60s");
    let pid = target.pid().to_string();
    let second = tracer_tests::cli::tracer(&["snapshot", "-p", &pid, "counted"]).unwrap();
    assert_eq!(second.status.code(), Some(33), "{second:?}");
    assert!(second.errors().unwrap().contains("another breakpoint"), "{second:?}");
    target.go().unwrap();
    send(&first, Signal::INT);
    let done = first.finish().unwrap();
    assert!(done.output().unwrap().contains(" of 10 hits"), "{done:?}");
    assert_untouched(&mut target);
}

/// The target does not pay while the last capture is decoded and shown.
///
/// COST-2
#[test]
fn the_probe_is_out_before_the_last_capture_is_shown() {
    let mut target = target();
    let pid = target.pid();
    let mut request = request(pid, "counted").unwrap();
    request.hits = 2;
    let mut probed = Vec::new();
    let summary =
        accompany(&tracer_tests::snapshot::engine(), &request, &mut target, 1, &mut |event, _| {
            if let Event::Capture { .. } = event {
                probed.push(require_as_in_files(pid).is_err());
            }
        });
    assert_eq!(summary.unwrap().received, 2);
    assert_eq!(probed.last(), Some(&false), "{probed:?}");
    assert_untouched(&mut target);
}

/// By exec, with the same pid: the probed address is of another program now, or of the same one
/// at another place.
#[test]
fn the_target_replaces_its_program() {
    require().unwrap();
    let program = Target::c("mapper", "gcc", &["-O2"]).unwrap();
    let mut target = program.start(&["exec", "10"]).unwrap();
    let tracer = armed(&target, "60s");
    target.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(CODE_GONE), "{done:?}");
    assert!(done.output().unwrap().contains("the probed code is no longer there"), "{done:?}");
    assert_eq!(captures(&done), 0);
    require_as_in_files(target.pid()).unwrap();
    assert_eq!(target.go().unwrap(), 10);
    require_as_in_files(target.pid()).unwrap();
}
