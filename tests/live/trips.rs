//! A probe on a function that is called far too often goes at once, and the target goes on as if
//! nothing had been.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::pipe;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tracer_common::outcome::Outcome;
use tracer_core::attach::cpu_clock;
use tracer_core::engine::Engine;
use tracer_core::engine::control::{Control, Order, Orders};
use tracer_core::engine::event::{BudgetOf, Ended, Event, Overload, Summary};
use tracer_core::engine::options::{AttachMode, Options};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::limits::Limits;
use tracer_tests::privilege::require;
use tracer_tests::snapshot;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// Functions with what is waited between two calls, from hundreds of millions of calls a second to
/// a million.
const CASES: [(&str, &str); 6] = [
    ("hot_emulated", "0"),
    ("hot_emulated", "1"),
    ("hot_emulated", "20"),
    ("hot_stepped", "0"),
    ("hot_stepped", "1"),
    ("hot_stepped", "20"),
];
/// Of so many trips the target's speed is looked at after one.
const SPEED_EVERY: u64 = 10;
/// After a trip the target must be as quick as before.
const RECOVERY: Duration = Duration::from_millis(100);
/// The time over which a speed is measured.
const SPEED_TIME: Duration = Duration::from_millis(50);
/// Words of the target's file.
const WORDS: usize = 64 * 8;

/// How many trips: `TRACER_SOAK_N`, or one of each case.
fn trips() -> (u64, bool) {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    let soak = asked.map(|text| text.parse().expect("TRACER_SOAK_N is a number"));
    (soak.unwrap_or(CASES.len() as u64), soak.is_some())
}

/// A target that calls its function all the time.
struct Hot {
    target: RunningTarget,
    function: &'static str,
    calls: File,
    _folder: TempDir,
}

impl Hot {
    fn start(function: &'static str, spin: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls");
        let program = Target::c("hot", "gcc", &["-O2"]).unwrap();
        let target = program.start(&[file.to_str().unwrap(), function, spin, "1"]).unwrap();
        let calls = File::open(file).unwrap();
        let hot = Self { target, function, calls, _folder: folder };
        hot.signal(Signal::STOP);
        hot
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.target.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn calls(&self) -> u64 {
        let mut bytes = [0; WORDS * 8];
        self.calls.read_exact_at(&mut bytes, 0).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).sum()
    }

    /// Calls in a second of its own CPU time, over a while from now on.
    fn speed_now(&self) -> f64 {
        let look = || (self.calls(), cpu_clock::of_process(self.target.pid()).unwrap());
        let (calls, cpu) = look();
        thread::sleep(SPEED_TIME);
        let (calls_after, cpu_after) = look();
        (calls_after - calls) as f64 / (cpu_after - cpu).as_secs_f64()
    }

    fn request(&self) -> SnapshotRequest {
        let request = snapshot::request(self.target.pid(), self.function).unwrap();
        SnapshotRequest { hits: 0, budget: CpuShare::percent(1.0), ..request }
    }
}

/// Places a probe and waits until it is gone.
fn trip(engine: &Engine, request: &SnapshotRequest) -> Summary {
    let (stop, _going) = pipe().unwrap();
    engine.snapshot(request, stop.as_fd(), &mut |_| ControlFlow::Continue(())).unwrap()
}

fn engine() -> Engine {
    Engine::new(Options { budgets: Budgets::default(), ..snapshot::options() })
}

/// COST-3
#[test]
fn a_probe_that_costs_too_much_goes_at_once() {
    require().unwrap();
    let (count, soak) = trips();
    let engine = engine();
    let targets: Vec<Hot> = CASES.iter().map(|(name, spin)| Hot::start(name, spin)).collect();
    for hot in &targets {
        hot.signal(Signal::CONT);
        println!("{:13} {:6.1} million calls a second", hot.function, hot.speed_now() / 1e6);
        hot.signal(Signal::STOP);
    }
    let (mut last_hits, mut speeds, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        let hot = &targets[number as usize % targets.len()];
        // Another one is the load.
        let load = &targets[(number as usize + 1) % targets.len()];
        for running in [hot, load] {
            running.signal(Signal::CONT);
        }
        // Beside the same load: what another program takes of a core's speed is not ours.
        let speed = (number % SPEED_EVERY == 0).then(|| hot.speed_now());
        let summary = trip(&engine, &hot.request());
        assert_eq!(summary.ended, Ended::Tripped, "{summary:?}");
        assert_eq!(summary.text_restored, Some(true), "{summary:?}");
        assert_eq!(summary.hits, summary.outcomes.values().sum::<u64>(), "{summary:?}");
        let overload = summary.overload.unwrap();
        assert!(overload.spent > overload.limit, "{overload:?}");
        last_hits.push(overload.lasted);
        late.push(summary.outcomes[&Outcome::Tripped]);
        if let Some(before) = speed {
            thread::sleep(RECOVERY);
            speeds.push(hot.speed_now() / before);
        }
        for running in [hot, load] {
            running.signal(Signal::STOP);
        }
    }
    last_hits.sort();
    late.sort_unstable();
    let (late_p99, late_worst) = (late[late.len() * 99 / 100], late[late.len() - 1]);
    println!(
        "hits after the trip: {} (median), {late_p99} (99 %), {late_worst} (worst)",
        late[late.len() / 2]
    );
    speeds.sort_by(f64::total_cmp);
    let p99 = last_hits[last_hits.len() * 99 / 100];
    let worst = last_hits[last_hits.len() - 1];
    let (median, speed) = (last_hits[last_hits.len() / 2], speeds[speeds.len() / 2]);
    println!(
        "{count} trips: last hit after {median:?} (median), {p99:?} (99 %), {worst:?} (worst)"
    );
    println!("speed afterwards {:.2} % (median), {:.2} % (worst)", speed * 1e2, speeds[0] * 1e2);
    for hot in &targets {
        require_as_in_files(hot.target.pid()).unwrap();
    }
    // Elsewhere may be much to do beside; and perf events take a tenth of a second to remove.
    if soak && snapshot::options().attach != AttachMode::Perf {
        assert!(p99 <= Duration::from_millis(5), "{p99:?}");
        assert!(worst <= Duration::from_millis(15), "{worst:?}");
        assert!(speed >= 0.99, "{speeds:?}");
    }
}

