//! Standard output: whole pages at a time, and what becomes of a reader that has gone.

use super::failure::Failure;
use super::print::line::Page;
use std::io::{self, Write};
use std::ops::ControlFlow;

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
}

impl Output<anstream::AutoStream<io::Stdout>> {
    /// Standard output; colours are taken out unless it is a terminal that wants them.
    pub(crate) fn stdout() -> Self {
        Self::new(anstream::AutoStream::auto(io::stdout()))
    }
}

impl<W: Write> Output<W> {
    /// Writes to `writer`.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, failed: None }
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
        if self.failed.is_none() {
            self.failed = self.writer.write_all(bytes).and_then(|()| self.writer.flush()).err();
        }
        if self.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
