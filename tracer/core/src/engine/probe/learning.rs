//! What is done with a placed probe while it is learned what it costs.

use super::{Probe, Wake, sites_to_arm};
use crate::attach::breakpoints::Closed;
use crate::attach::link::{Counts, LinkId};
use crate::attach::maps::Gate;
use crate::attach::ring::Ring;
use crate::engine::admission::Scene;
use crate::engine::clock;
use crate::engine::code_files::CodeFiles;
use crate::engine::control::Control;
use crate::engine::error::EngineError;
use crate::engine::event::Ended;
use crate::engine::kernel::Kernel;
use crate::model::action::Action;
use crate::model::cost::CostModel;
use crate::model::plan::Plan;
use crate::model::resolved::Resolved;
use std::time::{Duration, Instant};
use tracer_common::code::{Code, Op};
use tracer_common::maps::{Trip, trip};

/// A breakpoint that only counts. Dropping it takes it out.
pub(in crate::engine) struct Counting<'e> {
    kernel: &'e Kernel,
    link: LinkId,
    _ring: Ring,
}

impl<'e> Probe<'e> {
    /// What a hit costs on this machine.
    pub(in crate::engine) fn costs(&self) -> Result<CostModel, EngineError> {
        Ok(self.kernel.program.costs(self.mode)?)
    }

    /// Waits as [`Probe::wait`] does, but no longer than until a moment.
    pub(in crate::engine) fn wait_until(
        &mut self,
        control: Control<'_>,
        until: Instant,
    ) -> Result<Option<Wake>, EngineError> {
        let deadline = self.deadline;
        self.deadline = until.min(deadline);
        let wake = self.wait(control);
        self.deadline = deadline;
        match wake? {
            Wake::Ended(Ended::Timeout) if until < deadline => Ok(None),
            wake => Ok(Some(wake)),
        }
    }

    /// What came so far: hits, and calls at entries.
    pub(in crate::engine) fn came(&self) -> Result<Counts, EngineError> {
        Ok(self.counts()?)
    }

    /// Hits so far of each site.
    pub(in crate::engine) fn site_hits(&self) -> Result<Vec<u64>, EngineError> {
        Ok(self.kernel.links.site_hits(&self.kernel.program, self.link)?)
    }

    /// What the breakpoints were taken out for, if that was a budget.
    pub(in crate::engine) fn trip(&self) -> Option<Trip> {
        match self.kernel.links.why_closed(self.link) {
            Some(Closed::Tripped(trip)) if trip.cause != trip::EXPIRED => Some(trip),
            _ => None,
        }
    }

    /// Number of the first layout of a site in records.
    pub(in crate::engine) fn first_layout(&self, site: usize) -> Option<u32> {
        self.kernel.links.first_layout(self.link, site)
    }

    /// Captures no more than so often in a second from now on, 0 for no limit.
    pub(in crate::engine) fn limit_rate(&self, rate: u64) -> Result<(), EngineError> {
        let (program, interval_ns) = (&self.kernel.program, interval_ns(rate));
        Ok(self.kernel.links.set_interval(program, self.link, interval_ns)?)
    }

    /// Counts the hits of another place, for a moment.
    pub(in crate::engine) fn count_only(
        &self,
        scene: &Scene<'_>,
        resolved: &Resolved,
    ) -> Result<Counting<'e>, EngineError> {
        /// Nothing is sent.
        const RING_BYTES: u32 = 4096;
        /// Gone by itself, whatever becomes of us.
        const LIFE: Duration = Duration::from_secs(2);
        let nothing = Plan {
            ops: vec![Op::new(Code::End, 0, 0)],
            layouts: Vec::new(),
            edges: Vec::new(),
            limits: scene.request.limits,
        };
        let plans = vec![nothing; resolved.sites.len()];
        let files = CodeFiles::open(scene.process, resolved, scene.host)?;
        let mut sites = sites_to_arm(&files, resolved, &plans);
        sites.iter_mut().for_each(|site| site.entry = None);
        let gate = Gate {
            pid: self.id.pid,
            start_ticks: self.id.start_ticks,
            hit_limit: 0,
            interval_ns: 0,
            action: Action::Count,
            owner: self.owner,
            budget: scene.request.budget,
            expires_ns: clock::boot_ns_after(LIFE),
        };
        let ring = Ring::create(RING_BYTES)?;
        let kernel = self.kernel;
        let (link, _) = kernel.links.attach(&kernel.program, self.mode, gate, &ring, &sites)?;
        Ok(Counting { kernel, link, _ring: ring })
    }
}

/// Nanoseconds between captures at a rate, 0 for no limit.
pub(super) fn interval_ns(rate: u64) -> u64 {
    1_000_000_000_u64.checked_div(rate).unwrap_or(0)
}

impl Counting<'_> {
    /// Hits so far.
    pub(in crate::engine) fn hits(&self) -> Result<u64, EngineError> {
        Ok(self.kernel.links.counts(&self.kernel.program, self.link)?.hits)
    }

    /// Why the breakpoint went without us.
    pub(in crate::engine) fn why_closed(&self) -> Option<Closed> {
        self.kernel.links.why_closed(self.link)
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.kernel.retire(self.link);
    }
}
