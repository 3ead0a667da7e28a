//! Takes the breakpoints out in time whatever the rest does: a door may be stuck in writing to a
//! reader that does not read, and the target must not pay for that.

use crate::attach::link::Breakpoints;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::pipe;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// A thread that removes breakpoints at a deadline or a stop signal. It ends when this is dropped.
pub(super) struct Watchdog {
    /// Closing it ends the thread.
    over: Option<OwnedFd>,
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
        let (over, end) = pipe()?;
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            if wait(&stop, &over, deadline) {
                breakpoints.remove();
            }
        })?;
        Ok(Self { over: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog died");
        }
    }
}

/// Waits; true if the breakpoints must go.
fn wait(stop: &OwnedFd, over: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A time that the kernel can't hold never comes.
        let left = Timespec::try_from(left).ok();
        let mut fds =
            [stop.as_fd(), over.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => return true,
            Ok(_) => return fds[1].revents().is_empty(),
            Err(Errno::INTR) => {}
            // Unable to watch: the safe end.
            Err(_) => return true,
        }
    }
}
