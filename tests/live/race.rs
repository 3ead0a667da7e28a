//! A record is of one hit: registers, stack and objects of one thread, whoever ran the kernel program
//! at the same time or came in between.
//!
//! Where the kernel preempts, the second test shows that the first one would notice: over a kernel
//! program with a buffer for each cpu, which is never shipped, it finds mixtures.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use tracer_common::limits::RING_BYTES;
use tracer_common::outcome::Outcome;
use tracer_core::attach::link::{Links, TextAfter};
use tracer_core::attach::load::{LoadOptions, Program};
use tracer_core::attach::maps::Gate;
use tracer_core::attach::ring::Ring;
use tracer_core::attach::site::SiteToArm;
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::decode::record;
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::caller::Caller;
use tracer_core::model::limits::Limits;
use tracer_core::{engine, plan, resolve};
use tracer_tests::privilege::require;
use tracer_tests::project::target_dir;
use tracer_tests::snapshot;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

const THREADS: u64 = 8;
const CALLS_PER_ROUND: u64 = 8_000;
/// Of `marks.c`: the high half of each word that a thread marks.
const MARK: u64 = 0x7261_6365;
/// Arguments behind the first, by DWARF number.
const ARGUMENTS: [usize; 5] = [4, 1, 2, 8, 9];
/// Marks in the objects and on the stack that every record has.
const MARKS_MIN: usize = 1024 + 5 * 63;

/// Calls in all: `TRACER_SOAK_N`, or so few that a run takes seconds.
fn calls(few: u64) -> u64 {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map_or(few, |text| text.parse().expect("TRACER_SOAK_N is a number"))
}

/// What was wrong with records.
#[derive(Debug, Default)]
struct Seen {
    records: u64,
    mixtures: Vec<String>,
    /// The mark of each thread, by its id.
    marks: BTreeMap<u32, u64>,
}

impl Seen {
    fn check(&mut self, bytes: &[u8]) {
        self.records += 1;
        if let Err(mixture) = self.look(bytes) {
            self.mixtures.push(format!("record {}: {mixture}", self.records));
        }
    }

    /// Compares all marks of a record.
    fn look(&mut self, bytes: &[u8]) -> Result<(), String> {
        let record = record::parse(bytes).map_err(|error| error.to_string())?;
        let [first, others @ ..] = ARGUMENTS.map(|number| record.registers[number]);
        if first >> 32 != MARK || others.iter().any(|word| *word != first) {
            return Err(format!("arguments {first:x} {others:x?}"));
        }
        let known = *self.marks.entry(record.tid).or_insert(first);
        if known != first {
            return Err(format!("thread {} bears {known:x} and {first:x}", record.tid));
        }
        let mut marks = 0;
        for item in &record.items {
            // Words start where their addresses are multiples of eight.
            let skipped = (item.address.0.next_multiple_of(8) - item.address.0) as usize;
            for word in item.bytes.get(skipped..).unwrap_or_default().chunks_exact(8) {
                let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
                if word >> 32 == MARK {
                    marks += 1;
                    if word != first {
                        return Err(format!("{word:x} in a record of {first:x}"));
                    }
                }
            }
        }
        if marks < MARKS_MIN {
            return Err(format!("{marks} marks"));
        }
        Ok(())
    }
}

