//! What a door asks of the engine.

use crate::model::action::Action;
use crate::model::budget::CpuShare;
use crate::model::caller::Caller;
use crate::model::limits::Limits;
use crate::model::resolved::LocationSpec;
use std::time::Duration;
use tracer_common::limits::RING_BYTES;

/// Size of the ring of a probe that takes few captures, in bytes: room for three of the largest.
pub const SMALL_RING_BYTES: u32 = 1024 * 1024;
/// Captures that are few.
const FEW: std::ops::RangeInclusive<u64> = 1..=16;

/// Size of the ring for a number of captures, 0 for as many as come.
pub fn ring_bytes(hits: u64) -> u32 {
    if FEW.contains(&hits) { SMALL_RING_BYTES } else { RING_BYTES }
}

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
    /// What it may cost.
    pub budget: CpuShare,
    /// How long to wait.
    pub timeout: Duration,
    /// How much to copy.
    pub limits: Limits,
    /// Size of the ring buffer in bytes; a power of two, at least a page.
    pub ring_bytes: u32,
}
