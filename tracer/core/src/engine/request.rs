//! What a door asks of the engine.

use crate::model::action::Action;
use crate::model::budget::CpuShare;
use crate::model::caller::Caller;
use crate::model::limits::Limits;
use crate::model::process::ProcessSpec;
use crate::model::resolved::LocationSpec;
use std::time::Duration;
use tracer_common::limits::RING_BYTES;

/// Captures that are few.
const FEW: std::ops::RangeInclusive<u64> = 1..=16;
/// Of the largest captures so many find room in the ring of a probe that takes few.
const ROOM: u32 = 3;
/// What the kernel puts in front of a record in a ring.
const RING_HEADER: u32 = 8;

/// The smallest ring.
const PAGE: u32 = 4096;

/// How long to learn for a number of captures, 0 for as many as come: a few are over before
/// anything could be learned.
pub fn learn(hits: u64) -> Duration {
    if FEW.contains(&hits) { Duration::ZERO } else { Duration::from_millis(200) }
}

/// Captures per second for a number of captures, 0 for as many as come: what many of them cost is
/// their decoding, on the machine that the target runs on.
pub fn rate(hits: u64) -> u64 {
    if FEW.contains(&hits) { 0 } else { 50 }
}

/// The nice value of the thread that decodes a number of captures, 0 for as many as come. While
/// others want all of a core it gets a tenth of it where somebody waits for a few captures, and a
/// sixtieth where there is no end of them.
pub(super) fn decoding_nice(hits: u64) -> i32 {
    if FEW.contains(&hits) { 10 } else { 19 }
}

/// Size of the ring for a number of captures, 0 for as many as come, within `limits`: rings are the
/// kernel's memory, which is never swapped, and a daemon may have a thousand.
pub fn ring_bytes(hits: u64, limits: &Limits) -> u32 {
    if !FEW.contains(&hits) {
        return RING_BYTES;
    }
    let largest = limits.record_bytes_max() + RING_HEADER;
    largest.saturating_mul(ROOM).next_power_of_two().clamp(PAGE, RING_BYTES)
}

/// Take snapshots of one place in one process.
#[derive(Clone, Debug)]
pub struct SnapshotRequest {
    /// Who asks.
    pub caller: Caller,
    /// The process.
    pub process: ProcessSpec,
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
    /// How long to learn how often the place is hit before all is captured that is asked for, and
    /// then to decide whether it may be; zero for not at all.
    pub learn: Duration,
    /// Do what was asked for whatever it will cost; the budget holds all the same.
    pub force: bool,
    /// Keep the arguments of each call at the function's entry, where some are gone at the place.
    pub entry_probe: bool,
    /// Show values as they are stored: members, not what they mean to programmers.
    pub raw: bool,
    /// How long to wait: for the process, where there is none yet, and for hits together.
    pub timeout: Duration,
    /// How long to wait for the first and the next hit; `None` for as long as the timeout allows.
    pub idle: Option<Duration>,
    /// Come back so long after the probe cost more than it may, and twice as long each next time;
    /// `None` ends it.
    pub retry: Option<Duration>,
    /// How much to copy.
    pub limits: Limits,
    /// Size of the ring buffer in bytes; a power of two, at least a page.
    pub ring_bytes: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_holds_some_of_the_largest_captures() {
        let of = |hits, limits| ring_bytes(hits, &limits);
        assert_eq!(of(1, Limits::DEFAULT), 256 << 10);
        assert_eq!(of(16, Limits::CEILING), 1 << 20);
        assert_eq!(of(1, Limits { stack_bytes: 0, bytes_max: 0, ..Limits::DEFAULT }), PAGE);
        assert_eq!([of(0, Limits::DEFAULT), of(17, Limits::DEFAULT)], [RING_BYTES; 2]);
    }
}
