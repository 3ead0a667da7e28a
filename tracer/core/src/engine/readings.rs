//! What an engine has counted since it was made, over all its probes.

use super::event::Summary;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tracer_common::outcome::Outcome;

/// Figures of an engine. Counts only grow; the others are as they are at this moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Readings {
    /// How hits ended.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Hits that the kernel counted but did not hand to the program.
    pub kernel_misses: u64,
    /// Records received from the rings.
    pub received: u64,
    /// Records received that were malformed.
    pub malformed: u64,
    /// Time that the kernel program spent on captures.
    pub capture_ns: u64,
    /// Size of all rings, in bytes, now.
    pub rings_size: u64,
    /// Bytes in the rings that nobody has taken yet, now.
    pub rings_used: u64,
    /// Probes that are in place now.
    pub probes: u64,
    /// What is kept of files.
    pub cache: CacheReadings,
}

/// Figures of what is kept of files between requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheReadings {
    /// Files, now.
    pub entries: u64,
    /// Bytes that they take, now.
    pub bytes: u64,
    /// Bytes that they may take.
    pub bytes_max: u64,
    /// Requests that found what they needed.
    pub hits: u64,
    /// Requests that did not.
    pub misses: u64,
    /// Files that had to go for others.
    pub evictions: u64,
}

/// The counts of probes that have ended.
#[derive(Debug, Default)]
pub(super) struct Totals(Mutex<Readings>);

impl Totals {
    /// Adds a probe that has ended.
    pub(super) fn add(&self, summary: &Summary) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (outcome, count) in &summary.outcomes {
            *all.outcomes.entry(*outcome).or_default() += count;
        }
        all.kernel_misses += summary.kernel_misses;
        all.received += summary.received;
        all.malformed += summary.malformed;
    }

    /// As they are.
    pub(super) fn get(&self) -> Readings {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LOSS-1
    #[test]
    fn probes_that_have_ended_are_counted_still() {
        let totals = Totals::default();
        let outcomes = [(Outcome::Captured, 2), (Outcome::LostRingFull, 5)].into();
        let summary =
            Summary { hits: 7, outcomes, kernel_misses: 1, received: 2, ..Summary::default() };
        totals.add(&summary);
        totals.add(&Summary { malformed: 1, ..summary });
        let all = totals.get();
        assert_eq!(all.outcomes, [(Outcome::Captured, 4), (Outcome::LostRingFull, 10)].into());
        assert_eq!((all.kernel_misses, all.received, all.malformed), (2, 4, 1));
    }
}
