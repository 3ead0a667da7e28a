//! Times hits of our own function while it runs one plan after another.

use super::samples::{self, Memory, Sample};
use super::{emulated, single_stepped};
use crate::attach::error::AttachError;
use crate::attach::load::Program;
use crate::attach::maps::{Gate, Occupied, SitePlan};
use crate::attach::ring::Ring;
use crate::model::action::Action;
use crate::model::address::Avma;
use crate::model::budget::{Budgets, CpuShare};
use crate::model::caller::Caller;
use crate::model::cost::CostModel;
use crate::model::plan::Plan;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::fs;
use std::hint::black_box;
use std::io;
use std::time::Duration;
use tracer_common::limits::{RED_ZONE_BYTES, WAKE_EVERY_NS};
use tracer_common::maps::{Site, action};

/// Hits timed in a run.
const CALLS: u32 = 16;
/// Runs; the quickest counts, for everything else only adds.
const RUNS: u32 = 7;
/// Room for all records that are ever written: those of a probe too go where nothing is in the
/// caches.
const RING_BYTES: u32 = 8 * 1024 * 1024;
/// Our own stack above the function, so that there is enough to copy.
const FRAME_BYTES: usize = samples::STACK_BYTES as usize + 1024;
/// Readers that are woken.
const WAKES: usize = 9;
/// How long a reader has slept when it is woken: so long that a hit wakes one again.
const ASLEEP: Duration = Duration::from_nanos(WAKE_EVERY_NS + WAKE_EVERY_NS / 5);
/// When a reader that nobody wakes wakes by itself.
const GIVES_UP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Index of the way that captures nothing.
const NOTHING: usize = 3;
const KIB: f64 = 1024.0;
/// Charging a budget is a part of the cost, so there is one; it is too large to be spent.
const NEVER_SPENT: Budgets =
    Budgets { process: CpuShare::percent(100_000.0), node: CpuShare::percent(100_000.0) };

/// Our own part of the maps: a site for each sample. Only the first is linked, and takes the
/// parameters of the others.
pub(super) struct Own<'p> {
    program: &'p Program,
    occupied: Occupied,
    ring: Ring,
    /// What all others may cost, once this is over.
    budgets: Budgets,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let mut maps = self.program.maps();
        maps.vacate(&self.occupied);
        if let Err(error) = maps.set_budgets(self.budgets) {
            tracing::error!(%error, "the node's budget is not what it should be");
        }
    }
}

impl<'p> Own<'p> {
    pub(super) fn occupy(
        program: &'p Program,
        pc: Avma,
        memory: &Memory,
    ) -> Result<Self, AttachError> {
        let ring = Ring::create(RING_BYTES)?;
        let gate = Gate {
            pid: std::process::id(),
            start_ticks: own_start().map_err(|e| AttachError::kernel("our own start time", e))?,
            hit_limit: 0,
            interval_ns: 0,
            action: Action::Snapshot,
            owner: Caller::Root,
            budget: NEVER_SPENT.process,
            expires_ns: 0,
        };
        let plans: Vec<Plan> = Sample::ALL.iter().map(|sample| sample.plan(memory)).collect();
        let sites: Vec<SitePlan<'_>> = plans
            .iter()
            .map(|plan| SitePlan { pc, has_twin: false, trap_ns: 0, plan, entry: None })
            .collect();
        let mut maps = program.maps();
        let budgets = maps.set_budgets(NEVER_SPENT)?;
        match maps.occupy(gate, &ring, &sites, &[]) {
            Ok(occupied) => Ok(Self { program, occupied, ring, budgets }),
            Err(error) => {
                maps.set_budgets(budgets)?;
                Err(error)
            }
        }
    }

    /// The site that is to be linked.
    pub(super) fn site(&self) -> u32 {
        self.occupied.sites.start
    }

    /// The costs, once the site is linked. `alone` are the functions' times without breakpoints.
    #[inline(never)]
    pub(super) fn costs(&mut self, alone: [f64; 2]) -> Result<CostModel, AttachError> {
        let frame = [1_u8; FRAME_BYTES];
        black_box(&frame);
        let mut ways = self.ways()?;
        let mut stepped = f64::INFINITY;
        for _ in 0..RUNS {
            for (parameters, quickest) in &mut ways {
                *quickest = quickest.min(self.time(*parameters)?);
            }
            stepped = stepped.min(run(single_stepped));
        }
        let wake_ns = self.wake(ways[NOTHING].0)?;
        black_box(&frame);
        let ns: Vec<f64> = ways.iter().map(|(_, quickest)| *quickest).collect();
        let costs = solve(&ns, stepped, alone);
        let costs = costs.ok_or_else(|| AttachError::object("a sample is missing"))?;
        Ok(CostModel { wake_ns, ..costs })
    }

    /// Nanoseconds more for a hit that wakes a reader: one that finds the reader asleep, against one
    /// whose reader has not read the record before.
    fn wake(&mut self, nothing: Site) -> Result<f64, AttachError> {
        self.time(nothing)?;
        let asleep = median(|| {
            while self.ring.next_record().is_some() {}
            self.sleep_on_ring(emulated, ASLEEP)
        });
        let behind = median(|| {
            emulated();
            self.sleep_on_ring(emulated, Duration::ZERO)
        });
        while self.ring.next_record().is_some() {}
        Ok((asleep - behind).max(0.0))
    }

