//! Counts hits and how they end. Their sum is exact: every hit is counted once on either side.

use crate::atomic;
use crate::maps::{COUNTERS, STATES};
use tracer_common::maps::SiteState;
use tracer_common::outcome::Outcome;

/// The state of a site.
#[inline(always)]
pub(crate) fn state(site: u32) -> Option<*mut SiteState> {
    STATES.get_ptr_mut(site)
}

/// Counts a hit and gives its number, from 1.
#[inline(always)]
pub(crate) fn hit(site: u32) -> Option<u64> {
    let state = state(site)?;
    // SAFETY: the pointer is to a map value.
    Some(unsafe { atomic::add(&raw mut (*state).hits, 1) }.wrapping_add(1))
}

/// Adds the time that a capture took.
#[inline(always)]
pub(crate) fn add_time(site: u32, nanoseconds: u64) {
    let Some(counters) = COUNTERS.get_ptr_mut(site) else { return };
    // SAFETY: the pointer is to a map value.
    unsafe { atomic::add(&raw mut (*counters).capture_ns, nanoseconds) };
}

/// Counts how a hit ended. Atomic although per cpu: another hit may preempt this one.
#[inline(always)]
pub(crate) fn count(site: u32, outcome: Outcome) {
    let Some(counters) = COUNTERS.get_ptr_mut(site) else { return };
    // SAFETY: the pointer is to a map value, and an outcome is always inside the array.
    unsafe { atomic::add(&raw mut (*counters).outcomes[outcome as usize], 1) };
}
