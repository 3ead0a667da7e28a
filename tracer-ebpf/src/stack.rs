//! The program's stack is that of the thread it runs in.
//!
//! From 6.13 on the kernel gives programs of this kind a stack of their own for each cpu
//! (`bpf_enable_priv_stack` in kernel/bpf/verifier.c), for it expects that none runs twice on a cpu.
//! A uprobe program can be preempted and does: the second then overwrites variables of the first,
//! pointers too, and the kernel itself reads and writes where they point. Programs that call others
//! never get such a stack, so this one has such a call where nothing ever comes: the verifier finds
//! that the condition is constant and removes the code, but has seen the call before.

use aya_ebpf::helpers::generated::bpf_tail_call;
use core::ffi::c_void;

/// Never set; in a map that is frozen before the program is loaded.
#[unsafe(no_mangle)]
static CALLS_ANOTHER: u32 = 0;

/// Keeps the program on its thread's stack.
#[inline(always)]
pub(crate) fn stay(ctx: *mut c_void) {
    // SAFETY: a static is always readable; the call is in no program that runs.
    unsafe {
        if core::ptr::read_volatile(&raw const CALLS_ANOTHER) != 0 {
            bpf_tail_call(ctx, core::ptr::null_mut(), 0);
        }
    }
}
