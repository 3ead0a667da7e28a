//! No hit is lost silently: what the target counts itself is what we received and what we say
//! that we did not.
//!
//! Not reachable from outside: `lost_plan` (the kernel refuses `bpf_loop` only for more than 2²³
//! steps) and kernel misses (on kernels with `uprobe_multi` nothing keeps a program from running
//! twice on a cpu, so the kernel never skips it). Both are in the sum all the same.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use tracer_common::limits::RING_BYTES;
use tracer_common::outcome::Outcome;
use tracer_core::attach::link::{Links, TextAfter};
use tracer_core::attach::load::{LoadOptions, Program};
use tracer_core::attach::maps::Gate;
use tracer_core::attach::ring::Ring;
use tracer_core::attach::site::SiteToArm;
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::engine::Engine;
use tracer_core::engine::event::{Ended, Event, Summary};
use tracer_core::engine::options::Options;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::caller::Caller;
use tracer_core::model::capture::Capture;
use tracer_core::model::limits::Limits;
use tracer_core::model::value::{Field, Value};
use tracer_core::{engine, plan, resolve};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{self, Work, accompany, request};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// Calls in one round of the target's work; a big figure is reached by many rounds.
const CALLS_PER_ROUND: u64 = 100_000;

/// Calls in all: `TRACER_SOAK_N`, or so few that a run takes seconds.
fn calls(few: u64) -> u64 {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map_or(few, |text| text.parse().expect("TRACER_SOAK_N is a number"))
}

/// A counter that makes about `total` calls, and the rounds that it needs for them.
fn counter(threads: u64, total: u64) -> (RunningTarget, u64) {
    require().unwrap();
    let rounds = total.div_ceil(CALLS_PER_ROUND).max(1);
    let each = (total / rounds / threads).max(1).to_string();
    let target = Target::c("counter", "gcc", &["-O2"]).unwrap();
    (target.start(&[&threads.to_string(), &each]).unwrap(), rounds)
}

/// A request for all hits without any limit.
fn unlimited(target: &RunningTarget) -> SnapshotRequest {
    let mut request = request(target.pid(), "counted").unwrap();
    request.hits = 0;
    request.timeout = std::time::Duration::from_secs(24 * 60 * 60);
    request
}

fn of(summary: &Summary, outcome: Outcome) -> u64 {
    summary.outcomes.get(&outcome).copied().unwrap_or(0)
}

/// The equation, and that the target is as it was.
fn assert_exact(name: &str, target: &mut RunningTarget, summary: &Summary) {
    println!(
        "{name}: {} calls = {} received + {:?} + {} kernel misses",
        target.count,
        summary.received,
        summary.outcomes.iter().filter(|(_, count)| **count > 0).collect::<Vec<_>>(),
        summary.kernel_misses
    );
    let others: u64 = Outcome::ALL[1..].iter().map(|outcome| of(summary, *outcome)).sum();
    let accounted = summary.received + others + summary.kernel_misses;
    if summary.ended == Ended::Complete {
        // The last capture that was wanted took the probe out while the target went on.
        assert!(accounted <= target.count, "{summary:?}");
    } else {
        assert_eq!(target.count, accounted, "{summary:?}");
    }
    assert_eq!(summary.hits, of(summary, Outcome::Captured) + others, "{summary:?}");
    assert_eq!(summary.received, of(summary, Outcome::Captured), "{summary:?}");
    assert_eq!(summary.malformed, 0, "{summary:?}");
    assert_eq!(summary.text_restored, Some(true));
    let before = target.count;
    assert!(target.go().unwrap() > before, "the target does not work any more");
}

/// What captures must agree in with each other: hits are numbered without a repetition, and
/// each record is of one call, not a mixture of two.
#[derive(Default)]
struct Consistency {
    captures: u64,
    last_of_thread: BTreeMap<u32, u64>,
    numbers: HashSet<u64>,
}