    /// Calls once when a thread has waited for the ring for a time, or would have if it were empty.
    fn sleep_on_ring(&self, function: extern "C" fn(), asleep: Duration) -> f64 {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut fds = [PollFd::from_borrowed_fd(self.ring.fd(), PollFlags::IN)];
                poll(&mut fds, Some(&GIVES_UP))
            });
            std::thread::sleep(asleep);
            let start = now();
            function();
            let ns = now() - start;
            // It has been woken, or was never asleep.
            drop(waiter.join());
            ns
        })
    }

    /// The ways of a hit, each with the quickest time so far: switched off, counted, turned away,
    /// then the samples.
    fn ways(&self) -> Result<Vec<(Site, f64)>, AttachError> {
        let maps = self.program.maps();
        let first = Site { enabled: 1, ..maps.site(self.site())? };
        let mut ways = vec![
            Site { enabled: 0, ..first },
            Site { action: action::COUNT, ..first },
            // The first hit ever is captured, all others come too soon.
            Site { interval_ns: u64::MAX / 4, ..first },
        ];
        for site in self.occupied.sites.clone() {
            ways.push(Site { enabled: 1, ..maps.site(site)? });
        }
        Ok(ways.into_iter().map(|site| (site, f64::INFINITY)).collect())
    }

    /// Nanoseconds for a hit with these parameters.
    fn time(&mut self, parameters: Site) -> Result<f64, AttachError> {
        let linked = self.site();
        self.program.maps().change(&(linked..linked + 1), |site| *site = parameters)?;
        // The first record wakes a reader, and the first hit finds nothing in the caches.
        emulated();
        emulated();
        Ok(run(emulated))
    }
}

/// The quickest of some runs, nanoseconds for a call.
pub(super) fn fastest(function: extern "C" fn()) -> f64 {
    (0..RUNS).map(|_| run(function)).fold(f64::INFINITY, f64::min)
}

/// Nanoseconds of this thread for a call.
fn run(function: extern "C" fn()) -> f64 {
    let start = now();
    for _ in 0..CALLS {
        black_box(function)();
    }
    (now() - start) / f64::from(CALLS)
}

/// Nanoseconds of this thread.
fn now() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// The value in the middle of some.
fn median(mut take: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..WAKES).map(|_| take()).collect();
    values.sort_by(f64::total_cmp);
    values[WAKES / 2]
}

/// The model that explains the times of all ways; `None` if there are not as many.
fn solve(ns: &[f64], stepped: f64, alone: [f64; 2]) -> Option<CostModel> {
    let [
        off,
        count,
        limited,
        nothing,
        ops,
        list,
        pointers,
        object,
        text,
        small_stack,
        stack,
        faults,
    ] = *<&[f64; 12]>::try_from(ns).ok()?;
    let per = |more: f64, count: f64| (more / count).max(0.0);
    let op_ns = per(ops - nothing, 2.0 * samples::PAIRS as f64);
    let root_ns = nothing + samples::ROOT_OPS as f64 * op_ns;
    let nodes = samples::NODES as f64;
    let edge_ns = per(pointers - list, nodes * samples::NULLS as f64);
    let with_bytes_ns = per(list - root_ns, nodes) - edge_ns;
    let object_kib = samples::OBJECT_BYTES as f64 / KIB;
    let object_kib_ns = per(object - root_ns - with_bytes_ns, object_kib);
    let item_ns = (with_bytes_ns - object_kib_ns * samples::NODE_BYTES as f64 / KIB).max(0.0);
    let stack_kib_ns = per(
        stack - small_stack,
        f64::from(samples::STACK_BYTES - samples::SMALL_STACK_BYTES) / KIB,
    );
    let small_kib = (f64::from(samples::SMALL_STACK_BYTES) + RED_ZONE_BYTES as f64) / KIB;
    let fault_ops = (samples::FAULTS * samples::ROOT_OPS) as f64;
    Some(CostModel {
        emulated_ns: off - alone[0],
        single_stepped_ns: stepped - alone[1],
        return_ns: None,
        wake_ns: 0.0,
        count_ns: per(count - off, 1.0),
        limited_ns: per(limited - off, 1.0),
        capture_ns: per(nothing - off, 1.0),
        op_ns,
        item_ns,
        edge_ns,
        stack_ns: per(small_stack - nothing - item_ns - small_kib * stack_kib_ns, 1.0),
        stack_kib_ns,
        object_kib_ns,
        text_kib_ns: per(text - root_ns - item_ns, samples::TEXT_BYTES as f64 / KIB),
        fault_ns: per(faults - nothing - fault_ops * op_ns, samples::FAULTS as f64) - item_ns,
    })
}

/// When this process started, in clock ticks since boot: field 22 of `/proc/self/stat`, of which
/// the second may hold anything.
fn own_start() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let field = behind.split_ascii_whitespace().nth(22 - 3);
    field.and_then(|text| text.parse().ok()).ok_or_else(|| io::Error::other("not understood"))
}