/// Runs `rounds` of the target's work, or until there is a mixture if `until_mixed`.
fn run(object: Option<&'static [u8]>, rounds: u64, until_mixed: bool) -> Seen {
    require().unwrap();
    let each = (CALLS_PER_ROUND / THREADS).to_string();
    let program = Target::c("marks", "gcc", &["-O2", "-fno-omit-frame-pointer"]).unwrap();
    let mut target = program.start(&[&THREADS.to_string(), &each]).unwrap();
    let mut options = LoadOptions { budgets: Budgets::UNLIMITED, ..LoadOptions::default() };
    if let Some(object) = object {
        options.object = object;
    }
    let program = Program::load(&options).unwrap();
    let links = Links::new(snapshot::options().guardian);
    let mut ring = Ring::create(RING_BYTES).unwrap();
    let link = attach(&program, &links, &ring, &target);
    let mut seen = Seen::default();
    for _ in 0..rounds {
        work(&mut target, &mut ring, &mut seen);
        if until_mixed && !seen.mixtures.is_empty() {
            break;
        }
    }
    assert_eq!(links.suspend(link), TextAfter::Restored);
    let counts = links.counts(&program, link).unwrap();
    println!("{} calls, {} records, {counts:?}", target.count, seen.records);
    let some: Vec<&String> = seen.mixtures.iter().take(5).collect();
    println!("{} mixtures: {some:?}", seen.mixtures.len());
    assert_eq!(counts.hits, target.count);
    assert_eq!(counts.outcomes[Outcome::Captured as usize], seen.records);
    require_as_in_files(target.pid()).unwrap();
    seen
}

/// Places a probe that takes everything on `marked`.
fn attach(
    program: &Program,
    links: &Links,
    ring: &Ring,
    target: &RunningTarget,
) -> tracer_core::attach::link::LinkId {
    let process = resolve::process::read(target.pid()).unwrap();
    let modules = Modules::of(&process);
    let code = Code::new(&modules);
    let location = engine::parse_location("marked").unwrap();
    let resolved = resolve::resolve(&location, "marked", &code).unwrap();
    let [site] = resolved.sites.as_slice() else { panic!("{:#?}", resolved.sites) };
    let file = modules.get(site.module).unwrap().elf().file();
    let site = SiteToArm {
        file: file.fd(),
        file_name: "marks",
        offset: site.file_offset,
        pc: site.pc,
        instruction: &site.instruction,
        trap: site.trap,
        plan: &plan::compile(site, &resolved.types, Limits::DEFAULT),
        entry: None,
    };
    let gate = Gate {
        pid: target.pid(),
        start_ticks: process.id.start_ticks,
        hit_limit: 0,
        interval_ns: 0,
        action: Action::Snapshot,
        owner: Caller::Root,
        budget: CpuShare::UNLIMITED,
        expires_ns: 0,
    };
    links.attach(program, snapshot::options().attach, gate, ring, &[site]).unwrap().0
}

/// One round of the target's work, its records checked as they come.
fn work(target: &mut RunningTarget, ring: &mut Ring, seen: &mut Seen) {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let done = target.go();
            is_done.store(true, Ordering::Release);
            done
        });
        loop {
            // Looked at before the ring: what came until then is in it.
            let was_last = is_done.load(Ordering::Acquire);
            while let Some(bytes) = ring.next_record() {
                seen.check(&bytes);
            }
            if was_last {
                break;
            }
            let at_most = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            poll(&mut [PollFd::new(&ring.fd(), PollFlags::IN)], Some(&at_most)).unwrap();
        }
        worker.join().unwrap().unwrap();
    });
}

/// Rounds for about so many calls.
fn rounds(calls: u64) -> u64 {
    calls.div_ceil(CALLS_PER_ROUND)
}

#[test]
fn a_record_is_of_one_hit() {
    let seen = run(None, rounds(calls(40_000)), false);
    assert!(seen.records > 0);
    assert!(seen.mixtures.is_empty(), "{:#?}", seen.mixtures);
}

#[test]
fn a_buffer_for_each_cpu_is_not_enough_where_the_kernel_preempts() {
    let path = target_dir().join("bpf").join("per-cpu.bpf.o");
    let object = fs::read(&path).expect("no per-cpu.bpf.o: run `cargo xtask ebpf`");
    let preempts = fs::read_to_string("/proc/cmdline").unwrap().contains("preempt=full");
    let few = if preempts { 4_000_000 } else { 8_000 };
    let seen = run(Some(object.leak()), rounds(few), true);
    assert!(seen.records > 0);
    if preempts {
        assert!(!seen.mixtures.is_empty(), "no mixture in {} records", seen.records);
    }
}
