//! Takes the breakpoints out in time whatever the rest does: a door may be stuck in writing to a
//! reader that does not read, and the target must not pay for that.

use crate::attach::breakpoints::Breakpoints;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::pipe::pipe;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// A thread that removes breakpoints at a deadline, a stop signal or when it is told. It ends when
/// this is dropped.
pub(super) struct Watchdog {
    /// A byte is the order to remove; closing it ends the thread.
    orders: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
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
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            if wait(&stop, &heard, deadline) {
                breakpoints.remove();
            }
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
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
fn wait(stop: &OwnedFd, heard: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A time that the kernel can't hold never comes.
        let left = Timespec::try_from(left).ok();
        let mut fds =
            [stop.as_fd(), heard.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => return true,
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
