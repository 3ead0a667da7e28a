//! The kernel side that all probes of an engine share, and what they have counted together.

use super::Engine;
use super::counted::Readers;
use super::error::EngineError;
use super::event::Outcomes;
use super::readings::Durations;
use crate::attach::link::{Counts, LinkId, Links};
use crate::attach::load::{LoadOptions, Program};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock, PoisonError};
use tracer_common::outcome::Outcome;

/// The loaded program and the breakpoints that are linked to it.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) program: Program,
    pub(super) links: Links,
    /// Records received from all rings.
    pub(super) received: AtomicU64,
    /// Those of them that were malformed.
    pub(super) malformed: AtomicU64,
    /// The most children of a probe's target that carried its breakpoint, where there were any.
    children: Mutex<HashMap<LinkId, u64>>,
    /// Who reads the rings.
    pub(super) readers: Readers,
    /// Of probes that have gone.
    gone: Mutex<Gone>,
}

/// What is left of probes that have gone.
#[derive(Clone, Copy, Debug, Default)]
struct Gone {
    counts: Counts,
    attach: Durations,
    detach: Durations,
}

/// What probes have counted together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) counts: Counts,
    pub(super) received: u64,
    pub(super) malformed: u64,
    pub(super) rings_size: u64,
    pub(super) probes: u64,
    pub(super) attach: Durations,
    pub(super) detach: Durations,
}

/// The kernel side of an engine, loaded by the first who needs it.
#[derive(Debug, Default)]
pub(super) struct Slot(OnceLock<Kernel>);

impl Engine {
    /// Loads the kernel side and measures what a hit costs now, and not when the first probe needs it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    pub fn load(&self) -> Result<(), EngineError> {
        let kernel = self.kernel()?;
        kernel.program.prepare(self.options.attach)?;
        kernel.program.costs(self.options.attach)?;
        Ok(())
    }

    pub(super) fn kernel(&self) -> Result<&Kernel, EngineError> {
        if let Some(kernel) = self.loaded() {
            return Ok(kernel);
        }
        let options = LoadOptions {
            scratch_slots: self.options.scratch_slots,
            log_level: self.options.kernel_log.map_or(0, level),
            budgets: self.options.budgets,
            ..LoadOptions::default()
        };
        let links = Links::new(self.options.guardian.clone());
        // It starts while the program is loaded; a probe that needs it is told why it can't.
        if let Err(error) = links.prepare() {
            tracing::warn!(%error, "no guardian");
        }
        let program = Program::load(&options)?;
        let kernel = Kernel {
            program,
            links,
            received: AtomicU64::default(),
            malformed: AtomicU64::default(),
            children: Mutex::default(),
            readers: Readers::default(),
            gone: Mutex::default(),
        };
        // Of two that load it at once, one is dropped.
        Ok(self.kernel.0.get_or_init(|| kernel))
    }

    pub(super) fn loaded(&self) -> Option<&Kernel> {
        self.kernel.0.get()
    }
}

impl Engine {
    /// The most forked children of a placed probe's target that carried its breakpoint so far.
    pub fn children(&self, link: LinkId) -> u64 {
        let children = self.loaded().map(|kernel| &kernel.children);
        let children = children.map(|map| map.lock().unwrap_or_else(PoisonError::into_inner));
        children.and_then(|map| map.get(&link).copied()).unwrap_or(0)
    }
}

impl Kernel {
    /// Notes how many children of a probe's target carried its breakpoint.
    pub(super) fn set_children(&self, link: LinkId, children: u64) {
        if children > 0 {
            self.children.lock().unwrap_or_else(PoisonError::into_inner).insert(link, children);
        }
    }

    /// Takes the breakpoints of a probe out, if they are in place still, and gives back what it
    /// occupied; what it counted stays in the totals.
    pub(super) fn retire(&self, link: LinkId) {
        let Some(breakpoints) = self.links.breakpoints(link) else { return };
        // Its look at the text waits for breakpoints that went with a guardian that died: a hit of
        // theirs must not count for the next probe at these sites.
        self.links.suspend(link);
        // Held until it is forgotten: who reads the totals counts a probe once, here or there.
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        match self.links.counts(&self.program, link) {
            Ok(counts) => gone.counts += counts,
            Err(error) => tracing::warn!(%error, "the counts of a probe are lost"),
        }
        if let Some(attached) = self.links.attached(link) {
            gone.attach.add(attached.took);
        }
        if let Some(removal) = breakpoints.removal() {
            gone.detach.add(removal);
        }
        self.children.lock().unwrap_or_else(PoisonError::into_inner).remove(&link);
        self.readers.remove(link);
        let taken = self.links.take(link);
        drop(gone);
        if let Some(taken) = taken {
            taken.vacate(&self.program);
        }
    }

    /// What all probes have counted so far.
    pub(super) fn totals(&self) -> Totals {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut totals = Totals {
            counts: gone.counts,
            received: self.received.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            rings_size: 0,
            probes: 0,
            attach: gone.attach,
            detach: gone.detach,
        };
        for link in self.links.ids() {
            if let Ok(counts) = self.links.counts(&self.program, link) {
                totals.counts += counts;
            }
            totals.rings_size += self.links.ring_bytes(link);
            totals.probes += 1;
            if let Some(attached) = self.links.attached(link) {
                totals.attach.add(attached.took);
            }
        }
        totals
    }
}

pub(super) fn by_outcome(counts: &Counts) -> Outcomes {
    Outcome::ALL.iter().map(|o| (*o, counts.outcomes[*o as usize])).collect()
}

/// The kernel program's number of a level, as aya-log counts them.
fn level(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 1,
        tracing::Level::WARN => 2,
        tracing::Level::INFO => 3,
        tracing::Level::DEBUG => 4,
        tracing::Level::TRACE => 5,
    }
}
