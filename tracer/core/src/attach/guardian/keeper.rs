//! A thread that holds a few links in a table of file descriptors of its own, and closes them.
//!
//! The kernel takes its time for each close, so each thread has one link as long as there are
//! threads; and when the process is killed, each thread closes what is in its own table, beside
//! the others.

use super::message::{Fds, Received, receive, send};
use super::system;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Links of one keeper: they are closed one after another.
pub(super) const LINKS_EACH: usize = 16;
const STACK_BYTES: usize = 64 * 1024;

/// What a keeper is told.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Task {
    /// The link.
    id: u64,
    /// 1 to hold what comes with it, 0 to close.
    holds: u64,
}

/// What a keeper tells: a link is closed.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) took_ns: u64,
}

/// A keeper as the main thread knows it.
pub(super) struct Keeper {
    tasks: OwnedFd,
    /// Links that it holds.
    pub(super) held: usize,
}

/// A connection within the process.
pub(super) fn connection() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

impl Keeper {
    /// Starts a keeper that tells `done` of what it has closed.
    pub(super) fn start(done: &OwnedFd) -> io::Result<Self> {
        let (tasks, theirs) = connection()?;
        let numbers = system::numbers([&theirs, done]);
        let (ready, is_ready) = mpsc::sync_channel(1);
        thread::Builder::new().name("keeper".to_owned()).stack_size(STACK_BYTES).spawn(
            move || {
                let table = system::own_table(numbers);
                // Nobody listens only if the process ends.
                match table {
                    Ok([tasks, done]) => {
                        let _told = ready.send(Ok(()));
                        keep(&tasks, &done);
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            },
        )?;
        // Until then the numbers are the thread's too, in the table that we share.
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { tasks, held: 0 })
    }

    /// Hands a link over. It is the keeper's when the caller closes it.
    pub(super) fn hold(&mut self, id: u64, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        send(&self.tasks, &Task { id, holds: 1 }, fds, false)?;
        self.held += 1;
        Ok(())
    }

    /// Has a link closed.
    pub(super) fn close(&self, id: u64) -> Result<(), Errno> {
        send(&self.tasks, &Task { id, holds: 0 }, &[], false)
    }
}

/// The body of a keeper. It ends with the process, or when that is confused.
fn keep(tasks: &OwnedFd, done: &OwnedFd) {
    let mut links: [Option<(u64, Fds)>; LINKS_EACH] = Default::default();
    loop {
        let Ok(Received::Packet(task, fds)) = receive::<Task>(tasks, true) else { return };
        if task.holds != 0 {
            match links.iter_mut().find(|link| link.is_none()) {
                Some(free) => *free = Some((task.id, fds)),
                // The main thread counts: it does not come to this. Here they are closed.
                None => drop(fds),
            }
            continue;
        }
        let start = Instant::now();
        for link in &mut links {
            if link.as_ref().is_some_and(|(id, _)| *id == task.id) {
                *link = None;
            }
        }
        let took_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if send(done, &Done { id: task.id, took_ns }, &[], true).is_err() {
            return;
        }
    }
}
