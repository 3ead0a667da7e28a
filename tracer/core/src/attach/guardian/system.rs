//! What the guardian asks of the operating system for itself: nothing inherited, memory that stays,
//! a turn before others.
#![expect(unsafe_code, reason = "calls that no crate wraps")]

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::thread::set_name;
use std::io;

/// Real-time priority: before all that is not, behind what somebody thought more urgent.
const PRIORITY: libc::c_int = 50;
/// Signals that are read and not acted upon by the kernel.
const SIGNALS: [libc::c_int; 9] = [
    libc::SIGTERM,
    libc::SIGUSR1,
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

/// Whether a signal that was read means that all links must go.
pub(super) fn next_signal(signals: &OwnedFd) -> Option<bool> {
    let mut info = [0; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(signals, &mut info) {
        Ok(bytes) if bytes == info.len() => {
            let number = info.first_chunk().map(|number| i32::from_ne_bytes(*number));
            Some(matches!(number, Some(libc::SIGTERM | libc::SIGUSR1)))
        }
        _ => None,
    }
}

/// Keeps the memory that is in use from being paged out, and runs before what is not urgent, where
/// that is permitted: the guardian works without.
pub(super) fn harden() {
    let locks = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let _locked = mlockall(locks);
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the parameters outlive the call; threads that are started later inherit this.
    let _urgent = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}

/// Gives the calling thread a table of file descriptors of its own that holds `keep` and nothing
/// else. The kernel closes the tables of a process that ends one beside the other, and what is in
/// one table one after another.
pub(super) fn own_table(keep: [RawFd; 2]) -> io::Result<[OwnedFd; 2]> {
    let (low, high) = (keep[0].min(keep[1]), keep[0].max(keep[1]));
    // The first call must be the one that leaves the shared table.
    close_range(high + 1, RawFd::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    if low > 0 {
        close_range(0, low - 1, 0)?;
    }
    if high - low > 1 {
        close_range(low + 1, high - 1, 0)?;
    }
    // SAFETY: in the table that is this thread's only, nothing owns them yet.
    Ok(keep.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Numbers of file descriptors, to be owned in the table of another thread.
pub(super) fn numbers(fds: [&OwnedFd; 2]) -> [RawFd; 2] {
    fds.map(AsRawFd::as_raw_fd)
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
