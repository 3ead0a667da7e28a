//! The current task, by the offsets that userspace found in the kernel's BTF.

use crate::maps::kernel;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_get_smp_processor_id};
use core::mem::offset_of;
use tracer_common::maps::Ids;

/// The bits that say who may dump the process (MMF_DUMPABLE_MASK of
/// include/linux/sched/coredump.h), and the value for its user (SUID_DUMP_USER, or
/// TASK_DUMPABLE_OWNER on newer kernels).
const DUMPABLE_MASK: u32 = 0b11;
const DUMPABLE_BY_USER: u32 = 1;

/// Clock ticks of `/proc/PID/stat` in nanoseconds (USER_HZ is 100 on x86-64).
pub(crate) const TICK_NS: u64 = 10_000_000;

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
    let leader = pointer(task(), kernel.group_leader);
    word(leader, kernel.start_boottime)
}

/// Whether the process started then, in clock ticks of `/proc/PID/stat`.
#[inline(always)]
pub(crate) fn started_at(ticks: u64) -> bool {
    start_boot_ns() / TICK_NS == ticks
}

/// The process is one that a user may trace without privileges: wholly theirs, without
/// capabilities, and dumpable, as ptrace(2) has it ("Ptrace access mode checking").
#[inline(always)]
pub(crate) fn is_owned_by(uid: u32, gid: u32) -> bool {
    let kernel = kernel();
    let cred = pointer(task(), kernel.real_cred);
    let id = |of: usize| half(cred, kernel.ids.wrapping_add(of as u32));
    let is_user = id(offset_of!(Ids, uid)) == uid
        && id(offset_of!(Ids, suid)) == uid
        && id(offset_of!(Ids, euid)) == uid;
    let is_group = id(offset_of!(Ids, gid)) == gid
        && id(offset_of!(Ids, sgid)) == gid
        && id(offset_of!(Ids, egid)) == gid;
    let dumpable = half(pointer(task(), kernel.dumpable_in), kernel.dumpable);
    is_user
        && is_group
        && word(cred, kernel.permitted) == 0
        && dumpable & DUMPABLE_MASK == DUMPABLE_BY_USER
}

/// Base address of the fs segment: where thread-local storage is.
#[inline(always)]
pub(crate) fn fs_base() -> u64 {
    word(task(), kernel().fsbase)
}

/// How often the thread had to leave its cpu to others.
#[inline(always)]
pub(crate) fn preemptions() -> u64 {
    word(task(), kernel().nivcsw)
}

/// The cpu we run on.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_smp_processor_id() }
}

/// The verifier knows the type of what this points to, so that its members are read by plain loads
/// and not by a helper; the offsets are constants to it, for they are in a frozen map. A load from
/// memory that is not there gives 0, which equals nothing that is compared with.
#[inline(always)]
fn task() -> *const u8 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf().cast_const().cast() }
}

#[inline(always)]
fn pointer(object: *const u8, offset: u32) -> *const u8 {
    // SAFETY: as in `word`.
    unsafe { core::ptr::read_volatile(object.wrapping_add(offset as usize).cast()) }
}

#[inline(always)]
fn word(object: *const u8, offset: u32) -> u64 {
    // SAFETY: the verifier accepts loads of members only, and the kernel handles their faults.
    unsafe { core::ptr::read_volatile(object.wrapping_add(offset as usize).cast()) }
}

#[inline(always)]
fn half(object: *const u8, offset: u32) -> u32 {
    // SAFETY: as in `word`.
    unsafe { core::ptr::read_volatile(object.wrapping_add(offset as usize).cast()) }
}
