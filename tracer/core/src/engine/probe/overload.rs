//! What becomes of a probe whose breakpoints went without us: the kernel program tripped it, or
//! nobody held them any more.

use super::Probe;
use crate::attach::breakpoints::Closed;
use crate::attach::error::AttachError;
use crate::engine::error::EngineError;
use crate::engine::event::{BudgetOf, Ended, Event, Overload};
use crate::engine::pipe::Deliver;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracer_common::maps::{Trip, trip};
use tracer_common::outcome::Outcome;

/// The longest time that a probe is left out after a trip.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How often a probe was tripped, and when it comes back.
#[derive(Debug)]
pub(super) struct Trips {
    /// How long it stays out after the next trip; `None` for ever.
    wait: Option<Duration>,
    count: u64,
    last: Option<Overload>,
    /// When it comes back.
    again_at: Option<Instant>,
    /// Its breakpoints went, and it is known what follows.
    is_known: bool,
}

impl Trips {
    /// None yet. Who asks for `retry` comes back after so long, and later each time.
    pub(super) fn new(retry: Option<Duration>) -> Self {
        Self { wait: retry, count: 0, last: None, again_at: None, is_known: false }
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Overload> {
        self.last
    }

    /// The probe does not come back by itself; true if it would have.
    pub(super) fn stay_out(&mut self) -> bool {
        self.again_at.take().is_some()
    }

    /// Its breakpoints are in place again.
    pub(super) fn is_back(&mut self) {
        self.again_at = None;
        self.is_known = false;
    }

    /// Notes a trip.
    fn note(&mut self, trip: &Trip, last_ns: u64) -> Overload {
        self.count += 1;
        let lasted = Duration::from_nanos(last_ns.saturating_sub(trip.time_boot_ns));
        let overload = overload(trip, self.count, lasted);
        self.last = Some(overload);
        overload
    }

    /// Notes a trip; gives how long it stays out, `None` for ever.
    fn add(&mut self, trip: &Trip, last_ns: u64, now: Instant) -> (Overload, Option<Duration>) {
        let overload = self.note(trip, last_ns);
        let wait = self.wait;
        self.again_at = wait.map(|wait| now + wait);
        self.wait = wait.map(|wait| (wait * 2).min(WAIT_MAX));
        (overload, wait)
    }
}

fn overload(trip: &Trip, trips: u64, lasted: Duration) -> Overload {
    Overload {
        of: match trip.cause {
            trip::PROCESS => BudgetOf::Process,
            trip::NODE => BudgetOf::Node,
            _ => BudgetOf::Probe,
        },
        spent: Duration::from_nanos(trip.spent_ns),
        limit: Duration::from_nanos(trip.limit_ns),
        trips,
        time_boot_ns: trip.time_boot_ns,
        lasted,
    }
}

impl Probe<'_> {
    /// Readable once the breakpoints went without us; `None` when that is known.
    pub(super) fn closed_fd(&self) -> Option<Arc<OwnedFd>> {
        self.kernel.links.closed_fd(self.link).filter(|_| !self.trips.is_known)
    }

    /// How long until it comes back.
    pub(super) fn again_in(&self, now: Instant) -> Option<Duration> {
        self.trips.again_at.map(|at| at.saturating_duration_since(now))
    }

    /// Finds out why the breakpoints went, and what follows from it.
    pub(in crate::engine) fn closed(
        &mut self,
        deliver: &mut Deliver<'_>,
    ) -> Result<Option<Ended>, EngineError> {
        let trip = match self.kernel.links.why_closed(self.link) {
            None => return Ok(None),
            Some(Closed::Silence) => return Ok(Some(Ended::Silence)),
            Some(Closed::GuardianDied | Closed::Refused) => return Ok(Some(Ended::GuardianDied)),
            Some(Closed::Signal) => return Ok(Some(Ended::Stopped)),
            Some(Closed::Expired) => return Ok(Some(Ended::Timeout)),
            Some(Closed::Tripped(trip)) if trip.cause == trip::EXPIRED => {
                return Ok(Some(Ended::Timeout));
            }
            Some(Closed::Tripped(trip)) => trip,
        };
        self.trips.is_known = true;
        let captured = self.counts()?.outcomes[Outcome::Captured as usize];
        if self.wanted != 0 && captured >= self.wanted {
            // All that is wanted is in the ring.
            return Ok(None);
        }
        if self.pauses.are_on() {
            // It was being paused at this moment, and comes back when it is told to.
            return Ok(None);
        }
        let last_ns = self.kernel.links.last_hit(&self.kernel.program, self.link)?;
        if let Some(why) = self.dear_entries(&trip)? {
            let overload = self.trips.note(&trip, last_ns);
            return self.do_without(overload, why, deliver);
        }
        let (overload, again_in) = self.trips.add(&trip, last_ns, Instant::now());
        tracing::warn!(?overload, ?again_in, "a probe cost more than it may and is out");
        if again_in.is_none() {
            return Ok(Some(Ended::Tripped));
        }
        // All of them, before anybody is told so.
        self.breakpoints.remove();
        self.pauses.begin();
        let told = self.deliver(Event::Tripped { overload, again_in }, deliver);
        Ok(told.is_break().then_some(Ended::Stopped))
    }

    /// Comes back at once after a trip, without the breakpoints at entries.
    fn do_without(
        &mut self,
        overload: Overload,
        why: String,
        deliver: &mut Deliver<'_>,
    ) -> Result<Option<Ended>, EngineError> {
        tracing::info!(?overload, why, "a probe goes on without entries");
        let tripped = Event::Tripped { overload, again_in: Some(Duration::ZERO) };
        if self.deliver(tripped, deliver).is_break() {
            return Ok(Some(Ended::Stopped));
        }
        match self.leave_entries(why) {
            Err(EngineError::Attach(AttachError::Removed)) => return Ok(Some(Ended::Stopped)),
            left => left?,
        }
        Ok(self.deliver(Event::Resumed, deliver).is_break().then_some(Ended::Stopped))
    }

    /// Comes back after a trip.
    pub(in crate::engine) fn come_back(
        &mut self,
        deliver: &mut Deliver<'_>,
    ) -> Result<Option<Ended>, EngineError> {
        let event = match self.resume() {
            // Someone stopped it meanwhile.
            Err(EngineError::Attach(AttachError::Removed)) => return Ok(Some(Ended::Stopped)),
            resumed => resumed?,
        };
        let Some(event) = event else { return Ok(None) };
        Ok(self.deliver(event, deliver).is_break().then_some(Ended::Stopped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Trip = Trip {
        gate: 0,
        cause: trip::NODE,
        spent_ns: 600_000,
        limit_ns: 500_000,
        hits: 9,
        time_boot_ns: 1,
    };

    #[test]
    fn a_probe_stays_out_unless_it_is_asked_to_come_back() {
        let mut trips = Trips::new(None);
        let (overload, wait) = trips.add(&TRIP, 5001, Instant::now());
        assert_eq!((overload.of, overload.trips, wait), (BudgetOf::Node, 1, None));
        assert_eq!(overload.lasted, Duration::from_micros(5));
        assert_eq!(trips.again_at, None);
        assert_eq!(trips.last(), Some(overload));
    }

    #[test]
    fn each_time_it_comes_back_later_but_a_minute_at_most() {
        let mut trips = Trips::new(Some(Duration::from_secs(10)));
        let waits = [(); 5].map(|()| trips.add(&TRIP, 0, Instant::now()).1.unwrap().as_secs());
        assert_eq!(waits, [10, 20, 40, 60, 60]);
    }
}