impl Consistency {
    fn check(&mut self, capture: &Capture) {
        self.captures += 1;
        // A soak has more hits than fit in memory; the first ones stand for all.
        if self.numbers.len() < 10_000_000 {
            assert!(self.numbers.insert(capture.hit), "hit {} came twice", capture.hit);
        }
        let variables = &capture.frames[0].variables;
        let variable = |name| &variables.iter().find(|v| v.name == name).unwrap().value.value;
        let Value::Unsigned(number) = variable("number") else { panic!("{variables:#?}") };
        let Value::Pointer { target, .. } = variable("step") else { panic!("{variables:#?}") };
        let Value::Record(fields) = &target.value else { panic!("{variables:#?}") };
        let field = |name| {
            let named = |field: &&Field| field.name.as_deref() == Some(name);
            &fields.iter().find(named).unwrap().value.value
        };
        assert_eq!(field("number"), &Value::Unsigned(*number), "{capture:#?}");
        let Value::Text { bytes, .. } = field("label") else { panic!("{fields:#?}") };
        let label: &[u8] = if number % 2 == 0 { b"even" } else { b"odd" };
        assert_eq!(bytes, label, "{capture:#?}");
        // Within one round a thread counts up.
        let number = u64::try_from(*number).unwrap();
        let last = self.last_of_thread.insert(capture.tid, number);
        assert!(last.is_none_or(|last| last < number), "{last:?}, then {number}");
    }
}

/// Runs a probe over `total` calls and checks the equation.
fn run(
    name: &str,
    threads: u64,
    total: u64,
    change: impl FnOnce(&mut Options, &mut SnapshotRequest),
    reader: &mut dyn FnMut(&Capture, &Work),
) -> Summary {
    let (mut target, rounds) = counter(threads, total);
    let mut request = unlimited(&target);
    let mut options = snapshot::options();
    change(&mut options, &mut request);
    let engine = Engine::new(options);
    let mut consistency = Consistency::default();
    let mut checked = |event, work: &Work| {
        if let Event::Capture { capture, .. } = event {
            consistency.check(&capture);
            reader(&capture, work);
        }
    };
    let summary = accompany(&engine, &request, &mut target, rounds, &mut checked).unwrap();
    if summary.ended == Ended::Stopped {
        assert_eq!(consistency.captures, summary.received);
    }
    assert_exact(name, &mut target, &summary);
    summary
}

/// Runs until an outcome comes that needs two threads in the kernel program at once: on a machine
/// that does much else they may take turns.
fn until_met(outcome: Outcome, mut run: impl FnMut() -> Summary) -> Summary {
    let mut summaries = (0..20).map(|_| run());
    summaries.find(|summary| of(summary, outcome) > 0).expect("twenty runs without it")
}

/// All records fit into the ring, so there is nothing to lose.
#[test]
fn one_thread() {
    let small = |_: &mut Options, request: &mut SnapshotRequest| request.limits.stack_bytes = 256;
    let summary = run("one thread", 1, calls(2000), small, &mut |_, _| {});
    if std::env::var_os("TRACER_SOAK_N").is_none() {
        assert_eq!((summary.received, summary.hits), (2000, 2000), "{summary:?}");
    }
}

/// LOSS-1
#[test]
fn four_threads() {
    let summary = run("four threads", 4, calls(8000), |_, _| {}, &mut |_, _| {});
    assert!(summary.received > 0);
}

/// The reader sleeps on the first capture until the target has made all of its calls, so the ring
/// fills for sure.
#[test]
fn a_slow_reader_and_a_small_ring() {
    let small_ring =
        |_: &mut Options, request: &mut SnapshotRequest| request.ring_bytes = 64 * 1024;
    let mut slow = |_: &Capture, work: &Work| work.wait();
    let summary = run("slow reader", 4, calls(20_000), small_ring, &mut slow);
    assert!(of(&summary, Outcome::LostRingFull) > 0, "{summary:?}");
    assert!(summary.received > 0, "{summary:?}");
}

