//! When to stop: a signal, or a reader of our output that went away.
//!
//! Both only say so, through a pipe that the engine polls; the engine then takes the breakpoints
//! out. Nothing here ends the process.

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A stop that was asked for, from anywhere, at any time.
#[derive(Debug)]
pub(crate) struct StopSignal {
    /// Readable from the first request on; never read, so that it stays so.
    readable: UnixStream,
    /// Number of the last signal; 0 for none.
    signal: Arc<AtomicUsize>,
    /// The reader of our output has gone.
    reader_gone: Arc<AtomicBool>,
}

/// Signals that mean stop (the last one only to who places probes), and what an exit code of 128 + the number says to a shell.
pub(crate) const SIGNALS: [(i32, &str); 4] = [
    (SIGINT, "SIGINT (Ctrl-C)"),
    (SIGTERM, "SIGTERM"),
    (SIGHUP, "SIGHUP (the terminal is gone)"),
    (SIGUSR1, "SIGUSR1 (`tracer stop-all`)"),
];

impl StopSignal {
    /// Takes over the signals and watches the reader of standard output, for the rest of the
    /// process's life. A signal that is ignored from birth stays so: `nohup` means it.
    ///
    /// # Errors
    /// The operating system's, if a pipe or a handler can't be made.
    pub(crate) fn install() -> io::Result<Self> {
        Self::on(SIGNALS.split_last().map_or(&[], |(_, others)| others))
    }

    /// The same for who places probes: `tracer stop-all` finds them by this.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub(crate) fn install_for_probe() -> io::Result<Self> {
        Self::on(&SIGNALS)
    }

    fn on(signals: &[(i32, &str)]) -> io::Result<Self> {
        let (readable, writable) = UnixStream::pair()?;
        let signal = Arc::new(AtomicUsize::new(0));
        let ignored = ignored_signals();
        for &(number, _) in signals {
            if ignored & (1 << (number - 1)) != 0 {
                continue;
            }
            // The number is stored first: who wakes up by the pipe finds it.
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
            let wake = OwnedFd::from(writable.try_clone()?);
            signal_hook::low_level::pipe::register(number, wake)?;
        }
        let reader_gone = Arc::new(AtomicBool::new(false));
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        watch_reader(output, Arc::clone(&reader_gone), writable)?;
        Ok(Self { readable, signal, reader_gone })
    }

    /// Readable as soon as a stop is asked for, and from then on. To be polled, not read.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    /// Whether a stop was asked for.
    pub(crate) fn is_set(&self) -> bool {
        self.signal().is_some() || self.reader_gone.load(Ordering::SeqCst)
    }

    /// The signal that asked for it, if one did.
    pub(crate) fn signal(&self) -> Option<u8> {
        u8::try_from(self.signal.load(Ordering::SeqCst)).ok().filter(|number| *number != 0)
    }
}

/// The signals that this process ignores, bit n - 1 for signal n (proc(5), `SigIgn`); none if
/// that can't be read.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// A thread that waits until `output`, a pipe or a socket, has no reader any more. Files never
/// lose theirs. Without it a closed pipe shows only at the next hit, and there may be none.
fn watch_reader(output: OwnedFd, gone: Arc<AtomicBool>, mut wake: UnixStream) -> io::Result<()> {
    std::thread::Builder::new().name("stdout-watch".to_owned()).spawn(move || {
        loop {
            // No events asked for: errors and hang-ups are always reported.
            let mut fds = [PollFd::new(&output, PollFlags::empty())];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::debug!(%error, "standard output can't be watched");
                    return;
                }
                Ok(_) => break,
            }
        }
        gone.store(true, Ordering::SeqCst);
        if let Err(error) = wake.write_all(&[0]) {
            tracing::debug!(%error, "nobody waits for the end of the reader");
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn is_readable(fd: BorrowedFd<'_>, wait: Duration) -> bool {
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let wait = rustix::event::Timespec::try_from(wait).unwrap();
        poll(&mut fds, Some(&wait)).unwrap() == 1
    }

    #[test]
    fn a_signal_wakes_who_polls_and_is_remembered() {
        let stop = StopSignal::install_for_probe().unwrap();
        assert!(!stop.is_set());
        assert!(!is_readable(stop.fd(), Duration::ZERO));
        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert!(is_readable(stop.fd(), Duration::from_secs(5)));
        assert!(stop.is_set());
        assert_eq!(stop.signal(), Some(SIGHUP as u8));
        assert!(is_readable(stop.fd(), Duration::ZERO), "it stays readable");
    }

    #[test]
    fn a_reader_that_goes_away_is_noticed_without_writing() {
        let (reader, writer) = io::pipe().unwrap();
        let (readable, wake) = UnixStream::pair().unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        watch_reader(writer.into(), Arc::clone(&gone), wake).unwrap();
        assert!(!is_readable(readable.as_fd(), Duration::from_millis(20)));
        drop(reader);
        assert!(is_readable(readable.as_fd(), Duration::from_secs(5)));
        assert!(gone.load(Ordering::SeqCst));
    }
}
