//! What a door asks of the engine.

use crate::model::limits::Limits;
use crate::model::resolved::LocationSpec;
use std::time::Duration;

/// Take snapshots of one place in one process.
#[derive(Clone, Debug)]
pub struct SnapshotRequest {
    /// The process, as seen from the caller.
    pub pid: u32,
    /// The place.
    pub location: LocationSpec,
    /// The place as the user wrote it.
    pub location_text: String,
    /// Captures to take; 0 for as many as come until the timeout.
    pub hits: u64,
    /// Captures per second at most; 0 for no limit.
    pub rate: u64,
    /// How long to wait.
    pub timeout: Duration,
    /// How much to copy.
    pub limits: Limits,
    /// Size of the ring buffer in bytes; a power of two, at least a page.
    pub ring_bytes: u32,
    /// Scratch buffers in the pool; a power of two up to [`tracer_common::limits::SCRATCH_SLOTS`].
    pub scratch_slots: u32,
    /// Forward the kernel program's own log from this level on; `None` leaves it out of the
    /// program.
    pub kernel_log: Option<tracing::Level>,
}
