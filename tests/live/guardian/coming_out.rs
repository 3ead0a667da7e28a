//! Probes that were placed one by one come out together.

use super::{is_soak, number, wait_untouched};
use std::time::{Duration, Instant};
use tracer_core::attach::breakpoints::{AttachMode, Closed};
use tracer_core::attach::link::{LinkId, Links, TextAfter};
use tracer_core::attach::load::{LoadOptions, Program};
use tracer_core::attach::maps::Gate;
use tracer_core::attach::ring::Ring;
use tracer_core::attach::site::SiteToArm;
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::caller::Caller;
use tracer_core::model::limits::Limits;
use tracer_core::model::process::Process;
use tracer_core::model::resolved::Resolved;
use tracer_core::{engine, plan, resolve};
use tracer_tests::privilege::require;
use tracer_tests::snapshot;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// Bytes of the ring of a probe that captures nothing.
const RING_BYTES: u32 = 4096;

/// A target of a thousand functions, and the program and the links that its probes share.
struct Many {
    target: RunningTarget,
    process: Process,
    program: Program,
    links: Links,
    rings: Vec<Ring>,
}

impl Many {
    fn start() -> Self {
        require().unwrap();
        let target = Target::c("many", "gcc", &["-O2"]).unwrap().start(&[]).unwrap();
        let options = LoadOptions { budgets: Budgets::UNLIMITED, ..LoadOptions::default() };
        Self {
            process: resolve::process::read(target.pid()).unwrap(),
            target,
            program: Program::load(&options).unwrap(),
            links: Links::new(snapshot::options().guardian),
            rings: Vec::new(),
        }
    }

    /// Places probes on the first `count` functions, one by one.
    fn place(&mut self, count: u64, expires_ns: u64) -> Vec<LinkId> {
        let modules = Modules::of(&self.process);
        let code = Code::new(&modules);
        let resolve = |number: u64| {
            let name = format!("many_{number:03}");
            let location = engine::parse_location(&name).unwrap();
            resolve::resolve(&location, &name, &code).unwrap()
        };
        let start = Instant::now();
        let resolved: Vec<Resolved> = (0..count).map(resolve).collect();
        let took = start.elapsed();
        let start = Instant::now();
        let ids = resolved.iter().map(|r| self.place_one(&modules, r, expires_ns)).collect();
        println!("{count} probes: resolved in {took:?}, placed in {:?}", start.elapsed());
        ids
    }

    fn place_one(&mut self, modules: &Modules, resolved: &Resolved, expires_ns: u64) -> LinkId {
        let [site] = resolved.sites.as_slice() else { panic!("{:#?}", resolved.sites) };
        let file = modules.get(site.module).unwrap().elf().file();
        let plan = plan::compile(site, &resolved.types, Limits::DEFAULT);
        let site = SiteToArm {
            file: file.fd(),
            file_name: "many",
            offset: site.file_offset,
            pc: site.pc,
            instruction: &site.instruction,
            trap: site.trap,
            plan: &plan,
            entry: None,
        };
        let gate = Gate {
            pid: self.process.id.pid,
            start_ticks: self.process.id.start_ticks,
            hit_limit: 0,
            interval_ns: 0,
            action: Action::Count,
            owner: Caller::Root,
            budget: CpuShare::UNLIMITED,
            expires_ns,
        };
        let ring = Ring::create(RING_BYTES).unwrap();
        let mode = snapshot::options().attach;
        let (id, _) = self.links.attach(&self.program, mode, gate, &ring, &[site]).unwrap();
        self.rings.push(ring);
        id
    }

    fn forget(&mut self, ids: Vec<LinkId>) {
        ids.into_iter().for_each(|id| self.links.forget(&self.program, id));
        self.rings.clear();
    }
}

fn is_perf() -> bool {
    snapshot::options().attach == AttachMode::Perf
}

/// Nanoseconds since boot.
fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(Duration::try_from(now).unwrap().as_nanos()).unwrap()
}

/// END-2
#[test]
fn probes_that_were_placed_one_by_one() {
    let mut many = Many::start();
    let pid = many.target.pid();
    // By perf events each takes 0.1 s, one after another.
    let most = if is_perf() { 4 } else { number(100, 1000) };
    let bounds = [(1, 150), (16.min(most), 300), (most, 1000)];
    for (count, bound) in bounds {
        let ids = many.place(count, 0);
        let before = many.target.count;
        assert_eq!(many.target.go().unwrap(), before + 1000);
        let start = Instant::now();
        let breakpoints = ids.iter().map(|id| many.links.breakpoints(*id).unwrap());
        let breakpoints: Vec<_> = breakpoints.collect();
        breakpoints.iter().for_each(|breakpoints| breakpoints.start_removal());
        breakpoints.iter().for_each(|breakpoints| breakpoints.remove());
        let told = start.elapsed();
        let bound = if is_perf() { u64::MAX } else { bound };
        let took = wait_untouched(pid, start, Duration::from_millis(bound));
        println!("{count} probes came out in {told:?}, looked at after {took:?}");
        for id in &ids {
            assert_eq!(many.links.suspend(*id), TextAfter::Restored);
            assert_eq!(many.links.why_closed(*id), None);
            assert_eq!(many.links.counts(&many.program, *id).unwrap().hits, 1);
        }
        many.forget(ids);
    }
}

/// What was suspended is placed again, and counts on.
#[test]
fn suspended_and_resumed() {
    let mut many = Many::start();
    let pid = many.target.pid();
    let [id] = many.place(1, 0)[..] else { panic!("one") };
    let mode = snapshot::options().attach;
    for hits in 1..4 {
        many.target.go().unwrap();
        assert_eq!(many.links.suspend(id), TextAfter::Restored);
        require_as_in_files(pid).unwrap();
        many.target.go().unwrap();
        assert_eq!(many.links.counts(&many.program, id).unwrap().hits, hits);
        many.links.resume(&many.program, mode, id).unwrap();
        assert!(require_as_in_files(pid).is_err(), "no breakpoint is in place");
    }
    drop(many.links);
    require_as_in_files(pid).unwrap();
}

/// The guardian takes a probe out at its deadline, and says so; nobody else looks at the time here.
#[test]
fn a_deadline() {
    let mut many = Many::start();
    let pid = many.target.pid();
    let deadline = boot_ns() + 1_000_000_000;
    let [id] = many.place(1, deadline)[..] else { panic!("one") };
    wait_untouched(pid, Instant::now(), Duration::MAX);
    let late = Duration::from_nanos(boot_ns().checked_sub(deadline).expect("not before"));
    println!("a deadline: out {late:?} after it");
    assert!(!is_soak() || late <= Duration::from_millis(150), "{late:?}");
    assert_eq!(many.links.suspend(id), TextAfter::Restored);
    assert_eq!(many.links.why_closed(id), Some(Closed::Expired));
    assert!(many.links.breakpoints(id).unwrap().removal().is_some());
}
