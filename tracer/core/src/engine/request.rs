//! What a door asks of the engine.

use crate::model::action::Action;
use crate::model::caller::Caller;
use crate::model::limits::Limits;
use crate::model::resolved::LocationSpec;
use std::time::Duration;

/// Take snapshots of one place in one process.
#[derive(Clone, Debug)]
pub struct SnapshotRequest {
    /// Who asks.
    pub caller: Caller,
    /// The process, as seen from the caller.
    pub pid: u32,
    /// The place.
    pub location: LocationSpec,
    /// The place as the user wrote it.
    pub location_text: String,
    /// What to do with a hit.
    pub action: Action,
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
}
