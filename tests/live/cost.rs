//! What a hit is predicted to cost is what it costs, and what costs too much is not placed.

mod admission;
mod pairs;

use pairs::{Pair, Subject};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{TryRecvError, channel};
use std::time::Duration;
use tracer_core::engine::Engine;
use tracer_core::engine::event::{Event, Forecast, Predicted};
use tracer_core::engine::request::SnapshotRequest;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{during, engine};

/// Pairs of a function and a probe in the short form.
const FEW: usize = 6;
/// How far a prediction may be off in the soak, on a machine that does little else.
const WITHIN: f64 = 0.25;
/// Those that are timed, and two before.
const CALLS_PER_ROUND: usize = pairs::CALLS + 2;
/// How long a round may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Times that the work is done with the probe and without it; the quickest counts.
const ROUNDS: usize = 7;

/// What was predicted and what was measured, nanoseconds for a hit.
struct Compared {
    predicted: Predicted,
    measured: f64,
}

impl Compared {
    /// 1 if both are the same.
    fn ratio(&self) -> f64 {
        self.predicted.in_a_row_ns() / self.measured
    }
}

fn asked() -> Option<usize> {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map(|text| text.parse().expect("TRACER_SOAK_N is a number"))
}

#[test]
fn a_hit_costs_what_was_predicted() {
    require().unwrap();
    let engine = engine();
    let pairs = pairs::first(asked().unwrap_or(FEW));
    let mut subjects = Subject::start_all();
    let mut ratios = Vec::new();
    println!(
        "{:<24} {:<22} {:>10} {:>10} {:>6}",
        "function", "probe", "predicted", "measured", "ratio"
    );
    for pair in &pairs {
        let subject = &mut subjects[pair.subject];
        let compared = compare(&engine, subject, pair);
        println!(
            "{:<24} {:<22} {:>10.0} {:>10.0} {:>6.2}",
            pair.function,
            pair.probe.name,
            compared.predicted.in_a_row_ns(),
            compared.measured,
            compared.ratio()
        );
        ratios.push(compared.ratio());
    }
    let within = |bound: f64| {
        ratios.iter().filter(|ratio| (1.0 - bound..=1.0 + bound).contains(*ratio)).count()
    };
    println!("{} of {} within 25 %", within(WITHIN), pairs.len());
    match asked() {
        Some(_) => assert_eq!(within(WITHIN), pairs.len(), "{ratios:?}"),
        // Others keep this machine busy: only what is wholly wrong is an error.
        None => assert!(ratios.iter().all(|ratio| (0.3..3.0).contains(ratio)), "{ratios:?}"),
    }
}

fn compare(engine: &Engine, subject: &mut Subject, pair: &Pair) -> Compared {
    let predicted = predict(engine, subject, pair);
    let alone = (0..ROUNDS).map(|_| subject.work(pair.function)).fold(f64::INFINITY, f64::min);
    let request = pair.request(subject.pid());
    // The first record of a round wakes the reader, who stops there until the round is over; the
    // second lies in the ring then, and no other hit has to wake anybody: all are of one kind.
    let (stopped, has_stopped) = channel();
    let (over, is_over) = channel();
    let (taken, taking) = channel();
    let (captures, function) = (pair.captures(), pair.function);
    let work = move || {
        let mut quickest = f64::INFINITY;
        for _ in 0..ROUNDS {
            subject.call(function, 1);
            if captures {
                has_stopped.recv_timeout(PATIENCE).expect("a record is missing");
            }
            subject.call(function, 1);
            quickest = quickest.min(subject.work(function));
            over.send(()).ok();
            for _ in 0..if captures { CALLS_PER_ROUND } else { 0 } {
                taking.recv_timeout(PATIENCE).expect("a record is missing");
            }
        }
        Ok(quickest)
    };
    let mut seen = 0;
    let (summary, probed) = during(engine, &request, work, &mut |event, _| {
        if let Event::Capture { .. } = event {
            if seen % CALLS_PER_ROUND == 0 {
                stopped.send(()).ok();
                // A round that does not end fails where it is waited for.
                is_over.recv_timeout(PATIENCE).ok();
            }
            seen += 1;
            taken.send(()).ok();
        }
    })
    .unwrap();
    let calls = u64::try_from(ROUNDS * CALLS_PER_ROUND).unwrap();
    assert_eq!(summary.hits, calls, "{} {summary:?}", pair.function);
    let probed = probed.expect("it was armed");
    Compared { predicted, measured: (probed - alone) / pairs::CALLS as f64 }
}

/// What is told when the probe is armed, after it was learned while the function was called. On a
/// busy machine it may not be called in that time.
fn predict(engine: &Engine, subject: &mut Subject, pair: &Pair) -> Predicted {
    let learned = (0..10).find_map(|_| learn(engine, subject, pair));
    learned.expect("it was never called").0
}

/// What was learned, if the function was called.
fn learn(engine: &Engine, subject: &mut Subject, pair: &Pair) -> Option<(Predicted, Forecast)> {
    let learn = Duration::from_millis(100);
    let request = SnapshotRequest { learn, ..pair.request(subject.pid()) };
    let function = pair.function;
    let (stop, _keep_going) = std::io::pipe().unwrap();
    let mut learned = None;
    std::thread::scope(|scope| {
        let (ended, goes_on) = channel::<()>();
        let worker = scope.spawn(move || {
            while goes_on.try_recv() == Err(TryRecvError::Empty) {
                subject.stroll(function);
            }
        });
        let snapshot = engine.snapshot(&request, stop.as_fd(), &mut |event| {
            if let Event::Armed(armed) = event {
                learned = armed.forecast.map(|forecast| (armed.predicted, forecast));
            }
            ControlFlow::Break(())
        });
        drop(ended);
        worker.join().unwrap();
        snapshot.unwrap();
    });
    learned.filter(|(_, forecast)| forecast.hits_per_second > 0.0)
}
