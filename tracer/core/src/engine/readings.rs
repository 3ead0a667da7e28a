//! What an engine has counted since it was made, over all its probes.

use super::Engine;
use super::event::Outcomes;
use super::kernel::by_outcome;
pub use crate::binary::cache::CacheReadings;
use std::time::Duration;

/// Figures of an engine. Counts only grow; the others are as they are at this moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Readings {
    /// How hits ended.
    pub outcomes: Outcomes,
    /// Hits that the kernel counted but did not hand to the program.
    pub kernel_misses: u64,
    /// Looks at a ring that found records lost since the look before.
    pub reader_stalls: u64,
    /// Records received from the rings.
    pub received: u64,
    /// Records received that were malformed.
    pub malformed: u64,
    /// Time that the kernel program spent on captures, from the gate to the ring.
    pub capture_ns: u64,
    /// Size of all rings, in bytes, now.
    pub rings_size: u64,
    /// Probes that are in place now.
    pub probes: u64,
    /// How long breakpoints took to be placed, a probe at a time.
    pub attach: Durations,
    /// How long they took to be taken out.
    pub detach: Durations,
    /// What is kept of files.
    pub cache: CacheReadings,
}

/// How often something took how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durations {
    /// All together.
    pub total: Duration,
    /// How many were within each of [`Self::BOUNDS`] and not within the one before; the last is
    /// for those beyond all.
    pub counts: [u64; Self::BOUNDS.len() + 1],
}

impl Durations {
    /// Both take some ms; by perf events 0.1 s for each breakpoint.
    pub const BOUNDS: [Duration; 12] = [
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2_500),
        Duration::from_secs(10),
    ];

    /// One more.
    pub(super) fn add(&mut self, took: Duration) {
        self.total += took;
        let index = Self::BOUNDS.iter().position(|bound| took <= *bound);
        self.counts[index.unwrap_or(Self::BOUNDS.len())] += 1;
    }
}

impl Engine {
    /// Its figures. Those of probes that are in place are read from the kernel now.
    pub fn readings(&self) -> Readings {
        let cache = self.parsers.readings();
        let Some(kernel) = self.loaded() else {
            return Readings { cache, ..Readings::default() };
        };
        let totals = kernel.totals();
        Readings {
            outcomes: by_outcome(&totals.counts),
            kernel_misses: kernel.program.kernel_misses().unwrap_or_default(),
            reader_stalls: kernel.readers.stalls(),
            received: totals.received,
            malformed: totals.malformed,
            capture_ns: totals.counts.capture_ns,
            rings_size: totals.rings_size,
            probes: totals.probes,
            attach: totals.attach,
            detach: totals.detach,
            cache,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_once() {
        let mut durations = Durations::default();
        for ms in [0, 1, 2, 3, 10_000, 10_001] {
            durations.add(Duration::from_millis(ms));
        }
        assert_eq!(durations.counts, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(durations.total, Duration::from_millis(20_007));
    }
}
