//! The current task, by the offsets that userspace found in the kernel's BTF.

use crate::maps::kernel;
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_probe_read_kernel,
    generated::{bpf_get_current_task, bpf_get_smp_processor_id},
};
use tracer_common::maps::Ids;

/// The bits of `mm_struct.flags` that say who may dump the process (MMF_DUMPABLE_MASK), and the
/// value for its user (SUID_DUMP_USER), both of include/linux/sched/coredump.h.
const DUMPABLE_MASK: u64 = 0b11;
const DUMPABLE_BY_USER: u64 = 1;

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

/// The process is one that a user may trace without privileges: wholly theirs, without
/// capabilities, and dumpable, as ptrace(2) has it ("Ptrace access mode checking").
#[inline(always)]
pub(crate) fn is_owned_by(uid: u32, gid: u32) -> bool {
    let kernel = kernel();
    let cred = read(task().wrapping_add(kernel.real_cred as u64));
    // SAFETY: the helper checks the address.
    let ids = unsafe { bpf_probe_read_kernel(cred.wrapping_add(kernel.ids as u64) as *const Ids) };
    let owner = Ids { uid, gid, suid: uid, sgid: gid, euid: uid, egid: gid };
    let permitted = word(cred.wrapping_add(kernel.permitted as u64));
    let mm = read(task().wrapping_add(kernel.mm as u64));
    let flags = word(mm.wrapping_add(kernel.mm_flags as u64));
    ids.is_ok_and(|ids| ids == owner)
        && permitted == Some(0)
        && flags.is_some_and(|flags| flags & DUMPABLE_MASK == DUMPABLE_BY_USER)
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
    word(address).unwrap_or(0)
}

#[inline(always)]
fn word(address: u64) -> Option<u64> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address as *const u64) }.ok()
}
