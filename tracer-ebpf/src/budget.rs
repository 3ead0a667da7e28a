//! Charges hits to the budgets of their probe, its process and the node, and trips the probe whose
//! hit spends one.
//!
//! The trap is most of the cost and is paid before we run, so nothing here makes a hit cheaper: a
//! tripped probe captures no more, and the record of it makes userspace take its breakpoints out.

use crate::maps::{BUDGETS, TRIPS, kernel};
use crate::{atomic, gate};
use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use tracer_common::limits::{GRACE_WINDOWS, WINDOW_NS};
use tracer_common::maps::{Budget, NODE_BUDGET, Site, Trip, trip};
use tracer_common::outcome::Outcome;

const SPENT_MASK: u64 = (1 << Budget::SPENT_BITS) - 1;
const WINDOW_MASK: u64 = u64::MAX >> Budget::SPENT_BITS;
/// Windows that may begin while a hit is preempted. Few of those that there are numbers for: one that
/// is further ahead is long over, its number has come round.
const AHEAD_MAX: u64 = 10;

/// A hit as the budgets see it.
pub(crate) struct Charge<'s> {
    site: &'s Site,
    number: u64,
    /// The current window, in as many bits as there are for it.
    window: u64,
}

impl<'s> Charge<'s> {
    /// A hit that begins now.
    #[inline(always)]
    pub(crate) fn begin(site: &'s Site, number: u64) -> Self {
        // Ticks cost a load, where the clock costs as much as a small capture.
        // SAFETY: the helper has no preconditions.
        let ticks = unsafe { bpf_jiffies64() };
        let window = ticks.wrapping_mul(u64::from(kernel().tick_ns)) / WINDOW_NS;
        Self { site, number, window: window & WINDOW_MASK }
    }

    /// How the hit ends if its probe must not capture any more.
    #[inline(always)]
    pub(crate) fn refused(&self) -> Result<(), Outcome> {
        let Some((budget, cause)) = self.tripped() else { return Ok(()) };
        // SAFETY: the pointer is to a map value, whose words are read and written whole.
        unsafe { core::ptr::write_volatile(&raw mut (*budget).last_ns, gate::now()) };
        Err(if cause == trip::EXPIRED { Outcome::Expired } else { Outcome::Tripped })
    }

    /// What the probe was tripped for, with its budget; sends what is not told yet of it.
    #[inline(always)]
    fn tripped(&self) -> Option<(*mut Budget, u32)> {
        let budget = BUDGETS.get_ptr_mut(self.site.budget)?;
        // SAFETY: the pointer is to a map value, whose words are read and written whole.
        let tripped = unsafe { core::ptr::read_volatile(&raw const (*budget).tripped) };
        let cause = tripped as u32;
        if cause == 0 {
            return None;
        }
        if tripped & Budget::TOLD == 0 {
            self.tell(budget, cause, 0, 0);
        }
        Some((budget, cause))
    }

    /// Charges a hit that is not the probe's own, and sends what is not told yet of a trip.
    #[inline(always)]
    pub(crate) fn come_by(self) {
        let _tripped = self.tripped();
        self.end(0);
    }

    /// How the hit ends if the probe's time is over.
    #[inline(always)]
    pub(crate) fn expired(&self, time_boot_ns: u64) -> Result<(), Outcome> {
        if self.site.expires_ns == 0 || time_boot_ns < self.site.expires_ns {
            return Ok(());
        }
        self.trip(trip::EXPIRED, 0, 0);
        Err(Outcome::Expired)
    }

    /// Whether half of each budget is left, so that a capture hardly spends the rest.
    #[inline(always)]
    pub(crate) fn has_room(&self) -> bool {
        self.is_half_left(self.site.budget)
            && self.is_half_left(self.site.process_budget)
            && self.is_half_left(NODE_BUDGET)
    }

    #[inline(always)]
    fn is_half_left(&self, index: u32) -> bool {
        let Some(budget) = BUDGETS.get(index) else { return true };
        // SAFETY: the reference is to a map value, whose words are read and written whole.
        let spent = unsafe { core::ptr::read_volatile(&raw const budget.spent) };
        let is_old = spent >> Budget::SPENT_BITS != self.window;
        budget.limit_ns == 0
            || is_old
            || spent & SPENT_MASK < budget.limit_ns / 2
            || budget.grace_ns as i64 > 0
    }

    /// Charges the trap and what the program took beyond leaving at once.
    #[inline(always)]
    pub(crate) fn end(self, program_ns: u64) {
        let cost = program_ns.wrapping_add(u64::from(self.site.trap_ns)) & SPENT_MASK;
        self.spend(self.site.budget, trip::PROBE, cost);
        self.spend(self.site.process_budget, trip::PROCESS, cost);
        self.spend(NODE_BUDGET, trip::NODE, cost);
    }

