//! The pool of scratch buffers.
//!
//! A uprobe program can be preempted and another can run on the same cpu meanwhile, so a per-cpu
//! buffer is not safe. A slot is claimed by compare-and-swap and then released; a claimed
//! one belongs to its claimer alone, on whatever cpu it goes on.

use crate::atomic;
use crate::maps::{SCRATCH, kernel};
use crate::task;
use tracer_common::maps::Scratch;

/// Slots tried before the hit is lost.
const TRIES: u32 = 8;

/// Claims a slot.
#[inline(always)]
pub(crate) fn claim() -> Option<*mut Scratch> {
    // A power of two, checked by userspace.
    let mask = kernel().scratch_slots.wrapping_sub(1);
    let first = task::cpu();
    if cfg!(feature = "per-cpu") {
        return SCRATCH.get_ptr_mut(first & mask);
    }
    let mut tries = 0;
    while tries < TRIES {
        let slot = SCRATCH.get_ptr_mut(first.wrapping_add(tries) & mask)?;
        // SAFETY: the slot is a map value.
        if unsafe { atomic::replace(&raw mut (*slot).busy, 0, 1) } {
            return Some(slot);
        }
        tries += 1;
    }
    None
}

/// Gives a claimed slot back.
#[inline(always)]
pub(crate) fn release(slot: *mut Scratch) {
    // SAFETY: the slot is a map value.
    unsafe { atomic::set(&raw mut (*slot).busy, 0_u32) };
}
