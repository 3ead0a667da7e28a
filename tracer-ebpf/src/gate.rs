//! Decides whether a hit is captured, cheapest test first.

use crate::atomic;
use crate::budget::Charge;
use crate::counters::state;
use crate::task;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use tracer_common::limits::BURST_NS;
use tracer_common::maps::{ANY_OWNER, Site, action};
use tracer_common::outcome::Outcome;

/// What the gate learned about a hit that it let pass.
pub(crate) struct Pass {
    /// Nanoseconds since boot.
    pub(crate) time_boot_ns: u64,
    /// When the process started, nanoseconds since boot.
    pub(crate) start_boot_ns: u64,
    /// It is the last one that the hit limit allows.
    pub(crate) is_last: bool,
}

/// Lets a hit pass or gives its outcome.
#[inline(always)]
pub(crate) fn pass(site: &Site, pc: u64, charge: &Charge<'_>) -> Result<Pass, Outcome> {
    // SAFETY: userspace writes this field while we read it; either value is right.
    if unsafe { core::ptr::read_volatile(&raw const site.enabled) } == 0 {
        return Err(Outcome::Disabled);
    }
    charge.refused()?;
    if task::pid() != site.pid {
        return Err(Outcome::Foreign);
    }
    let start_boot_ns = task::start_boot_ns();
    if start_boot_ns / task::TICK_NS != site.start_ticks {
        return Err(Outcome::Foreign);
    }
    if pc != site.pc {
        return Err(Outcome::Elsewhere);
    }
    if site.owner_uid != ANY_OWNER && !task::is_owned_by(site.owner_uid, site.owner_gid) {
        return Err(Outcome::Denied);
    }
    let counts_only = site.action == action::COUNT;
    if counts_only && site.interval_ns == 0 && site.hit_limit == 0 {
        return Err(Outcome::Aggregated);
    }
    if !counts_only && !charge.has_room() {
        return Err(Outcome::OverBudget);
    }
    let time_boot_ns = now();
    charge.expired(time_boot_ns)?;
    let is_last = claim(site, time_boot_ns)?;
    if counts_only {
        return Err(Outcome::Aggregated);
    }
    Ok(Pass { time_boot_ns, start_boot_ns, is_last })
}

/// Nanoseconds since boot.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Claims a capture against the rate, then against the hit limit; tells whether it is the last.
#[inline(always)]
fn claim(site: &Site, now: u64) -> Result<bool, Outcome> {
    if site.interval_ns == 0 && site.hit_limit == 0 {
        return Ok(false);
    }
    let Some(state) = state(site.gate) else { return Err(Outcome::LostPlan) };
    // SAFETY: the pointer is to a map value, whose words are read and written whole.
    let (due, claimed) = unsafe { ((*state).next_ns, (*state).claimed) };
    if site.hit_limit != 0 && claimed >= site.hit_limit {
        return Err(Outcome::HitLimit);
    }
    if site.interval_ns != 0 {
        let from = if due > now { due } else { now };
        let later = from.wrapping_add(site.interval_ns);
        let is_early = from > now && later.wrapping_sub(now) > BURST_NS;
        // Losing the race means that another hit was captured at this very moment.
        // SAFETY: the pointer is to a map value.
        if is_early || !unsafe { atomic::replace(&raw mut (*state).next_ns, due, later) } {
            return Err(Outcome::RateLimit);
        }
    }
    if site.hit_limit == 0 {
        return Ok(false);
    }
    // SAFETY: the pointer is to a map value.
    let before = unsafe { atomic::add(&raw mut (*state).claimed, 1) };
    if before >= site.hit_limit {
        give_back(site);
        return Err(Outcome::HitLimit);
    }
    Ok(before.wrapping_add(1) == site.hit_limit)
}

/// Gives back what a hit claimed against the limit and did not use.
#[inline(always)]
pub(crate) fn give_back(site: &Site) {
    let Some(state) = state(site.gate) else { return };
    if site.hit_limit != 0 {
        // SAFETY: the pointer is to a map value. Adding the largest number subtracts 1.
        unsafe { atomic::add(&raw mut (*state).claimed, u64::MAX) };
    }
}
