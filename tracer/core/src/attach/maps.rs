//! Typed writers for the program's maps, and which parts of them are taken.
#![expect(unsafe_code, reason = "aya wants a promise that map values are plain bytes")]

use super::error::AttachError;
use super::ring::Ring;
use super::sys;
use crate::model::action::Action;
use crate::model::address::Avma;
use crate::model::budget::{Budgets, CpuShare};
use crate::model::caller::Caller;
use crate::model::limits::Limits;
use crate::model::plan::Plan;
use aya::Ebpf;
use aya::maps::{Array, Map, MapData, PerCpuArray};
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use tracer_common::code::{Code, Edge, Layout, Op, TEXT};
use tracer_common::limits;
use tracer_common::maps::{
    ANY_OWNER, Budget, Counters, NODE_BUDGET, Site, SiteState, action, names,
};
use tracer_common::outcome::Outcome;
use zerocopy::{FromBytes, IntoBytes};

/// A map value as aya takes it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Plain<T>(pub(crate) T);

/// What can be a map value: plain bytes without padding.
pub(crate) trait MapValue: Copy + IntoBytes + FromBytes + 'static {}

impl<T: Copy + IntoBytes + FromBytes + 'static> MapValue for T {}

// SAFETY: zerocopy proves that every byte is initialised and every bit pattern is a value.
unsafe impl<T: MapValue> aya::Pod for Plain<T> {}

/// A map of values of one type with its free ranges.
struct Table<T: MapValue> {
    what: &'static str,
    map: Array<MapData, Plain<T>>,
    length: u32,
    /// Taken ranges, in order.
    taken: Vec<Range<u32>>,
}

impl<T: MapValue> Table<T> {
    fn open(
        bpf: &mut Ebpf,
        name: &str,
        what: &'static str,
        length: u32,
    ) -> Result<Self, AttachError> {
        Ok(Self { what, map: array(bpf, name)?, length, taken: Vec::new() })
    }

    /// Takes the first free range of `count` values.
    fn take(&mut self, count: usize) -> Result<Range<u32>, AttachError> {
        let full = || AttachError::MapFull { what: self.what, count };
        let wanted = u32::try_from(count).map_err(|_| full())?;
        let mut start = 0;
        let mut index = 0;
        for taken in &self.taken {
            if taken.start - start >= wanted {
                break;
            }
            start = taken.end;
            index += 1;
        }
        let end = start.checked_add(wanted).filter(|e| *e <= self.length).ok_or_else(full)?;
        if wanted > 0 {
            self.taken.insert(index, start..end);
        }
        Ok(start..end)
    }

    fn give_back(&mut self, range: &Range<u32>) {
        self.taken.retain(|taken| taken != range);
    }

    fn write(&mut self, first: u32, values: &[T]) -> Result<(), AttachError> {
        for (index, value) in (first..).zip(values) {
            self.map.set(index, Plain(*value), 0).map_err(AttachError::object)?;
        }
        Ok(())
    }
}

fn array<T: MapValue>(bpf: &mut Ebpf, name: &str) -> Result<Array<MapData, Plain<T>>, AttachError> {
    Array::try_from(take_map(bpf, name)?).map_err(AttachError::object)
}

pub(crate) fn take_map(bpf: &mut Ebpf, name: &str) -> Result<Map, AttachError> {
    bpf.take_map(name).ok_or_else(|| AttachError::object(format!("no map {name} in the object")))
}

/// The maps that a probe occupies a part of.
pub(crate) struct Maps {
    sites: Table<Site>,
    ops: Table<Op>,
    layouts: Table<Layout>,
    edges: Table<Edge>,
    budgets: Table<Budget>,
    /// Those of processes: the index of each with the number of its probes.
    processes: BTreeMap<(u32, u64), (u32, usize)>,
    /// What processes and the node may cost.
    shared: Budgets,
    /// The last key that entries were given.
    entry_key: u64,
    states: Array<MapData, Plain<SiteState>>,
    counters: PerCpuArray<MapData, Plain<Counters>>,
    rings: Arc<MapData>,
}

