//! What an engine has counted since it was made, over all its probes.

use super::Engine;
use super::event::Outcomes;
use super::kernel::by_outcome;

/// Figures of an engine. Counts only grow; the others are as they are at this moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Readings {
    /// How hits ended.
    pub outcomes: Outcomes,
    /// Hits that the kernel counted but did not hand to the program.
    pub kernel_misses: u64,
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
}

impl Engine {
    /// Its figures. Those of probes that are in place are read from the kernel now.
    pub fn readings(&self) -> Readings {
        let Some(kernel) = self.loaded() else { return Readings::default() };
        let totals = kernel.totals();
        Readings {
            outcomes: by_outcome(&totals.counts),
            kernel_misses: kernel.program.kernel_misses().unwrap_or_default(),
            received: totals.received,
            malformed: totals.malformed,
            capture_ns: totals.counts.capture_ns,
            rings_size: totals.rings_size,
            probes: totals.probes,
        }
    }
}
