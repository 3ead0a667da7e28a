//! A process that holds one link, and closes it by its own end.
//!
//! To close a link in a process that lives on is not safe: the kernel gives up taking a breakpoint
//! out when the thread that closes is being killed, and the breakpoint stays for ever. A process that
//! is ending can't be killed any more. So each link has a process of its own, which shares its memory
//! with the others and costs no more than a thread; they end one beside the other.

use super::message::{Fds, Received, receive, send};
use super::system::{self, Stacks};
use rustix::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::process::Pid;
use std::io;

/// What is said to a keeper beside the link, and by it when it is ready.
type Word = u64;
const READY: Word = 1;
const FAILED: Word = 2;

/// A keeper as the guardian knows it.
pub(super) struct Keeper {
    pub(super) pid: Pid,
    tasks: OwnedFd,
}

impl Keeper {
    /// Starts a keeper on the stack with this number.
    pub(super) fn start(stacks: &mut Stacks, number: usize) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (tasks, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let pid = stacks.start(number, keep, theirs.as_raw_fd())?;
        // Until it says so, the file descriptors are its own too, in the table that we share.
        match receive::<Word>(&tasks, true)? {
            Received::Packet(READY, _) => Ok(Self { pid, tasks }),
            _ => Err(io::Error::other("a keeper could not start")),
        }
    }

    /// Hands a link over. It is the keeper's when the caller closes it.
    pub(super) fn hold(&self, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        send(&self.tasks, &READY, fds, false)
    }

    /// Has it end, and the link with it.
    pub(super) fn end(&self) -> Result<(), Errno> {
        shutdown(&self.tasks, Shutdown::Both)
    }
}

/// The body of a keeper: holds what it is given until it is told to end, or nobody is there to
/// tell it. Nothing here uses what belongs to a thread: the thread that started it goes on.
fn keep(tasks: BorrowedFd<'_>) {
    if system::own_table(tasks).is_err() {
        let _told = send(tasks, &FAILED, &[], false);
        return;
    }
    if send(tasks, &READY, &[], false).is_err() {
        return;
    }
    while let Ok(Received::Packet(READY, fds)) = receive::<Word>(tasks, true) {
        // Never closed: that is for the end of the process.
        std::mem::forget::<Fds>(fds);
    }
}