/// The part of the maps that one probe occupies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occupied {
    pub(crate) sites: Range<u32>,
    /// The entries of the functions that they are in, behind them.
    pub(crate) entries: Range<u32>,
    /// The entry of each site, counted from the first one.
    entry_of: Vec<Option<usize>>,
    rest: Vec<(Range<u32>, Range<u32>, Range<u32>)>,
    /// What the trap of a hit costs at each site, then at each entry, in nanoseconds.
    pub(crate) trap_ns: Vec<u32>,
    /// Index of the probe's budget.
    budget: Option<u32>,
    /// The process whose budget it shares.
    process: Option<(u32, u64)>,
}

impl Occupied {
    /// Sites and entries: all that have a breakpoint.
    pub(crate) fn all(&self) -> Range<u32> {
        self.sites.start..self.entries.end
    }

    /// Number of the first layout of the probe's site with this index.
    pub(crate) fn first_layout(&self, site: usize) -> Option<u32> {
        self.rest.get(site).map(|(_, layouts, _)| layouts.start)
    }
}

/// The gate's parameters, the same for all sites of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Start time in clock ticks of 10 ms since boot.
    pub start_ticks: u64,
    /// Captures allowed, 0 for no limit.
    pub hit_limit: u64,
    /// Nanoseconds between captures at least, 0 for no limit.
    pub interval_ns: u64,
    /// What to do with a hit that passes.
    pub action: Action,
    /// Whose processes may be captured.
    pub owner: Caller,
    /// What the probe may cost.
    pub budget: CpuShare,
    /// When it expires, in nanoseconds since boot; 0 for never.
    pub expires_ns: u64,
}

/// A site as the maps take it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SitePlan<'p> {
    /// The address that is probed.
    pub(crate) pc: Avma,
    /// The probe has another site at the same place of the file.
    pub(crate) has_twin: bool,
    /// What the trap of a hit costs, in nanoseconds.
    pub(crate) trap_ns: u32,
    /// What to capture.
    pub(crate) plan: &'p Plan,
    /// Index of the entry whose registers the plan uses.
    pub(crate) entry: Option<usize>,
}

/// The entry of a function, as the maps take it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryPlan {
    /// The address that is probed.
    pub(crate) pc: Avma,
    /// The probe has another entry at the same place of the file.
    pub(crate) has_twin: bool,
    /// What the trap of a hit costs, in nanoseconds.
    pub(crate) trap_ns: u32,
    /// The canonical frame address is the stack pointer plus this.
    pub(crate) frame_offset: u32,
}

impl Maps {
    pub(crate) fn open(bpf: &mut Ebpf, budgets: Budgets) -> Result<Self, AttachError> {
        let mut cells = Table::open(bpf, names::BUDGETS, "budgets", limits::BUDGETS)?;
        let node = cells.take(1)?;
        debug_assert_eq!(node.start, NODE_BUDGET, "the first that is taken");
        cells.write(node.start, &[cell(budgets.node)])?;
        Ok(Self {
            budgets: cells,
            processes: BTreeMap::new(),
            shared: budgets,
            entry_key: 0,
            sites: Table::open(bpf, names::SITES, "sites", limits::SITES)?,
            ops: Table::open(bpf, names::OPS, "plan operations", limits::OPS)?,
            layouts: Table::open(bpf, names::LAYOUTS, "plan layouts", limits::LAYOUTS)?,
            edges: Table::open(bpf, names::EDGES, "plan edges", limits::EDGES)?,
            states: array(bpf, names::STATES)?,
            counters: PerCpuArray::try_from(take_map(bpf, names::COUNTERS)?)
                .map_err(AttachError::object)?,
            rings: match take_map(bpf, names::RINGS)? {
                Map::ArrayOfMaps(data) => Arc::new(data),
                other => return Err(AttachError::object(format!("unexpected map {other:?}"))),
            },
        })
    }

