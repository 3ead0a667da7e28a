//! Standard output: whole pages at a time, and what becomes of a reader that has gone.

use super::failure::Failure;
use super::print::line::Page;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The form of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// The form that `--json` asks for.
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Where results go. A write error ends the writing, not the process: a probe may be armed.
pub(crate) struct Output<W> {
    writer: W,
    failed: Option<io::Error>,
    /// Becomes readable when no more is wanted; a reader that does not read is left then.
    stop: Option<OwnedFd>,
    left: bool,
}

/// What a pipe that can be written to takes without waiting (PIPE_BUF, pipe(7)).
const CHUNK: usize = 4096;

impl Output<anstream::AutoStream<io::Stdout>> {
    /// Standard output; colours are taken out unless it is a terminal that wants them.
    pub(crate) fn stdout() -> Self {
        Self::new(anstream::AutoStream::auto(io::stdout()))
    }

    /// The same; `stop` becomes readable when no more is wanted.
    pub(crate) fn stdout_until(stop: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { stop: Some(stop.try_clone_to_owned()?), ..Self::stdout() })
    }
}

impl<W: Write> Output<W> {
    /// Writes to `writer`.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, failed: None, stop: None, left: false }
    }

    /// Writes text for people. `Break` once nobody can read it.
    pub(crate) fn page(&mut self, page: &Page) -> ControlFlow<()> {
        self.bytes(page.as_str().as_bytes())
    }

    /// Writes text of our own that has its colours: help.
    pub(crate) fn own_text(&mut self, text: &str) -> ControlFlow<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes a line of JSON. `Break` once nobody can read it.
    pub(crate) fn json(&mut self, line: serde_json::Result<Vec<u8>>) -> ControlFlow<()> {
        match line {
            Ok(line) => self.bytes(&line),
            Err(error) => {
                self.failed.get_or_insert(error.into());
                ControlFlow::Break(())
            }
        }
    }

    /// How it went. A reader that closed the pipe has seen enough: that is no failure.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
            _ => Ok(()),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        for chunk in bytes.chunks(CHUNK) {
            if self.failed.is_some() || self.left {
                break;
            }
            match self.is_left() {
                Ok(left) => self.left = left,
                Err(error) => self.failed = Some(error),
            }
            if !self.left && self.failed.is_none() {
                self.failed = self.writer.write_all(chunk).and_then(|()| self.writer.flush()).err();
            }
        }
        if self.failed.is_some() || self.left {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl<W> Output<W> {
    /// Waits until standard output takes more; true if no more is wanted before it does.
    fn is_left(&self) -> io::Result<bool> {
        let Some(stop) = &self.stop else { return Ok(false) };
        let stdout = io::stdout();
        let mut fds = [
            PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::OUT),
            PollFd::new(stop, PollFlags::IN),
        ];
        loop {
            match poll(&mut fds, None) {
                Ok(_) => return Ok(fds[0].revents().is_empty()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_stops_the_work_and_is_no_failure() {
        let mut output = Output::new(Failing(io::ErrorKind::BrokenPipe));
        assert!(output.json(Ok(b"{}\n".to_vec())).is_break());
        assert!(output.finish().is_ok());
    }

    #[test]
    fn a_full_disk_stops_the_work_and_is_a_failure() {
        let mut output = Output::new(Failing(io::ErrorKind::StorageFull));
        assert!(output.json(Ok(b"{}\n".to_vec())).is_break());
        let failure = output.finish().unwrap_err();
        assert_eq!(failure.report().exit_code, 1);
    }
}
