//! The breakpoints at the entries of the functions that the sites are in: whether they are there, and
//! whether what they kept can be trusted.

use super::Probe;
use crate::attach::breakpoints::AttachedBy;
use crate::attach::error::AttachError;
use crate::attach::site::SiteToArm;
use crate::engine::clock;
use crate::engine::error::EngineError;
use crate::engine::event::Entries;
use crate::model::record::Record;
use tracer_common::maps::{Trip, trip};
use tracer_common::wire::ItemKind;

/// Places breakpoints with those at entries, or without them where one of these can't be placed.
pub(super) fn place<P>(
    sites: &[SiteToArm<'_>],
    attach: impl Fn(&[SiteToArm<'_>]) -> Result<P, AttachError>,
) -> Result<(P, Entries), AttachError> {
    if sites.iter().all(|site| site.entry.is_none()) {
        return Ok((attach(sites)?, Entries::NotNeeded));
    }
    match attach(sites) {
        Ok(placed) => Ok((placed, Entries::Placed)),
        Err(AttachError::Issue(issue)) => {
            let alone: Vec<_> =
                sites.iter().map(|site| SiteToArm { entry: None, ..site.clone() }).collect();
            Ok((attach(&alone)?, Entries::LeftOut(issue.to_string())))
        }
        Err(error) => Err(error),
    }
}

impl Probe<'_> {
    /// The breakpoints at entries.
    pub(in crate::engine) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Goes on without the breakpoints at entries: all are taken out, and the others placed again.
    pub(in crate::engine) fn leave_entries(&mut self, why: String) -> Result<(), EngineError> {
        self.kernel.links.leave_entries(self.link);
        self.kernel.links.suspend(self.link);
        self.entries = Entries::LeftOut(why);
        self.pauses.begin();
        self.resume().map(drop)
    }

    /// Why the breakpoints at entries must go, where they are what a trip was for.
    pub(super) fn dear_entries(&self, trip: &Trip) -> Result<Option<String>, EngineError> {
        let counts = self.counts()?;
        let are_most = counts.entry_ns > counts.trap_ns / 2;
        let why = || {
            let calls = counts.entries;
            format!("{calls} calls of the function came by, and their entry costs too much")
        };
        let is_for_cost = trip.cause != trip::EXPIRED;
        Ok((self.entries == Entries::Placed && is_for_cost && are_most).then(why))
    }

    /// Looks whether the breakpoints at entries are in place: then they were at all hits so far. By
    /// `uprobe_multi` they go last, so nobody needs to look; by perf events they go in any order.
    pub(super) fn prove_entries(&mut self) {
        if self.entries != Entries::Placed || self.attached.by == AttachedBy::Multi {
            return;
        }
        let now = clock::boot_ns();
        if self.kernel.links.has_entries(self.link) {
            self.proven_ns = now;
        }
    }

    /// Takes what was kept at entries out of records where it may be of an earlier call, for the entry
    /// of the call that was hit may have been missed: by the kernel, which says how often it did not
    /// run the program, or because the breakpoint there was out already.
    pub(super) fn forget_unproven(
        &mut self,
        records: &mut [(usize, Record)],
    ) -> Result<(), EngineError> {
        if self.entries != Entries::Placed || records.is_empty() {
            return Ok(());
        }
        self.prove_entries();
        let none_missed = self.kernel.program.kernel_misses()? == self.misses_before;
        let goes_last = self.attached.by == AttachedBy::Multi;
        for (_, record) in records {
            let was_there = goes_last || record.time_boot_ns <= self.proven_ns;
            if !none_missed || !was_there {
                record.items.retain(|item| item.kind != ItemKind::Entry);
            }
        }
        Ok(())
    }
}
