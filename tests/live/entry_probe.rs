//! Arguments that are gone where the probe is, from the breakpoint at the function's entry: each one is
//! that of the very call that was hit, or is not shown.
//!
//! SEM-6

use std::collections::BTreeMap;
use std::fs::File;
use std::io::pipe;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::channel;
use std::time::Duration;
use tracer_core::engine::Engine;
use tracer_core::engine::control::{Control, Order, Orders};
use tracer_core::engine::event::{Ended, Entries, Event, Summary};
use tracer_core::engine::options::{AttachMode, Options};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::capture::{Capture, Provenance, Variable};
use tracer_core::model::limits::Limits;
use tracer_core::model::value::{Typed, Value};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{during, engine, options, request};
use tracer_tests::targets::{RunningTarget, Target};

/// The arguments of `settle`, all of them gone in its middle.
const ARGUMENTS: [&str; 4] = ["order", "tag", "kind", "deeper"];
/// Said where nothing was kept of a call.
const NOT_SEEN: &str = "this call was not seen at the entry";
/// Enough stack for the registers that the function saved.
const STACK_BYTES: u32 = 256;

/// Probes that are placed while calls run: `TRACER_SOAK_N`, or so few that a run takes seconds.
fn rounds(few: u64) -> u64 {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map_or(few, |text| text.parse().expect("TRACER_SOAK_N is a number"))
}

struct Dying {
    target: Target,
    location: String,
    running: RunningTarget,
}

/// What captures told of the arguments.
#[derive(Default, Debug)]
struct Told {
    captures: u64,
    /// Right, and kept at the entry.
    kept: u64,
    /// Right, and told by the caller.
    by_caller: u64,
    unseen: u64,
}

impl Dying {
    fn start(compiler: &str, level: &str, rounds: u64) -> Self {
        require().unwrap();
        let target = Target::c("dying", compiler, &[level]).unwrap();
        let line = target.line("/* the arguments are gone */").unwrap();
        let running = target.start(&[&rounds.to_string()]).unwrap();
        Self { location: format!("dying.c:{line}"), running, target }
    }

    /// Where a function that is called all the time seldom comes.
    fn seldom(&mut self) -> SnapshotRequest {
        self.running.obey("sift").unwrap();
        let line = self.target.line("/* seldom here */").unwrap();
        request(self.running.pid(), &format!("dying.c:{line}")).unwrap()
    }

    fn request(&self, hits: u64) -> SnapshotRequest {
        let limits = Limits { stack_bytes: STACK_BYTES, ..Limits::DEFAULT };
        SnapshotRequest { hits, limits, ..request(self.running.pid(), &self.location).unwrap() }
    }
}

fn variables(capture: &Capture) -> BTreeMap<&str, &Variable> {
    let frame = capture.frames.first().unwrap();
    frame.variables.iter().map(|variable| (variable.name.as_str(), variable)).collect()
}

/// The value as a number, an address for a pointer.
fn number(typed: &Typed) -> i128 {
    match &typed.value {
        Value::Signed(number) => *number,
        Value::Unsigned(number) => number.cast_signed(),
        Value::Char { code, .. } => (*code).into(),
        Value::Address(address)
        | Value::Pointer { address: Some(address), .. }
        | Value::Reference { address, .. } => (*address).into(),
        other => panic!("{other:?}"),
    }
}