/// A plan that copies 64 KiB of stack keeps the only scratch buffer busy for most of the time.
#[test]
fn one_scratch_buffer_for_four_threads() {
    let one_slot = |options: &mut Options, request: &mut SnapshotRequest| {
        options.scratch_slots = 1;
        request.limits.stack_bytes = 64 * 1024;
    };
    let summary = until_met(Outcome::LostNoScratch, || {
        run("one scratch buffer", 4, calls(20_000), one_slot, &mut |_, _| {})
    });
    assert!(summary.received > 0, "{summary:?}");
}

/// Threads come by between the capture that meets the limit and the removal.
#[test]
fn a_hit_limit() {
    let limit = |_: &mut Options, request: &mut SnapshotRequest| request.hits = 10;
    let summary = run("hit limit", 4, calls(8000), limit, &mut |_, _| {});
    assert_eq!(summary.received, 10);
    assert!(of(&summary, Outcome::HitLimit) > 0, "{summary:?}");
    assert_eq!(summary.ended, Ended::Complete);
}

#[test]
fn a_rate() {
    let rate = |_: &mut Options, request: &mut SnapshotRequest| request.rate = 100;
    let summary = run("rate", 4, calls(20_000), rate, &mut |_, _| {});
    assert!(of(&summary, Outcome::RateLimit) > 0, "{summary:?}");
    assert!(summary.received > 0, "{summary:?}");
}

/// A probe that only counts copies nothing, and its limits hold all the same.
#[test]
fn counting_only() {
    let count = |_: &mut Options, request: &mut SnapshotRequest| request.action = Action::Count;
    let summary = run("count", 4, calls(20_000), count, &mut |_, _| {});
    assert_eq!((summary.hits, summary.received), (of(&summary, Outcome::Aggregated), 0));
    let limited = |_: &mut Options, request: &mut SnapshotRequest| {
        (request.action, request.hits) = (Action::Count, 10);
    };
    let summary = run("count, limited", 4, calls(8000), limited, &mut |_, _| {});
    assert_eq!(of(&summary, Outcome::Aggregated), 10, "{summary:?}");
    assert_eq!(summary.hits, 10 + of(&summary, Outcome::HitLimit), "{summary:?}");
}

/// All at once, so that the ways of a hit through the gate mix.
#[test]
fn everything_scarce() {
    let scarce = |options: &mut Options, request: &mut SnapshotRequest| {
        options.scratch_slots = 1;
        request.ring_bytes = 64 * 1024;
        request.limits.stack_bytes = 32 * 1024;
    };
    let summary = until_met(Outcome::LostNoScratch, || {
        let mut captures = 0_u64;
        let mut slow = |_: &Capture, work: &Work| {
            captures += 1;
            if captures == 3 {
                work.wait();
            }
        };
        run("everything scarce", 4, calls(20_000), scarce, &mut slow)
    });
    assert!(of(&summary, Outcome::LostRingFull) > 0, "{summary:?}");
}

/// Hits between the placing of the breakpoint and the switch of the site find it switched off.
#[test]
fn hits_while_the_probe_is_being_placed() {
    require().unwrap();
    let program = Target::c("counter", "gcc", &["-O2"]).unwrap();
    // More calls than it can make: it is hot until it is killed.
    let mut target = program.start(&["4", &u64::MAX.to_string()]).unwrap();
    target.start_work().unwrap();
    let request = unlimited(&target);
    let engine = snapshot::engine();
    let (stop, _keep_going) = std::io::pipe().unwrap();
    for round in 1.. {
        // The probe goes as soon as it is there.
        let mut enough = |_: Event| ControlFlow::Break(());
        let summary = engine.snapshot(&request, stop.as_fd(), &mut enough).unwrap();
        let sum: u64 = summary.outcomes.values().sum();
        assert_eq!(summary.hits, sum, "{summary:?}");
        assert_eq!(summary.received, of(&summary, Outcome::Captured), "{summary:?}");
        require_as_in_files(target.pid()).unwrap();
        if of(&summary, Outcome::Disabled) > 0 {
            println!("disabled: {:?} in round {round}", summary.outcomes);
            break;
        }
        assert!(round < 50, "no hit came while the site was switched off");
    }
}