    /// Adds to a budget. Each time that its limit is spent once more, the probe of the hit that
    /// does it is tripped: those that cost most are hit upon first.
    #[inline(always)]
    fn spend(&self, index: u32, cause: u32, cost: u64) {
        let Some(budget) = BUDGETS.get_ptr_mut(index) else { return };
        // SAFETY: the pointer is to a map value.
        let limit = unsafe { (*budget).limit_ns };
        if limit == 0 {
            return;
        }
        let before = self.add(budget, limit, cost);
        let after = before.wrapping_add(cost);
        if after <= limit {
            return;
        }
        // SAFETY: as above.
        if unsafe { core::ptr::read_volatile(&raw const (*budget).grace_ns) } as i64 > 0 {
            let over = if before > limit { cost } else { after.wrapping_sub(limit) };
            // SAFETY: the pointer is to a map value.
            unsafe { atomic::add(&raw mut (*budget).grace_ns, over.wrapping_neg()) };
        } else if before / limit != after / limit {
            self.trip(cause, after, limit);
        }
    }

    /// Adds to what was spent in the current window; gives what that was before.
    #[inline(always)]
    fn add(&self, budget: *mut Budget, limit: u64, cost: u64) -> u64 {
        // SAFETY: the pointer is to a map value.
        let spent = unsafe { &raw mut (*budget).spent };
        // SAFETY: the pointer is to a map value.
        let old = unsafe { atomic::add(spent, cost) };
        // A hit that was preempted ends in a later window than it began in, and counts there.
        let ahead = (old >> Budget::SPENT_BITS).wrapping_sub(self.window) & WINDOW_MASK;
        if ahead <= AHEAD_MAX {
            return old & SPENT_MASK;
        }
        let fresh = self.window << Budget::SPENT_BITS | cost;
        // SAFETY: the pointer is to a map value.
        if unsafe { atomic::replace(spent, old.wrapping_add(cost), fresh) } {
            let since = self.window.wrapping_sub(old >> Budget::SPENT_BITS) & WINDOW_MASK;
            self.give_grace(budget, limit, since.wrapping_sub(1));
            return 0;
        }
        // Another hit came between, and has opened the window most likely.
        // SAFETY: the pointer is to a map value.
        let old = unsafe { atomic::add(spent, cost) };
        if old >> Budget::SPENT_BITS == self.window { old & SPENT_MASK } else { 0 }
    }

    /// Gives back grace for windows in which nothing was spent: a capture may cost more than one window
    /// has, and one that comes seldom is no overload.
    #[inline(always)]
    fn give_grace(&self, budget: *mut Budget, limit: u64, unused: u64) {
        let most = limit.wrapping_mul(GRACE_WINDOWS);
        let given = if unused < GRACE_WINDOWS { limit.wrapping_mul(unused) } else { most };
        // SAFETY: the pointer is to a map value.
        let grace = unsafe { &raw mut (*budget).grace_ns };
        // SAFETY: as above. Another hit may use some meanwhile; that is not lost.
        let left = most.wrapping_sub(unsafe { core::ptr::read_volatile(grace) }) as i64;
        if left > 0 {
            let given = if given < left as u64 { given } else { left as u64 };
            // SAFETY: as above.
            unsafe { atomic::add(grace, given) };
        }
    }

    /// Ends the captures of the probe and tells userspace, once.
    #[inline(always)]
    fn trip(&self, cause: u32, spent_ns: u64, limit_ns: u64) {
        let Some(budget) = BUDGETS.get_ptr_mut(self.site.budget) else { return };
        // SAFETY: the pointer is to a map value.
        if unsafe { atomic::replace(&raw mut (*budget).tripped, 0, u64::from(cause)) } {
            self.tell(budget, cause, spent_ns, limit_ns);
        }
    }

    /// Sends the record; where the ring has no room, the next hit tries again.
    #[inline(always)]
    fn tell(&self, budget: *mut Budget, cause: u32, spent_ns: u64, limit_ns: u64) {
        let (gate, hits, time_boot_ns) = (self.site.gate, self.number, gate::now());
        let record = Trip { gate, cause, spent_ns, limit_ns, hits, time_boot_ns };
        if TRIPS.output::<Trip>(&record, u64::from(BPF_RB_FORCE_WAKEUP)).is_ok() {
            let told = u64::from(cause) | Budget::TOLD;
            // SAFETY: the pointer is to a map value.
            unsafe { atomic::replace(&raw mut (*budget).tripped, u64::from(cause), told) };
        }
    }
}
