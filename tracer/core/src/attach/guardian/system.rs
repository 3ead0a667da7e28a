//! What the guardian asks of the operating system for itself: nothing inherited, memory that stays,
//! a turn before others.
#![expect(unsafe_code, reason = "calls that no crate wraps")]

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::mm::{MapFlags, MlockAllFlags, ProtFlags, mlockall, mmap_anonymous};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::thread::set_name;
use std::ffi::c_void;
use std::io;

/// Real-time priority: before all that is not, behind what somebody thought more urgent.
const PRIORITY: libc::c_int = 50;
/// A stack of a process that does next to nothing.
const STACK_BYTES: usize = 32 * 1024;
/// Room for a [`Start`], aligned as the ABI wants a stack to be.
const START_BYTES: usize = 64;
/// Signals that are read and not acted upon by the kernel.
const SIGNALS: [libc::c_int; 10] = [
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGCHLD,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGUSR2,
];

/// The socket that this process was started with, as its standard input.
pub(super) fn inherited_socket() -> OwnedFd {
    // SAFETY: this process was started with it, and nothing else here uses standard input.
    unsafe { OwnedFd::from_raw_fd(libc::STDIN_FILENO) }
}

/// Leaves all that came from who started us, but for the standard files.
pub(super) fn leave_the_rest() -> io::Result<()> {
    set_name(c"tracer-guardian")?;
    // Fails where we lead a group already, and then there is no terminal of others to fear.
    let _alone = setsid();
    std::env::set_current_dir("/")?;
    close_range(libc::STDERR_FILENO + 1, RawFd::MAX, 0)?;
    let limit = getrlimit(Resource::Nofile);
    let _more =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    Ok(())
}

/// Signals as something to read.
pub(super) fn signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before it is used, and outlives the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in SIGNALS {
            libc::sigaddset(&raw mut set, signal);
        }
        let error = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        owned(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signal {
    /// All links must go.
    LetGo,
    /// A keeper ended, or nothing.
    Other,
}

/// The next signal that was sent; `None` if there is none.
pub(super) fn next_signal(signals: &OwnedFd) -> Option<Signal> {
    let mut info = [0; size_of::<libc::signalfd_siginfo>()];
    let bytes = rustix::io::read(signals, &mut info).ok()?;
    let number = info.first_chunk().filter(|_| bytes == info.len());
    match number.map(|number| i32::from_ne_bytes(*number))? {
        libc::SIGTERM | libc::SIGUSR1 => Some(Signal::LetGo),
        _ => Some(Signal::Other),
    }
}

/// Keeps the memory that is in use from being paged out, and runs before what is not urgent, where
/// that is permitted: the guardian works without.
pub(super) fn harden() {
    let locks = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let _locked = mlockall(locks);
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the parameters outlive the call; keepers that are started later inherit this.
    let _urgent = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}

/// Gives this process a table of file descriptors of its own that holds `keep` and nothing else.
pub(super) fn own_table(keep: BorrowedFd<'_>) -> io::Result<()> {
    set_name(c"tracer-keeper")?;
    let keep = keep.as_raw_fd();
    // The first call is the one that leaves the table that is shared.
    close_range(keep + 1, RawFd::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    if keep > 0 { close_range(0, keep - 1, 0) } else { Ok(()) }
}

/// Stacks of processes that share the memory of this one.
pub(super) struct Stacks {
    start: *mut c_void,
    count: usize,
}

/// What such a process does. It may use nothing that belongs to a thread, and must not panic.
pub(super) type Body = fn(BorrowedFd<'_>);

/// What it is told; it lies at the end of its stack.
struct Start {
    body: Body,
    fd: RawFd,
}

impl Stacks {
    /// Memory for `count` stacks; it is used when they are.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let (access, flags) =
            (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping, at a place that the kernel chooses.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), count * STACK_BYTES, access, flags)? };
        Ok(Self { start, count })
    }

    /// Starts a process on a stack that no process uses. It has `fd` in a table of file descriptors
    /// that it shares until it leaves it.
    pub(super) fn start(&mut self, number: usize, body: Body, fd: RawFd) -> io::Result<Pid> {
        if number >= self.count {
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
        }
        let end = (number + 1) * STACK_BYTES - START_BYTES;
        // SAFETY: within the mapping, aligned, and used by nobody: the callers give each stack to one
        // process at a time.
        let top = unsafe { self.start.byte_add(end) };
        // SAFETY: as above; the place is large enough.
        unsafe { top.cast::<Start>().write(Start { body, fd }) };
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::SIGCHLD;
        // SAFETY: the stack is the new process' own and lives as long as this process' memory; what
        // it does is bound by `Body`.
        let pid = unsafe { libc::clone(run_body, top, flags, top) };
        Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)
    }
}

extern "C" fn run_body(start: *mut c_void) -> libc::c_int {
    // SAFETY: written by `Stacks::start` right before, and changed by nobody.
    let Start { body, fd } = unsafe { start.cast::<Start>().read() };
    // SAFETY: who started this process keeps it open until it hears of us.
    body(unsafe { BorrowedFd::borrow_raw(fd) });
    // SAFETY: ends this process only. The group, so that no signal comes while it closes its files.
    unsafe { libc::syscall(libc::SYS_exit_group, 0) };
    0
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    let [first, last] = [first, last].map(|fd| fd.unsigned_abs());
    // SAFETY: what is closed is owned by nobody in this table: see the callers.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// # Safety
///
/// `fd` is a new file descriptor, or negative after an error.
unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
