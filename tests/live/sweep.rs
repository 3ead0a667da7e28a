//! Probes all over real programs while they work: no crash, the same output, the same text, and
//! every hit accounted for.
//!
//! Addresses are taken at random among those that site selection accepts, over the whole text and,
//! more often, in functions that were seen to run. A batch is one link.

mod places;

use anyhow::{Context as _, Result, anyhow, ensure};
use places::{Chooser, Place, Wanted};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tracer_common::limits::RING_BYTES;
use tracer_common::outcome::Outcome;
use tracer_core::attach::link::{LinkId, Links, TextAfter};
use tracer_core::attach::load::{LoadOptions, Program};
use tracer_core::attach::maps::Gate;
use tracer_core::attach::ring::Ring;
use tracer_core::attach::site::SiteToArm;
use tracer_core::binary::cache::Cache;
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::engine::options::AttachMode;
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::caller::Caller;
use tracer_core::model::limits::Limits;
use tracer_core::model::plan::Plan;
use tracer_core::model::process::Process;
use tracer_core::{decode, plan, resolve};
use tracer_tests::privilege::require;
use tracer_tests::random::Random;
use tracer_tests::snapshot;
use tracer_tests::text::require_as_in_files;
use tracer_tests::workload::{Output, Running, WORKLOADS, Workload};

/// Places in one batch.
const BATCH: u64 = 200;
/// How long a program may work with a batch in place; then the probes go, and it works on.
const DEADLINE: Duration = Duration::from_secs(2);
/// Between two looks into the ring.
const INTERVAL: Duration = Duration::from_millis(10);

/// Addresses in all: `TRACER_SOAK_N`, or so few that a run takes seconds.
fn addresses() -> u64 {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    // By perf events each takes 0.1 s to remove.
    let few = if snapshot::options().attach == AttachMode::Perf { 16 } else { 240 };
    asked.map_or(few, |text| text.parse().expect("TRACER_SOAK_N is a number"))
}

/// Places that one link may have.
fn batch() -> u64 {
    if snapshot::options().attach == AttachMode::Perf { 32 } else { BATCH }
}

/// A program with the addresses that are chosen in it.
struct Sweep<'a> {
    program: &'a Program,
    links: Links,
    workload: &'a Workload,
    home: &'a Path,
    cache: Arc<Cache>,
    /// What it gives when nobody looks.
    reference: Output,
    chooser: Chooser,
    totals: Totals,
}

/// What was found in all batches.
#[derive(Default, Debug)]
struct Totals {
    batches: u64,
    places: u64,
    hits: u64,
    /// Batches that were taken out while the program worked.
    too_hot: u64,
}

/// SAFE-1, SAFE-2, SAFE-3, LOSS-1
#[test]
fn probes_all_over_real_programs() {
    require().unwrap();
    let program =
        Program::load(&LoadOptions { budgets: Budgets::UNLIMITED, ..LoadOptions::default() })
            .unwrap();
    let mut random = Random::from_environment("sweep");
    let wanted = addresses();
    let mut placed = 0;
    for (number, workload) in (0..).zip(WORKLOADS) {
        let left = WORKLOADS.len() as u64 - number;
        let home = tempfile::tempdir().unwrap();
        let sweep = Sweep::new(&program, workload, home.path()).unwrap();
        let totals = sweep.run(&mut random, (wanted - placed).div_ceil(left)).unwrap();
        placed += totals.places;
    }
    println!("sweep: {placed} places in {} programs", WORKLOADS.len());
    assert_eq!(placed, wanted);
}

impl<'a> Sweep<'a> {
    fn new(program: &'a Program, workload: &'a Workload, home: &'a Path) -> Result<Self> {
        Ok(Self {
            program,
            links: Links::new(snapshot::options().guardian),
            workload,
            home,
            cache: Arc::default(),
            reference: workload.start(home)?.finish()?,
            chooser: Chooser::new(workload.files),
            totals: Totals::default(),
        })
    }

    /// Goes on until `wanted` places were probed.
    fn run(mut self, random: &mut Random, wanted: u64) -> Result<Totals> {
        let start = Instant::now();
        while self.totals.places < wanted {
            let left = wanted - self.totals.places;
            let (kind, count) = match self.totals.batches % 4 {
                // Where it runs is not known yet.
                0 => (Wanted::Entry, batch().min(left.div_ceil(4))),
                _ => (Wanted::Anywhere, batch().min(left)),
            };
            let placed = self.batch(random, kind, count)?;
            ensure!(placed > 0 || kind == Wanted::Entry, "{}: no more places", self.workload.name);
            self.totals.batches += 1;
            self.totals.places += placed;
        }
        println!(
            "{}: {:?}, {} functions seen to run, {} places refused, {:.1} s",
            self.workload.name,
            self.totals,
            self.chooser.seen(),
            self.chooser.refused,
            start.elapsed().as_secs_f64()
        );
        Ok(self.totals)
    }

