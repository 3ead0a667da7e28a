//! Takes the breakpoints out in time whatever the rest does: a door may be stuck in writing to a
//! reader that does not read, and the target must not pay for that.

use crate::attach::breakpoints::Breakpoints;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::pipe::pipe;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Stack of the thread, which does little and calls nothing that is deep.
const STACK_BYTES: usize = 128 << 10;

/// A thread that removes breakpoints at a deadline, a stop signal or when it is told. It ends when
/// this is dropped.
pub(super) struct Watchdog {
    /// A byte is the order to remove; closing it ends the thread.
    orders: Option<OwnedFd>,
    deadline: Deadline,
    thread: Option<JoinHandle<()>>,
}

/// When the breakpoints must go at the latest.
#[derive(Clone, Debug)]
struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, deadline: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

impl Watchdog {
    /// Starts the thread.
    pub(super) fn start(
        breakpoints: Breakpoints,
        stop: BorrowedFd<'_>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let stop = stop.try_clone_to_owned()?;
        let (heard, orders) = pipe()?;
        let deadline = Deadline(Arc::new(Mutex::new(deadline)));
        let watched = deadline.clone();
        let thread = thread::Builder::new().name("watchdog".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || {
            if wait(&stop, &heard, &watched) {
                breakpoints.remove();
            }
        })?;
        Ok(Self { orders: Some(orders), deadline, thread: Some(thread) })
    }

    /// Puts the deadline off. It is looked at when the one before passes.
    pub(super) fn put_off(&self, deadline: Instant) {
        self.deadline.set(deadline);
    }

    /// Starts the removal, and does not wait for its end: the breakpoints go at once, but the
    /// kernel keeps who closes them for tens of milliseconds.
    pub(super) fn remove(&self) {
        if let Some(orders) = &self.orders
            && let Err(error) = write(orders, &[1])
        {
            tracing::warn!(%error, "the watchdog does not listen");
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog died");
        }
    }
}

/// Waits; true if the breakpoints must go.
fn wait(stop: &OwnedFd, heard: &OwnedFd, deadline: &Deadline) -> bool {
    loop {
        let left = deadline.get().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        // A time that the kernel can't hold never comes.
        let left = Timespec::try_from(left).ok();
        let mut fds =
            [stop.as_fd(), heard.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, left.as_ref()) {
            // It may have been put off meanwhile.
            Ok(0) => {}
            // An order has a byte, the end has none.
            Ok(_) if !fds[1].revents().is_empty() => {
                return read(heard, &mut [0; 1]).map_or(true, |bytes| bytes > 0);
            }
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            // Unable to watch: the safe end.
            Err(_) => return true,
        }
    }
}