    /// Writes the plans of a probe, switched off, and gives the part of the maps they occupy.
    pub(crate) fn occupy(
        &mut self,
        gate: Gate,
        ring: &Ring,
        sites: &[SitePlan<'_>],
        entries: &[EntryPlan],
    ) -> Result<Occupied, AttachError> {
        let all = self.sites.take(sites.len() + entries.len())?;
        let behind = all.end - entries.len() as u32;
        let mut occupied = Occupied {
            sites: all.start..behind,
            entries: behind..all.end,
            entry_of: sites.iter().map(|site| site.entry).collect(),
            ..Occupied::default()
        };
        let written = self
            .set_ring(occupied.sites.start, ring)
            .and_then(|()| self.open_budgets(gate, &mut occupied))
            .and_then(|process| {
                self.write_plans(gate, process, sites, &mut occupied)?;
                self.write_entries(gate, process, entries, &mut occupied)
            })
            .and_then(|()| self.renew_entries(&occupied));
        match written {
            Ok(()) => Ok(occupied),
            Err(error) => {
                self.vacate(&occupied);
                Err(error)
            }
        }
    }

    /// Gives the probe a budget of its own, and a share in that of its process, whose index is
    /// returned.
    fn open_budgets(&mut self, gate: Gate, occupied: &mut Occupied) -> Result<u32, AttachError> {
        let own = self.budgets.take(1)?.start;
        occupied.budget = Some(own);
        let once = gate.budget.ns_per_window().unwrap_or(0) * limits::GRACE_WINDOWS;
        self.budgets.write(own, &[Budget { grace_ns: once, ..cell(gate.budget) }])?;
        let process = (gate.pid, gate.start_ticks);
        let shared = match self.processes.get(&process) {
            Some((index, _)) => *index,
            None => {
                let index = self.budgets.take(1)?.start;
                self.processes.insert(process, (index, 0));
                index
            }
        };
        occupied.process = Some(process);
        let probes = self.processes.get_mut(&process).map(|(_, probes)| probes);
        if let Some(probes) = probes
            && std::mem::replace(probes, *probes + 1) == 0
        {
            self.budgets.write(shared, &[cell(self.shared.process)])?;
        }
        Ok(shared)
    }

    fn close_budgets(&mut self, occupied: &Occupied) {
        if let Some(own) = occupied.budget {
            self.budgets.give_back(&(own..own + 1));
        }
        let Some(process) = occupied.process else { return };
        let Some((index, probes)) = self.processes.get_mut(&process) else { return };
        *probes -= 1;
        if *probes == 0 {
            let index = *index;
            self.processes.remove(&process);
            self.budgets.give_back(&(index..index + 1));
        }
    }

    fn write_plans(
        &mut self,
        gate: Gate,
        process_budget: u32,
        sites: &[SitePlan<'_>],
        occupied: &mut Occupied,
    ) -> Result<(), AttachError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| AttachError::object(error))?;
        let budget = occupied.budget.unwrap_or_default();
        for (site, SitePlan { pc, has_twin, trap_ns, plan, .. }) in
            occupied.sites.clone().zip(sites)
        {
            let ops = self.ops.take(plan.ops.len())?;
            let layouts = self.layouts.take(plan.layouts.len())?;
            let edges = self.edges.take(plan.edges.len())?;
            occupied.rest.push((ops.clone(), layouts.clone(), edges.clone()));
            let (moved_ops, moved_layouts, moved_edges) =
                relocate(plan, layouts.start, edges.start);
            self.ops.write(ops.start, &moved_ops)?;
            self.layouts.write(layouts.start, &moved_layouts)?;
            self.edges.write(edges.start, &moved_edges)?;
            self.reset_state(site)?;
            let zeros = vec![Plain(Counters::default()); cpus];
            let zeros = zeros.try_into().map_err(AttachError::object)?;
            self.counters.set(site, zeros, 0).map_err(AttachError::object)?;
            let parameters = parameters(gate, plan.limits, occupied.sites.start, ops.start);
            occupied.trap_ns.push(*trap_ns);
            let (has_twin, trap_ns) = (u32::from(*has_twin), *trap_ns);
            let own = Site { pc: pc.0, has_twin, trap_ns, budget, process_budget, ..parameters };
            self.sites.write(site, &[own])?;
        }
        Ok(())
    }

