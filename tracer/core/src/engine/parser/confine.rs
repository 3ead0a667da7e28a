//! Takes from this process what a reader of files does not need: rights, other files, time to come.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare,
    SeccompCondition as Condition, SeccompFilter, SeccompRule as Rule,
};
use std::collections::BTreeMap;
use std::io;

/// User and group that own nothing: `nobody` wherever Linux runs.
const NOBODY: u32 = 65534;
/// Stack of the thread of a session, of which next to nothing is used, though it counts as memory.
pub(super) const STACK_BYTES: u64 = 2 << 20;
/// Sessions whose stacks are counted.
const SESSIONS_MAX: u64 = 2048;
/// File descriptors: the files of all that is kept, and those of split units.
const FILES_MAX: u64 = 65536;
/// Bytes of a file that it makes, which are only ever in memory: what a section unfolds to.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// System calls of a program that computes over files which others open for it.
const ALLOWED: &[libc::c_long] = &[
    // Files that it was given, and what is said.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_shutdown,
    libc::SYS_memfd_create,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
];

/// What is done with file descriptors.
const FCNTL: &[libc::c_int] = &[
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_DUPFD_CLOEXEC,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];

/// Confines this process for good; it has one thread.
///
/// # Errors
///
/// What the system refuses, but for the change of the user, which takes a right that a user who was
/// given some capabilities may lack. These are given up all the same.
pub(super) fn confine(memory: u64) -> io::Result<()> {
    set_no_new_privs(true)?;
    first_to_go();
    limit(Resource::Data, with_stacks(memory, SESSIONS_MAX))?;
    bound_memory(memory, 0)?;
    limit(Resource::Nofile, FILES_MAX)?;
    limit(Resource::Fsize, FILE_BYTES_MAX)?;
    limit(Resource::Core, 0)?;
    become_nobody();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    clear_ambient_capability_set()?;
    set_capabilities(None, sets)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let filter = filter().map_err(io::Error::other)?;
    seccompiler::apply_filter(&filter).map_err(io::Error::other)
}

/// Lowers a limit, never to be raised again.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let most = Some(most.min(hard));
    Ok(setrlimit(resource, Rlimit { current: most, maximum: most })?)
}

/// Bounds the memory that this process may write to, beside the stacks of its sessions. What had no
/// right to more would only get that of the most sessions.
///
/// # Errors
///
/// The system's.
pub(super) fn bound_memory(memory: u64, sessions: u64) -> io::Result<()> {
    let maximum = rustix::process::getrlimit(Resource::Data).maximum;
    let most = with_stacks(memory, sessions).min(maximum.unwrap_or(u64::MAX));
    Ok(setrlimit(Resource::Data, Rlimit { current: Some(most), maximum })?)
}

fn with_stacks(memory: u64, sessions: u64) -> u64 {
    memory.saturating_add(sessions.saturating_mul(STACK_BYTES))
}

/// Where memory is short, this process goes before all others.
fn first_to_go() {
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(%error, "the parser goes when others do");
    }
}

fn become_nobody() {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let become_it = || {
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)
    };
    if let Err(error) = become_it() {
        tracing::debug!(%error, "the parser stays the user who started it");
    }
}

/// What is not allowed is answered as if the kernel did not have it: libraries know that.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<Rule>> = BTreeMap::new();
    rules.extend(ALLOWED.iter().map(|number| (*number, Vec::new())));
    let only = |argument, operator, value| -> Result<Vec<Rule>, seccompiler::BackendError> {
        let condition = Condition::new(argument, Length::Dword, operator, value)?;
        Ok(vec![Rule::new(vec![condition])?])
    };
    let execute = Compare::MaskedEq(u64::from(libc::PROT_EXEC.unsigned_abs()));
    // No new code.
    rules.insert(libc::SYS_mmap, only(2, execute.clone(), 0)?);
    rules.insert(libc::SYS_mprotect, only(2, execute, 0)?);
    // Threads, no processes. What clone3 makes can't be seen; without it, libraries use clone.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, only(0, Compare::MaskedEq(thread), thread)?);
    // The name of a thread.
    let name = u64::from(libc::PR_SET_NAME.unsigned_abs());
    rules.insert(libc::SYS_prctl, only(0, Compare::Eq, name)?);
    // Giving way to others; not how others do.
    let equal = |argument, value: u64| Condition::new(argument, Length::Dword, Compare::Eq, value);
    let thread = Rule::new(vec![equal(0, u64::from(libc::PRIO_PROCESS))?, equal(1, 0)?])?;
    rules.insert(libc::SYS_setpriority, vec![thread]);
    // Its own limits, and signals to itself: who has the same user could send others some.
    rules.insert(libc::SYS_prlimit64, only(0, Compare::Eq, 0)?);
    rules.insert(libc::SYS_tgkill, only(0, Compare::Eq, std::process::id().into())?);
    // No owner of a file either, who would be sent a signal.
    let commands =
        FCNTL.iter().map(|command| Rule::new(vec![equal(1, u64::from(command.unsigned_abs()))?]));
    rules.insert(libc::SYS_fcntl, commands.collect::<Result<_, _>>()?);
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, unknown, SeccompAction::Allow, arch)?.try_into()
}
