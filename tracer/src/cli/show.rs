//! The lines of one probe → standard output, wherever they come from.

use super::failure::Failure;
use super::output::{Format, Output};
use super::print;
use super::print::source::Sources;
use crate::api::json;
use crate::api::stream::StreamLine;
use crate::api::types::{ArmedLine, ErrorLine, Summary};
use std::io::Write;
use std::ops::ControlFlow;

/// Shows lines as they come.
pub(crate) struct Show<'a, W> {
    format: Format,
    stopped: &'a dyn Fn() -> bool,
    output: Output<W>,
    armed: Option<Box<ArmedLine>>,
    sources: Sources,
    /// Captures that were written.
    written: u64,
    end: Option<Result<Summary, Box<ErrorLine>>>,
}

/// What came of it.
pub(crate) struct Shown {
    /// Captures that were written.
    pub(crate) written: u64,
    /// What the last line says; `None` if there was none.
    pub(crate) end: Option<Result<Summary, Box<ErrorLine>>>,
}

impl<'a, W: Write> Show<'a, W> {
    /// `stopped` says that no more lines are wanted.
    pub(crate) fn new(format: Format, stopped: &'a dyn Fn() -> bool, output: Output<W>) -> Self {
        let sources = Sources::default();
        Self { format, stopped, output, armed: None, sources, written: 0, end: None }
    }

    /// `Break` if no more lines are wanted.
    pub(crate) fn line(&mut self, line: StreamLine) -> ControlFlow<()> {
        match line {
            StreamLine::Armed(line) => {
                if self.format == Format::Text {
                    print::to_stderr(&print::summary::armed(&line.armed));
                }
                self.armed = Some(line);
            }
            StreamLine::Capture(line) => {
                let Some(ArmedLine { armed, .. }) = self.armed.as_deref() else {
                    return ControlFlow::Break(());
                };
                match self.format {
                    Format::Text => {
                        let page = print::capture::capture(armed, &line, &mut self.sources);
                        self.output.page(&page)
                    }
                    Format::Json => self.output.json(json::line(&line)),
                }?;
                self.written += 1;
            }
            StreamLine::Gap(line) => match self.format {
                Format::Text => self.output.page(&print::probes::gap(&line.gap)),
                Format::Json => self.output.json(json::line(&line)),
            }?,
            StreamLine::Summary(line) => {
                let written = match self.format {
                    Format::Text => self.output.page(&print::summary::finished(&line.summary)),
                    Format::Json => self.output.json(json::line(&line)),
                };
                self.end = Some(Ok(line.summary));
                written?;
            }
            // It is told where all errors are.
            StreamLine::Error(line) => self.end = Some(Err(line)),
        }
        if (self.stopped)() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// What came of it.
    ///
    /// # Errors
    /// Something could not be written.
    pub(crate) fn finish(self) -> Result<Shown, Failure> {
        self.output.finish()?;
        Ok(Shown { written: self.written, end: self.end })
    }
}
