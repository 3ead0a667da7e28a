//! What the engine tells while it works → standard output.

use super::failure::Failure;
use super::output::{Format, Output};
use super::print;
use super::print::source::Sources;
use crate::api::{convert, json};
use std::io::Write;
use std::ops::ControlFlow;
use tracer_core::engine::event::{Armed, Event};
use tracer_core::engine::request::SnapshotRequest;

/// Shows events as they come.
pub(crate) struct Show<'a, W> {
    format: Format,
    request: &'a SnapshotRequest,
    stopped: &'a dyn Fn() -> bool,
    output: Output<W>,
    /// Which probe, in JSON: this process places one only.
    probe: String,
    armed: Option<Box<Armed>>,
    sources: Sources,
    /// Captures that were written.
    written: u64,
}

impl<'a, W: Write> Show<'a, W> {
    /// Shows the events of `request`; `stopped` says that no more are wanted.
    pub(crate) fn new(
        format: Format,
        request: &'a SnapshotRequest,
        stopped: &'a dyn Fn() -> bool,
        output: Output<W>,
    ) -> Self {
        let probe = format!("cli-{}", std::process::id());
        let sources = Sources::default();
        Self { format, request, stopped, output, probe, armed: None, sources, written: 0 }
    }

    /// `Break` if no more events are wanted.
    pub(crate) fn event(&mut self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Armed(armed) => {
                if self.format == Format::Text {
                    print::to_stderr(&print::summary::armed(armed, self.request));
                }
                self.armed = Some(armed.clone());
            }
            Event::Capture { capture, outcomes } => {
                let Some(armed) = &self.armed else { return ControlFlow::Break(()) };
                let seq = self.written + 1;
                match self.format {
                    Format::Text => {
                        let page = print::capture::capture(armed, capture, &mut self.sources);
                        self.output.page(&page)
                    }
                    Format::Json => {
                        let line = convert::capture(&self.probe, seq, armed, capture, outcomes);
                        self.output.json(json::line(&line))
                    }
                }?;
                self.written = seq;
            }
            Event::Finished(summary) => match self.format {
                Format::Text => self.output.page(&print::summary::finished(summary, self.written)),
                Format::Json => {
                    let line = convert::summary(&self.probe, self.written, summary);
                    self.output.json(json::line(&line))
                }
            }?,
        }
        if (self.stopped)() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
    /// How many captures were written, and whether all output went well.
    pub(crate) fn finish(self) -> (u64, Result<(), Failure>) {
        (self.written, self.output.finish())
    }
}