/// A process that is not the one that was resolved though it has its pid: the start time tells.
/// IDENT-1
#[test]
fn another_process_of_the_same_pid() {
    let (mut target, _) = counter(4, 8000);
    let process = resolve::process::read(target.pid()).unwrap();
    let modules = Modules::of(&process);
    let code = Code::new(&modules);
    let location = engine::parse_location("counted").unwrap();
    let resolved = resolve::resolve(&location, "counted", &code).unwrap();
    let [site] = resolved.sites.as_slice() else { panic!("{:#?}", resolved.sites) };
    let file = modules.get(site.module).unwrap().elf().file();
    let site = SiteToArm {
        file: file.fd(),
        file_name: "counter",
        offset: site.file_offset,
        pc: site.pc,
        instruction: &site.instruction,
        trap: site.trap,
        plan: &plan::compile(site, &resolved.types, Limits::DEFAULT),
        entry: None,
    };
    let gate = Gate {
        pid: target.pid(),
        start_ticks: process.id.start_ticks + 1,
        hit_limit: 0,
        interval_ns: 0,
        action: Action::Snapshot,
        owner: Caller::Root,
        budget: CpuShare::UNLIMITED,
        expires_ns: 0,
    };
    let program =
        Program::load(&LoadOptions { budgets: Budgets::UNLIMITED, ..LoadOptions::default() })
            .unwrap();
    let links = Links::new(snapshot::options().guardian);
    let mut ring = Ring::create(RING_BYTES).unwrap();
    let mode = snapshot::options().attach;
    let (link, _) = links.attach(&program, mode, gate, &ring, &[site]).unwrap();
    let calls = target.go().unwrap();
    assert_eq!(links.suspend(link), TextAfter::Restored);
    let counts = links.counts(&program, link).unwrap();
    println!("foreign: {calls} calls, {counts:?}");
    assert_eq!(counts.hits, calls);
    assert_eq!(counts.outcomes[Outcome::Foreign as usize], calls, "{counts:?}");
    assert!(ring.next_record().is_none(), "a foreign hit was captured");
    require_as_in_files(target.pid()).unwrap();
}

/// A child inherits the breakpoint with the memory. The kernel does not hand its hits to the
/// program, so they are no outcome of ours; the breakpoint goes from the child too.
#[test]
fn a_forked_child_is_not_the_target() {
    require().unwrap();
    let program = Target::c("forker", "gcc", &["-O2"]).unwrap();
    let mut target = program.start(&["1000"]).unwrap();
    let mut captures = 0;
    let pid = target.pid();
    let mut reader = |event, _: &Work| {
        if let Event::Capture { capture, .. } = event {
            assert_eq!((capture.pid, capture.tid), (pid, pid), "{capture:#?}");
            captures += 1;
        }
    };
    let summary =
        accompany(&snapshot::engine(), &unlimited(&target), &mut target, 2, &mut reader).unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child = children.trim().parse().unwrap();
    println!("forked child: {} hits, {:?}", summary.hits, summary.outcomes);
    assert_eq!(captures, summary.received);
    require_as_in_files(child).unwrap();
    assert_exact("forked child", &mut target, &summary);
}

/// The same code of the same file, executed where it was not looked at: no capture is right there.
#[test]
fn code_that_is_mapped_once_more() {
    require().unwrap();
    let program = Target::c("mapper", "gcc", &["-O2"]).unwrap();
    let mut target = program.start(&["copy", "200"]).unwrap();
    let mut reader = |event, _: &Work| {
        if let Event::Capture { capture, .. } = event {
            assert_eq!(capture.frames[1].function.as_deref(), Some("call"), "{capture:#?}");
        }
    };
    let mut request = unlimited(&target);
    request.limits.stack_bytes = 1024;
    let summary = accompany(&snapshot::engine(), &request, &mut target, 2, &mut reader).unwrap();
    assert_eq!(summary.received, 400, "{summary:?}");
    assert_eq!(of(&summary, Outcome::Elsewhere), 400, "{summary:?}");
    assert_exact("mapped once more", &mut target, &summary);
}
