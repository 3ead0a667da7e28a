//! The lease of a placed probe: how long it lives, and whether its breakpoints are in place.

use super::{Probe, is_readable};
use crate::engine::clock;
use crate::engine::control::{Control, Order};
use crate::engine::error::EngineError;
use crate::engine::event::{Ended, Event};
use crate::engine::mapped::Mapped;
use crate::engine::pipe::Deliver;
use crate::resolve;
use std::time::{Duration, Instant};

/// Whether the breakpoints are out for a while, and how long they were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    since: Option<Instant>,
    before: Duration,
}

impl Pauses {
    /// The breakpoints are out for a while.
    pub(super) fn are_on(&self) -> bool {
        self.since.is_some()
    }

    /// How long they were, in all.
    pub(super) fn total(&self) -> Duration {
        self.before + self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    fn end(&mut self) {
        *self = Self { since: None, before: self.total() };
    }
}

impl Probe<'_> {
    /// Carries out the orders that wait. Gives the end if the door had enough meanwhile.
    pub(in crate::engine) fn obey(
        &mut self,
        control: Control<'_>,
        mapped: &Mapped,
        deliver: &mut Deliver<'_>,
    ) -> Option<Ended> {
        // Who wants the end wants nothing else.
        while !is_readable(control.stop())
            && let Some((order, done)) = control.next_order()
        {
            let obeyed = match order {
                Order::Pause => Ok(self.pause(mapped)),
                Order::Resume => self.resume(),
                Order::Until(deadline) => self.put_off(deadline).map(|()| None),
            };
            // Who is told that it is done finds the event told.
            let told = obeyed.map(|event| event.map(|event| self.deliver(event, deliver)));
            done(told.map(drop));
        }
        self.is_quiet().then_some(Ended::Stopped)
    }

    /// Takes the breakpoints out for a while.
    fn pause(&mut self, mapped: &Mapped) -> Option<Event> {
        let would_come_back = self.trips.stay_out();
        if self.pauses.are_on() && !would_come_back {
            return None;
        }
        self.prove_entries();
        let text = self.kernel.links.suspend(self.link);
        if !self.pauses.are_on() {
            self.pauses.begin();
        }
        Some(Event::Paused { text_restored: self.restored(text, mapped) })
    }

    /// Places them again, if all is still as it must be.
    pub(super) fn resume(&mut self) -> Result<Option<Event>, EngineError> {
        if !self.pauses.are_on() {
            return Ok(None);
        }
        resolve::process::check(self.id)?;
        resolve::access::check(self.owner, self.id.pid)?;
        self.misses_before = self.kernel.program.kernel_misses()?;
        self.kernel.links.resume(&self.kernel.program, self.mode, self.link)?;
        self.trips.is_back();
        self.pauses.end();
        self.idle.restart(Instant::now());
        Ok(Some(Event::Resumed))
    }

    /// Lets it live until `deadline`, if that is later than it would.
    fn put_off(&mut self, deadline: Instant) -> Result<(), EngineError> {
        if deadline <= self.deadline {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let expires_ns = clock::boot_ns_after(left);
        self.kernel.links.expire_at(&self.kernel.program, self.link, expires_ns)?;
        self.deadline = deadline;
        Ok(())
    }

    /// How long it may wait still; less than nothing to wait for is nothing.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// How long it may go without a hit still. One that is paused can't be hit.
    pub(super) fn idle_left(&self, now: Instant) -> Option<Duration> {
        self.idle.left(now).filter(|_| !self.pauses.are_on())
    }

    /// Notes whether it was hit; true if it was not for too long.
    pub(super) fn is_idle(&mut self, now: Instant) -> Result<bool, EngineError> {
        let hits = self.counts()?.hits;
        Ok(!self.pauses.are_on() && self.idle.is_over(hits, now))
    }
}
