//! Atomic changes of map values.
//!
//! The bpf target offers loads and stores only through `core::sync::atomic`, though BPF ISA v3
//! has fetch-and-add and compare-and-swap; the compiler's intrinsics reach them.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};

const ORDER: AtomicOrdering = AtomicOrdering::SeqCst;

/// Adds and gives the value before.
///
/// # Safety
///
/// `value` points into a map value and is aligned.
#[inline(always)]
pub(crate) unsafe fn add(value: *mut u64, by: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u64, u64, ORDER>(value, by) }
}

/// Replaces `old` by `new`; true if it was there.
///
/// # Safety
///
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn replace<T: Copy>(value: *mut T, old: T, new: T) -> bool {
    // SAFETY: the caller's promise.
    unsafe { atomic_cxchg::<T, ORDER, ORDER>(value, old, new).1 }
}

/// Sets a value; everything written before is seen by who finds it.
///
/// # Safety
///
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn set<T: Copy>(value: *mut T, new: T) {
    // An exchange and not a store: BPF has no store with release order before ISA v4.
    // SAFETY: the caller's promise.
    unsafe { atomic_xchg::<T, ORDER>(value, new) };
}