#[test]
fn a_probe_comes_back_if_that_is_asked_for_and_later_each_time() {
    require().unwrap();
    let hot = Hot::start("hot_emulated", "0");
    hot.signal(Signal::CONT);
    let request = SnapshotRequest {
        retry: Some(Duration::from_millis(50)),
        timeout: Duration::from_secs(4),
        ..hot.request()
    };
    let (stop, _going) = pipe().unwrap();
    let (mut waits, mut back) = (Vec::new(), 0);
    let start = Instant::now();
    let summary = engine().snapshot(&request, stop.as_fd(), &mut |event| {
        match event {
            Event::Tripped { again_in, .. } => waits.push(again_in.unwrap().as_millis()),
            Event::Resumed => back += 1,
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    println!("{waits:?} ms, {back} times back in {:?}: {summary:?}", start.elapsed());
    assert_eq!(summary.ended, Ended::Timeout, "{summary:?}");
    assert!(waits.starts_with(&[50, 100]), "{waits:?}");
    assert!(back >= 1 && back + 1 >= waits.len(), "{back} of {waits:?}");
    assert_eq!(summary.overload.unwrap().trips, waits.len() as u64);
    assert_eq!(summary.hits, summary.outcomes.values().sum::<u64>(), "{summary:?}");
    require_as_in_files(hot.target.pid()).unwrap();
}

#[test]
fn the_budget_of_a_process_is_shared_by_its_probes() {
    require().unwrap();
    let hot = Hot::start("hot_emulated", "0");
    hot.signal(Signal::CONT);
    let budgets = Budgets { process: CpuShare::percent(0.1), node: CpuShare::percent(5.0) };
    let engine = Engine::new(Options { budgets, ..snapshot::options() });
    let summary = trip(&engine, &hot.request());
    let Overload { of, spent, limit, .. } = summary.overload.unwrap();
    assert_eq!((of, limit), (BudgetOf::Process, Duration::from_micros(10)));
    assert!(spent > limit, "{spent:?}");
}

/// LEASE-1
#[test]
fn one_that_is_paused_while_it_waits_to_come_back_stays_out() {
    require().unwrap();
    let hot = Hot::start("hot_emulated", "0");
    hot.signal(Signal::CONT);
    let request = SnapshotRequest {
        retry: Some(Duration::from_millis(500)),
        timeout: Duration::from_secs(4),
        ..hot.request()
    };
    let (stop, _going) = pipe().unwrap();
    let orders = Orders::new().unwrap();
    let (obeyed, told) = channel();
    let mut events = Vec::new();
    let control = Control::new(stop.as_fd(), &orders);
    let summary = engine().snapshot(&request, control, &mut |event| {
        match event {
            Event::Tripped { .. } => {
                let obeyed = obeyed.clone();
                orders.give(Order::Pause, move |done| obeyed.send(done.is_ok()).unwrap());
                events.push("tripped");
            }
            Event::Paused { text_restored } => {
                assert_eq!(text_restored, Some(true));
                events.push("paused");
            }
            Event::Resumed => events.push("resumed"),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert_eq!(summary.ended, Ended::Timeout, "{summary:?}");
    assert_eq!(events, ["tripped", "paused"], "{summary:?}");
    assert_eq!(told.try_recv(), Ok(true));
    assert!(summary.paused >= Duration::from_millis(500), "{summary:?}");
    require_as_in_files(hot.target.pid()).unwrap();
}

/// A capture may cost more than a window has; the limit is on what is spent in the long run.
///
/// COST-3
#[test]
fn a_dear_capture_now_and_then_is_no_overload() {
    require().unwrap();
    let target = Target::c("seldom", "gcc", &["-O2"]).unwrap().start(&[]).unwrap();
    let budgets = Budgets { process: CpuShare::percent(1.0), node: CpuShare::percent(5.0) };
    let engine = Engine::new(Options { budgets, ..snapshot::options() });
    let request = snapshot::request(target.pid(), "seldom").unwrap();
    let limits =
        Limits { depth_max: 12, stack_bytes: 64 << 10, bytes_max: 160 << 10, ..request.limits };
    let budget = CpuShare::percent(1.0);
    let timeout = Duration::from_secs(20);
    let request = SnapshotRequest { hits: 10, timeout, limits, budget, ..request };
    let (stop, _going) = pipe().unwrap();
    let control = stop.as_fd();
    let summary = engine.snapshot(&request, control, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(summary.ended, Ended::Complete, "{summary:?}");
    require_as_in_files(target.pid()).unwrap();
}
