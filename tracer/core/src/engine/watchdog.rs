//! Takes the breakpoints out when it is told to stop, whatever the rest does: a door may be stuck in
//! writing to a reader that does not read, and the target must not pay for that. Deadlines are the
//! guardian's.

use crate::attach::breakpoints::Breakpoints;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};

/// Stack of the thread, which does little and calls nothing that is deep.
const STACK_BYTES: usize = 128 << 10;

/// A thread that removes breakpoints at a stop signal. It ends when this is dropped.
pub(super) struct Watchdog {
    /// Closing it ends the thread.
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts the thread.
    pub(super) fn start(breakpoints: Breakpoints, stop: BorrowedFd<'_>) -> io::Result<Self> {
        let stop = stop.try_clone_to_owned()?;
        // A process that is started meanwhile would keep it open, and the probe from its end.
        let (ended, end) = pipe_with(PipeFlags::CLOEXEC)?;
        let thread = thread::Builder::new().name("watchdog".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || {
            if is_stopped(&stop, &ended) {
                breakpoints.remove();
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog died");
        }
    }
}

/// Waits for the stop signal; false if the end came first.
fn is_stopped(stop: &OwnedFd, ended: &OwnedFd) -> bool {
    loop {
        let mut fds = [stop, ended].map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) => return fds[1].revents().is_empty(),
            Err(Errno::INTR) => {}
            // Unable to watch: the safe end.
            Err(_) => return true,
        }
    }
}