    fn write_entries(
        &mut self,
        gate: Gate,
        process_budget: u32,
        entries: &[EntryPlan],
        occupied: &mut Occupied,
    ) -> Result<(), AttachError> {
        let budget = occupied.budget.unwrap_or_default();
        for (index, entry) in occupied.entries.clone().zip(entries) {
            self.reset_state(index)?;
            occupied.trap_ns.push(entry.trap_ns);
            let own = Site {
                pid: gate.pid,
                start_ticks: gate.start_ticks,
                pc: entry.pc.0,
                gate: occupied.sites.start,
                has_twin: u32::from(entry.has_twin),
                action: action::KEEP,
                expires_ns: gate.expires_ns,
                trap_ns: entry.trap_ns,
                budget,
                process_budget,
                frame_offset: entry.frame_offset,
                ..Site::default()
            };
            self.sites.write(index, &[own])?;
        }
        Ok(())
    }

    /// Gives the entries of a probe, whose breakpoints are out, keys that nothing was kept for: no
    /// site finds what was kept before they are placed.
    pub(crate) fn renew_entries(&mut self, occupied: &Occupied) -> Result<(), AttachError> {
        let first = self.entry_key + 1;
        self.entry_key += occupied.entries.len() as u64;
        for (key, index) in (first..).zip(occupied.entries.clone()) {
            self.change(&(index..index + 1), |entry| entry.entry_key = key)?;
        }
        for (index, entry) in occupied.sites.clone().zip(&occupied.entry_of) {
            if let Some(entry) = entry {
                self.change(&(index..index + 1), |site| site.entry_key = first + *entry as u64)?;
            }
        }
        Ok(())
    }

    fn reset_state(&mut self, site: u32) -> Result<(), AttachError> {
        self.states.set(site, Plain(SiteState::default()), 0).map_err(AttachError::object)
    }

    fn set_ring(&mut self, index: u32, ring: &Ring) -> Result<(), AttachError> {
        sys::set_inner_map(self.rings.fd().as_fd(), index, ring.fd())
            .map_err(|e| AttachError::kernel("a probe's ring buffer", e))
    }

    /// Switches sites on or off.
    pub(crate) fn enable(&mut self, sites: &Range<u32>, on: bool) -> Result<(), AttachError> {
        self.change(sites, |site| site.enabled = u32::from(on))
    }

    /// Changes words of sites that may be in use: each hit sees the old or the new word.
    pub(crate) fn change(
        &mut self,
        sites: &Range<u32>,
        mut change: impl FnMut(&mut Site),
    ) -> Result<(), AttachError> {
        for index in sites.clone() {
            let mut site = self.site(index)?;
            change(&mut site);
            self.sites.write(index, &[site])?;
        }
        Ok(())
    }

    /// The parameters of a site.
    pub(crate) fn site(&self, index: u32) -> Result<Site, AttachError> {
        let Plain(site) = self.sites.map.get(&index, 0).map_err(AttachError::object)?;
        Ok(site)
    }

    /// Lets the node and each process that is probed from now on cost so much; gives what they
    /// might cost before.
    pub(crate) fn set_budgets(&mut self, budgets: Budgets) -> Result<Budgets, AttachError> {
        self.budgets.write(NODE_BUDGET, &[cell(budgets.node)])?;
        Ok(std::mem::replace(&mut self.shared, budgets))
    }

    /// When the last hit came after a probe was tripped, in nanoseconds since boot; 0 for none.
    pub(crate) fn last_hit(&self, occupied: &Occupied) -> Result<u64, AttachError> {
        let Some(own) = occupied.budget else { return Ok(0) };
        let Plain(budget) = self.budgets.map.get(&own, 0).map_err(AttachError::object)?;
        Ok(budget.last_ns)
    }

    /// Forgets that a probe was tripped, and what it spent. Its breakpoints are out.
    pub(crate) fn reset_budget(&mut self, occupied: &Occupied) -> Result<(), AttachError> {
        let Some(own) = occupied.budget else { return Ok(()) };
        let Plain(budget) = self.budgets.map.get(&own, 0).map_err(AttachError::object)?;
        let fresh = Budget { limit_ns: budget.limit_ns, ..Budget::default() };
        self.budgets.write(own, &[fresh])
    }

