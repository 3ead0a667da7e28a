//! The current task, by the offsets that userspace found in the kernel's BTF.

use crate::maps::kernel;
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_probe_read_kernel,
    generated::{bpf_get_current_task, bpf_get_smp_processor_id},
};

/// Process id in the initial pid namespace.
#[inline(always)]
pub(crate) fn pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Thread id in the initial pid namespace.
#[inline(always)]
pub(crate) fn tid() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// When the process (not the thread) started, nanoseconds since boot.
#[inline(always)]
pub(crate) fn start_boot_ns() -> u64 {
    let kernel = kernel();
    let leader = read(task().wrapping_add(kernel.group_leader as u64));
    read(leader.wrapping_add(kernel.start_boottime as u64))
}

/// Base address of the fs segment: where thread-local storage is.
#[inline(always)]
pub(crate) fn fs_base() -> u64 {
    read(task().wrapping_add(kernel().fsbase as u64))
}

/// The cpu we run on.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_smp_processor_id() }
}

#[inline(always)]
fn task() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}

/// A word of kernel memory; 0 where there is none, which equals no start time of a target.
#[inline(always)]
fn read(address: u64) -> u64 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address as *const u64) }.unwrap_or(0)
}
