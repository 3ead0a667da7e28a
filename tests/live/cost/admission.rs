//! What costs too much is refused with figures, what fits is admitted, and what lies between is
//! sampled.

use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tracer_common::outcome::Outcome;
use tracer_core::engine::Engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::{Armed, Event, Summary};
use tracer_core::engine::options::Options;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::issue::IssueKind;
use tracer_tests::cli::{self, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::snapshot;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// A target that calls `item` so often in each batch, with a pause behind it.
fn batches(items: u64, pause: Duration) -> RunningTarget {
    require().unwrap();
    let (items, pause) = (items.to_string(), pause.as_micros().to_string());
    Target::c("batches", "gcc", &["-O2"]).unwrap().start(&[&items, &pause]).unwrap()
}

/// Probes `item` for half a second.
fn probe(
    target: &RunningTarget,
    budget: CpuShare,
    change: impl FnOnce(&mut SnapshotRequest),
) -> Result<(Armed, Summary), EngineError> {
    let mut request = snapshot::request(target.pid(), "item").unwrap();
    request.hits = 0;
    request.budget = budget;
    request.learn = Duration::from_millis(200);
    request.timeout = Duration::from_millis(700);
    change(&mut request);
    // The budgets of process and node are no matter here.
    let engine =
        Engine::new(Options { budgets: Budgets::percent(25.0, 25.0), ..snapshot::options() });
    let (stop, _keep_going) = std::io::pipe().unwrap();
    let mut armed = None;
    let result = engine.snapshot(&request, stop.as_fd(), &mut |event| {
        if let Event::Armed(facts) = event {
            armed = Some(*facts);
        }
        ControlFlow::Continue(())
    });
    require_as_in_files(target.pid()).unwrap();
    result.map(|summary| (armed.expect("it was armed"), summary))
}

fn percent(number: f64) -> CpuShare {
    CpuShare::percent(number)
}

/// COST-4
#[test]
fn a_hot_function_is_refused_and_its_caller_named() {
    let target = batches(3_000_000, Duration::from_millis(3));
    let refused = probe(&target, percent(1.0), |_| {}).unwrap_err();
    let EngineError::Issue(issue) = refused else { panic!("{refused}") };
    println!("{issue}");
    assert_eq!(issue.kind, IssueKind::TooHot);
    for part in ["/s x ", "% of a core, and 1 % is allowed", "its caller `handle_batch` runs "] {
        assert!(issue.detail.contains(part), "{issue}");
    }
    assert_eq!(issue.candidates, ["handle_batch"]);
}

#[test]
fn the_command_line_refuses_it_too() {
    let target = batches(3_000_000, Duration::from_millis(3));
    let pid = target.pid().to_string();
    let arguments =
        ["snapshot", "-p", &pid, "item", "--hits", "0", "--rate", "0", "--timeout", "1s"];
    let mut command = cli::command(&arguments).unwrap();
    let command = command.env_remove("TRACER_NO_BUDGETS");
    let done = RunningTracer::start(command).unwrap().finish().unwrap();
    assert_eq!(done.status.code(), Some(38), "{}", done.errors().unwrap());
    assert!(done.errors().unwrap().contains("is allowed"), "{}", done.errors().unwrap());
    require_as_in_files(target.pid()).unwrap();
}

#[test]
fn a_hot_function_is_probed_by_force() {
    let target = batches(3_000_000, Duration::from_millis(3));
    let (armed, summary) = probe(&target, percent(1.0), |request| request.force = true).unwrap();
    let forecast = armed.forecast.unwrap();
    assert!(forecast.slowdown > 2.0 && forecast.cores > 0.05, "{forecast:?}");
    assert!(summary.hits > 0, "{summary:?}");
}

#[test]
fn a_slow_function_is_admitted() {
    let target = batches(1, Duration::from_millis(20));
    let (armed, summary) = probe(&target, percent(5.0), |_| {}).unwrap();
    let forecast = armed.forecast.unwrap();
    println!("{forecast:?}");
    assert!(forecast.hits_per_second < 60.0 && forecast.cores < 0.01, "{forecast:?}");
    assert_eq!(forecast.captures_per_second, None, "{forecast:?}");
    assert!(summary.outcomes[&Outcome::Captured] > 0, "{summary:?}");
}

/// Its traps fit into the budget, and captures of all hits do not: those copy much.
#[test]
fn a_function_between_is_sampled() {
    let target = batches(2, Duration::from_millis(1));
    let much = |request: &mut SnapshotRequest| request.limits.stack_bytes = 64 * 1024;
    let (armed, _) = probe(&target, percent(0.6), much).unwrap();
    let forecast = armed.forecast.unwrap();
    println!("{forecast:?}");
    let rate = forecast.captures_per_second.unwrap();
    assert!((rate as f64) < forecast.hits_per_second, "{forecast:?}");
    assert!(forecast.cores <= 0.006, "{forecast:?}");
}

/// A few captures are over before anything could be learned.
#[test]
fn a_few_captures_are_taken_at_once() {
    let target = batches(1, Duration::from_millis(1));
    let pid = target.pid().to_string();
    let done = cli::tracer(&["snapshot", "-p", &pid, "item", "--hits", "5"]).unwrap();
    let said = done.errors().unwrap();
    assert!(said.contains("predicted: ") && !said.contains("hits/s"), "{said}");
    assert_eq!(done.status.code(), Some(0), "{said}");
}