    /// Gives back what a probe occupied.
    pub(crate) fn vacate(&mut self, occupied: &Occupied) {
        remove_ring(&self.rings, occupied);
        self.give_back(occupied);
    }

    /// For [`remove_ring`], which needs no other map.
    pub(crate) fn rings(&self) -> Arc<MapData> {
        Arc::clone(&self.rings)
    }

    /// Gives back what a probe occupied whose ring is removed.
    pub(crate) fn give_back(&mut self, occupied: &Occupied) {
        self.close_budgets(occupied);
        self.sites.give_back(&occupied.all());
        for (ops, layouts, edges) in &occupied.rest {
            self.ops.give_back(ops);
            self.layouts.give_back(layouts);
            self.edges.give_back(edges);
        }
    }

    /// Threads that came by an entry.
    pub(crate) fn entered(&self, entry: u32) -> Result<u64, AttachError> {
        let Plain(state) = self.states.get(&entry, 0).map_err(AttachError::object)?;
        Ok(state.hits)
    }

    /// Hits of a site and how they ended, over all cpus.
    pub(crate) fn counts(&self, site: u32) -> Result<(u64, Counters), AttachError> {
        let Plain(state) = self.states.get(&site, 0).map_err(AttachError::object)?;
        let per_cpu = self.counters.get(&site, 0).map_err(AttachError::object)?;
        let mut sum = Counters::default();
        for Plain(counters) in per_cpu.iter() {
            for outcome in Outcome::ALL {
                sum.outcomes[*outcome as usize] += counters.outcomes[*outcome as usize];
            }
            sum.capture_ns += counters.capture_ns;
        }
        Ok((state.hits, sum))
    }
}

/// A budget of which nothing is spent.
fn cell(share: CpuShare) -> Budget {
    Budget { limit_ns: share.ns_per_window().unwrap_or(0), ..Budget::default() }
}

/// Removes the ring of a probe: without it the ring would live on, and be of use to nobody. The
/// kernel waits for all programs that run now, some 20 ms.
pub(crate) fn remove_ring(rings: &MapData, occupied: &Occupied) {
    if let Err(error) = sys::remove_inner_map(rings.fd().as_fd(), occupied.sites.start) {
        tracing::warn!(%error, "a probe's ring buffer stays");
    }
}

fn parameters(gate: Gate, limits: Limits, first_site: u32, op_first: u32) -> Site {
    let (owner_uid, owner_gid) = match gate.owner {
        Caller::Root => (ANY_OWNER, ANY_OWNER),
        Caller::User { uid, gid } => (uid, gid),
    };
    Site {
        enabled: 0,
        pid: gate.pid,
        start_ticks: gate.start_ticks,
        pc: 0,
        hit_limit: gate.hit_limit,
        interval_ns: gate.interval_ns,
        gate: first_site,
        op_first,
        stack_bytes: limits.stack_bytes,
        bytes_max: limits.bytes_max,
        text_max: limits.text_bytes_max,
        items_max: limits.items_max,
        depth_max: limits.depth_max,
        nodes_max: limits.nodes_max,
        has_twin: 0,
        action: match gate.action {
            Action::Snapshot => action::CAPTURE,
            Action::Count => action::COUNT,
        },
        owner_uid,
        owner_gid,
        expires_ns: gate.expires_ns,
        trap_ns: 0,
        budget: 0,
        process_budget: 0,
        frame_offset: 0,
        entry_key: 0,
    }
}

/// The plan with its indices moved to where it lies in the maps.
fn relocate(plan: &Plan, layouts: u32, edges: u32) -> (Vec<Op>, Vec<Layout>, Vec<Edge>) {
    let has_layout =
        |code: u8| matches!(Code::from_u8(code), Some(Code::Copy | Code::Chase | Code::ChaseSlice));
    let mut moved = (plan.ops.clone(), plan.layouts.clone(), plan.edges.clone());
    for op in moved.0.iter_mut().filter(|op| has_layout(op.code)) {
        op.layout += layouts;
    }
    for layout in &mut moved.1 {
        layout.edge_first += edges;
    }
    for edge in moved.2.iter_mut().filter(|edge| edge.target != TEXT) {
        edge.target += layouts;
    }
    moved
}
