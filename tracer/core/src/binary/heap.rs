//! How the memory of this process is managed.

use std::sync::Once;

/// Blocks of this size and above are given back when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: libc::c_int = 256 * 1024;

/// Has large blocks given back to the system when they are freed. The C library raises its bound
/// with each large block that is freed, up to 32 MiB, and keeps what is below it: after a whole
/// file was read, half of its memory would be of no use to anyone.
pub(super) fn give_back_large_blocks() {
    static DONE: Once = Once::new();
    DONE.call_once(set);
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library has no other door to its allocator")]
fn set() {
    // SAFETY: the call takes two numbers and may be made at any time, by any thread.
    if unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES) } == 0 {
        tracing::debug!("the allocator keeps large blocks");
    }
}

#[cfg(not(target_env = "gnu"))]
fn set() {}