impl Told {
    /// Compares each argument with the call's own note of it.
    fn add(&mut self, capture: &Capture) {
        let variables = variables(capture);
        let Value::Pointer { target, .. } = &variables["note"].value.value else {
            panic!("{:?}", variables["note"]);
        };
        let Value::Record(fields) = &target.value else { panic!("{target:?}") };
        self.captures += 1;
        for name in ARGUMENTS {
            let argument = variables[name];
            let noted = fields.iter().find(|field| field.name.as_deref() == Some(name)).unwrap();
            match &argument.value.value {
                Value::Unavailable(reason) => {
                    assert!(reason.detail.contains(NOT_SEEN), "{argument:?}");
                    assert_eq!(argument.provenance, Provenance::None);
                    self.unseen += 1;
                }
                _ => {
                    let (is, was) = (number(&argument.value), number(&noted.value));
                    assert_eq!(is, was, "hit {}: {name}", capture.hit);
                    match argument.provenance {
                        Provenance::EntryProbe => self.kept += 1,
                        Provenance::EntryValue => self.by_caller += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}

/// Captures all hits of some work.
fn tell(dying: &mut Dying, request: &SnapshotRequest, work: &str) -> (Told, Summary) {
    let mut told = Told::default();
    let running = &mut dying.running;
    let work = || running.obey(work);
    let (summary, _) = during(&engine(), request, work, &mut |event, _| {
        if let Event::Capture { capture, .. } = event {
            told.add(&capture);
        }
    })
    .unwrap();
    (told, summary)
}

#[test]
fn every_argument_of_ten_thousand_calls_is_that_of_its_call() {
    for (compiler, level, rounds) in
        [("gcc", "-O2", 1000), ("clang", "-O2", 100), ("gcc", "-O3", 50)]
    {
        let mut dying = Dying::start(compiler, level, rounds);
        let request = dying.request(0);
        let (told, summary) = tell(&mut dying, &request, "go");
        println!("{compiler} {level}: {told:?} {:?}", summary.outcomes);
        assert_eq!(summary.hits, summary.outcomes.values().sum::<u64>());
        assert_eq!(summary.hits, dying.running.count, "calls at the entry are no hits");
        assert!(summary.entered >= summary.hits, "{summary:?}");
        assert_eq!(summary.text_restored, Some(true));
        assert!(told.captures > rounds, "{told:?}");
        if options().attach == AttachMode::Perf {
            // What is read after the removal proves nothing there.
            continue;
        }
        // Few frames share a place.
        assert!((told.unseen + told.by_caller) * 100 <= told.kept, "{told:?}");
        dying.running.finish().unwrap();
    }
}

#[test]
fn a_call_from_before_the_probe_is_not_taken_for_a_later_one() {
    let mut dying = Dying::start("gcc", "-O2", 1);
    dying.running.obey("park").unwrap();
    let request = dying.request(1);
    let (told, _) = tell(&mut dying, &request, "unpark");
    assert_eq!((told.captures, told.kept), (1, 0), "{told:?}");
    dying.running.finish().unwrap();
}

#[test]
fn what_other_frames_took_the_place_of_is_missing_and_never_wrong() {
    /// More frames at a time than there are places.
    const DEEP: u64 = 18_000;
    let mut dying = Dying::start("gcc", "-O2", 1);
    let request = SnapshotRequest { rate: 4000, ..dying.request(0) };
    let (told, summary) = tell(&mut dying, &request, &format!("chain {DEEP}"));
    println!("{told:?}");
    assert_eq!(summary.hits, DEEP + 1);
    assert!(told.unseen + told.by_caller > 0, "{told:?}");
    assert!(told.kept > 100 || options().attach == AttachMode::Perf, "{told:?}");
    dying.running.finish().unwrap();
}

#[test]
fn what_was_kept_before_a_pause_is_not_used_after_it() {
    let Dying { location, mut running, .. } = Dying::start("gcc", "-O2", 1);
    let request = SnapshotRequest { hits: 0, ..request(running.pid(), &location).unwrap() };
    let mut told = Told::default();
    let (engine, orders) = (engine(), Orders::new().unwrap());
    let (stop, keep_going) = pipe().unwrap();
    let (sender, armed) = channel();
    std::thread::scope(|scope| {
        let orders = &orders;
        scope.spawn(move || {
            let _until_done = keep_going;
            armed.recv().unwrap();
            running.obey("park").unwrap();
            running.obey("unpark").unwrap();
            give(orders, Order::Pause);
            // With the frame of the call before, and nobody sees it enter.
            running.obey("park").unwrap();
            give(orders, Order::Resume);
            running.obey("unpark").unwrap();
            running.finish().unwrap();
        });
        let control = Control::new(stop.as_fd(), orders);
        let mut deliver = |event| {
            match event {
                Event::Armed(_) => sender.send(()).unwrap(),
                Event::Capture { capture, .. } => told.add(&capture),
                _ => {}
            }
            ControlFlow::Continue(())
        };
        engine.snapshot(&request, control, &mut deliver).unwrap();
    });
    assert_eq!((told.captures, told.kept), (2, 4), "{told:?}");
}

/// Has an order carried out.
fn give(orders: &Orders, order: Order) {
    let (sender, done) = channel();
    orders.give(order, move |result| sender.send(result.is_ok()).unwrap());
    assert!(done.recv().unwrap(), "{order:?}");
}

#[test]
fn placing_and_removing_it_while_calls_run_gives_no_argument_of_another_call() {
    let rounds = rounds(5);
    let mut dying = Dying::start("gcc", "-O2", 1_000_000_000);
    let timeout = Duration::from_millis(300);
    let request = SnapshotRequest { timeout, rate: 500, ..dying.request(0) };
    dying.running.start_work().unwrap();
    let mut told = Told::default();
    let engine = engine();
    for _ in 0..rounds {
        let (stop, _keep_going) = pipe().unwrap();
        let mut deliver = |event| {
            if let Event::Capture { capture, .. } = event {
                told.add(&capture);
            }
            ControlFlow::Continue(())
        };
        let summary = engine.snapshot(&request, stop.as_fd(), &mut deliver).unwrap();
        assert_eq!(summary.text_restored, Some(true), "{summary:?}");
    }
    println!("{told:?}");
    assert!(told.kept > 0, "{told:?}");
}

/// What a probe told of its breakpoints at entries when it was armed, and at its end.
fn entries(engine: &Engine, request: &SnapshotRequest) -> (Entries, Vec<Capture>, Summary) {
    let (stop, _keep_going) = pipe().unwrap();
    let (mut armed, mut captures) = (None, Vec::new());
    let mut deliver = |event| {
        match event {
            Event::Armed(facts) => armed = Some(facts.entries),
            Event::Capture { capture, .. } => captures.push(*capture),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let summary = engine.snapshot(request, stop.as_fd(), &mut deliver).unwrap();
    (armed.unwrap(), captures, summary)
}

fn with_budgets() -> Engine {
    Engine::new(Options { budgets: Budgets::default(), ..options() })
}

/// COST-4
#[test]
fn entries_that_cost_too_much_are_left_out_before_it_begins() {
    let mut dying = Dying::start("gcc", "-O2", 1);
    let request = SnapshotRequest {
        hits: 0,
        learn: Duration::from_millis(200),
        budget: CpuShare::percent(2.0),
        timeout: Duration::from_millis(1500),
        ..dying.seldom()
    };
    let (armed, captures, summary) = entries(&with_budgets(), &request);
    assert!(matches!(armed, Entries::LeftOut(_)), "{armed:?}");
    assert_eq!(summary.entries, armed);
    assert!(!captures.is_empty(), "{summary:?}");
    assert_eq!(summary.ended, Ended::Timeout, "{summary:?}");
    let tag = variables(captures.last().unwrap())["tag"];
    assert_ne!(tag.provenance, Provenance::EntryProbe);
}

/// COST-3
#[test]
fn entries_that_cost_too_much_go_and_the_probe_comes_back() {
    let mut dying = Dying::start("gcc", "-O2", 1);
    let budget = CpuShare::percent(2.0);
    let request = SnapshotRequest { hits: 10, budget, ..dying.seldom() };
    let (armed, captures, summary) = entries(&with_budgets(), &request);
    assert_eq!(armed, Entries::Placed);
    assert!(matches!(summary.entries, Entries::LeftOut(_)), "{summary:?}");
    assert_eq!((summary.ended, captures.len()), (Ended::Complete, 10), "{summary:?}");
    assert_eq!(summary.hits, summary.outcomes.values().sum::<u64>());
    assert_eq!(summary.text_restored, Some(true));
}

#[test]
fn without_a_place_for_it_at_the_entry_the_probe_does_without() {
    let Dying { mut running, location, .. } = Dying::start("gcc", "-O2", 1);
    let request = SnapshotRequest {
        timeout: Duration::from_millis(1),
        ..request(running.pid(), &location).unwrap()
    };
    let mut entry = None;
    let (stop, _keep_going) = pipe().unwrap();
    let mut deliver = |event| {
        if let Event::Armed(facts) = event {
            entry = facts.resolved.sites[0].entry.clone();
        }
        ControlFlow::Continue(())
    };
    engine().snapshot(&request, stop.as_fd(), &mut deliver).unwrap();
    let entry = entry.unwrap();
    // As another tracer does.
    let memory = File::options().write(true).open(format!("/proc/{}/mem", running.pid())).unwrap();
    memory.write_all_at(&[0xcc], entry.pc.0).unwrap();
    let (armed, _, summary) = entries(&engine(), &request);
    memory.write_all_at(&entry.instruction[..1], entry.pc.0).unwrap();
    assert!(matches!(armed, Entries::LeftOut(_)), "{armed:?}");
    assert_eq!(summary.ended, Ended::Timeout);
    running.go().unwrap();
    // Nor does one that is not to have any.
    let request = SnapshotRequest { entry_probe: false, ..request };
    assert_eq!(entries(&engine(), &request).0, Entries::NotNeeded);
    running.finish().unwrap();
}