    /// One run of the program with probes in place; gives how many.
    fn batch(&mut self, random: &mut Random, wanted: Wanted, count: u64) -> Result<u64> {
        let running = self.workload.start(self.home)?;
        let process = resolve::process::read(running.pid())?;
        let modules = Modules::with(&self.cache, &process, Caller::Root);
        let code = Code::new(&modules);
        let places = self.chooser.choose(random, &code, wanted, count);
        if places.is_empty() {
            return Ok(0);
        }
        let probed = self.probed(running, &process, &modules, &places, wanted);
        probed.with_context(|| {
            let places: Vec<&str> = places.iter().map(|place| &*place.text).collect();
            format!("{} with probes at\n{}", self.workload.name, places.join("\n"))
        })?;
        Ok(places.len() as u64)
    }

    /// Lets the program work with probes at the places.
    fn probed(
        &mut self,
        running: Running,
        process: &Process,
        modules: &Modules,
        places: &[Place],
        wanted: Wanted,
    ) -> Result<()> {
        let mut ring = Ring::create(RING_BYTES)?;
        let link = self.attach(process, modules, places, &ring, wanted)?;
        let pid = running.pid();
        let (running, hit) = self.work(running, link, &mut ring)?;
        let output = if self.totals.batches % 3 == 2 {
            let output = running.finish()?;
            self.links.suspend(link);
            output
        } else {
            let after = self.links.suspend(link);
            ensure!(after == TextAfter::Restored, "the text after the removal: {after:?}");
            require_as_in_files(pid)?;
            running.finish()?
        };
        for place in hit.iter().filter_map(|index| places.get(*index)) {
            self.chooser.saw(place);
        }
        self.check_counts(link, wanted)?;
        self.links.forget(self.program, link);
        self.require_reference(&output)
    }

    fn attach(
        &self,
        process: &Process,
        modules: &Modules,
        places: &[Place],
        ring: &Ring,
        wanted: Wanted,
    ) -> Result<LinkId> {
        // What is copied is of no interest here.
        let limits = Limits { stack_bytes: 0, ..Limits::DEFAULT };
        let plans: Vec<Plan> = places
            .iter()
            .map(|place| plan::compile(&place.site, &Default::default(), limits))
            .collect();
        let mut sites = Vec::new();
        for (place, plan) in places.iter().zip(&plans) {
            sites.push(SiteToArm {
                file: modules.get(place.site.module)?.elf().file().fd(),
                file_name: self.workload.name,
                offset: place.site.file_offset,
                pc: place.site.pc,
                instruction: &place.site.instruction,
                trap: place.site.trap,
                plan,
                entry: None,
            });
        }
        let gate = Gate {
            pid: process.id.pid,
            start_ticks: process.id.start_ticks,
            hit_limit: 0,
            interval_ns: 0,
            // Records tell which functions run.
            action: if wanted == Wanted::Entry { Action::Snapshot } else { Action::Count },
            owner: Caller::Root,
            budget: CpuShare::UNLIMITED,
            expires_ns: 0,
        };
        let mode = snapshot::options().attach;
        Ok(self.links.attach(self.program, mode, gate, ring, &sites)?.0)
    }

    /// Lets the program do its work, with the probes in place for no longer than the deadline;
    /// gives the indices of places that were hit.
    fn work(
        &mut self,
        mut running: Running,
        link: LinkId,
        ring: &mut Ring,
    ) -> Result<(Running, BTreeSet<usize>)> {
        let expected = self.reference.bytes.len();
        let first = self.links.sites(link).start;
        let mut hit = BTreeSet::new();
        let (working, done) = channel::<()>();
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let worked = running.work(expected);
                drop(working);
                worked.map(|()| running)
            });
            let start = Instant::now();
            let mut is_in = true;
            loop {
                let waited = done.recv_timeout(INTERVAL);
                while let Some(bytes) = ring.next_record() {
                    let record = decode::record::parse(&bytes)?;
                    hit.insert(usize::try_from(record.site - first)?);
                }
                if waited != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                if is_in && start.elapsed() > DEADLINE {
                    is_in = false;
                    self.totals.too_hot += 1;
                    self.links.suspend(link);
                }
            }
            let running = worker.join().map_err(|_| anyhow!("the worker died"))??;
            Ok((running, hit))
        })
    }

    /// Every hit has one outcome.
    fn check_counts(&mut self, link: LinkId, wanted: Wanted) -> Result<()> {
        let counts = self.links.counts(self.program, link)?;
        let sum: u64 = counts.outcomes.iter().sum();
        ensure!(counts.hits == sum, "{} hits, but {counts:?}", counts.hits);
        let aggregated = counts.outcomes[Outcome::Aggregated as usize];
        ensure!(wanted == Wanted::Entry || counts.hits == aggregated, "{counts:?}");
        ensure!(self.program.kernel_misses()? == 0, "the kernel missed hits");
        self.totals.hits += counts.hits;
        Ok(())
    }

    /// The program gave what it gives when nobody looks.
    fn require_reference(&self, output: &Output) -> Result<()> {
        let Err(difference) = self.reference.require_same(output) else { return Ok(()) };
        let again = self.workload.start(self.home)?.finish()?;
        self.reference.require_same(&again).context("it differs without probes too")?;
        Err(difference)
    }
}
