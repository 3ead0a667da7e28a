//! `tracer snapshot`: arguments → request → engine → output.

use super::SnapshotArgs;
use super::failure::{Failure, SIGNAL_BASE, SUCCESS};
use super::output::{Format, Output};
use super::print;
use super::print::source::Sources;
use super::stop::StopSignal;
use crate::api::{convert, json};
use std::io::Write;
use std::ops::ControlFlow;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::{Armed, Ended, Event, Summary};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_core::model::limits::Limits;
use tracer_core::model::resolved::LocationSpec;

/// Takes the snapshots that `args` ask for; gives the exit code.
///
/// # Errors
/// What kept it from that. Nothing is armed any more when this returns.
pub(crate) fn run(args: &SnapshotArgs) -> Result<u8, Failure> {
    let request = request(args, parse_location(&args.location)?);
    let stop = StopSignal::install().map_err(Failure::Signals)?;
    let mut show = Show::new(Format::of(args.json), &request, &stop, Output::stdout());
    let ended = take(&request, &stop, &mut |event| show.event(&event));
    let written = show.written;
    let output = show.output.finish();
    let summary = ended?;
    output?;
    exit_code(&request, &summary, written, stop.signal())
}

/// The engine's only call: resolves, arms, hands `show` what comes, and takes the probe out as
/// soon as `show` breaks or `stop` is readable.
fn take(
    request: &SnapshotRequest,
    stop: &StopSignal,
    _show: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Summary, EngineError> {
    tracing::debug!(?request, stop = ?stop.fd(), "no engine takes this request");
    let detail = "this build has no engine";
    Err(Issue::new(IssueKind::KernelTooOld, &request.location_text, detail).into())
}

/// Reads a location.
fn parse_location(text: &str) -> Result<LocationSpec, Issue> {
    Ok(LocationSpec::Function { module: None, name: text.to_owned(), offset: None })
}

/// What is meant by what was typed.
fn request(args: &SnapshotArgs, location: LocationSpec) -> SnapshotRequest {
    SnapshotRequest {
        pid: args.pid,
        location,
        location_text: args.location.clone(),
        hits: args.hits,
        rate: args.rate,
        timeout: args.timeout,
        limits: Limits {
            stack_bytes: args.limits.stack,
            bytes_max: args.limits.limit_bytes,
            text_bytes_max: args.limits.max_string,
            items_max: args.limits.max_items,
            depth_max: args.limits.depth,
            nodes_max: Limits::DEFAULT.nodes_max,
        },
        ring_bytes: args.ring_bytes,
        scratch_slots: args.scratch_slots,
        kernel_log: args.kernel_log.level(),
    }
}

/// Shows events as they come.
struct Show<'a, W> {
    format: Format,
    request: &'a SnapshotRequest,
    stop: &'a StopSignal,
    output: Output<W>,
    /// Which probe, in JSON: this process places one only.
    probe: String,
    armed: Option<Box<Armed>>,
    sources: Sources,
    /// Captures that were written.
    written: u64,
}

impl<'a, W: Write> Show<'a, W> {
    fn new(
        format: Format,
        request: &'a SnapshotRequest,
        stop: &'a StopSignal,
        output: Output<W>,
    ) -> Self {
        let probe = format!("cli-{}", std::process::id());
        let sources = Sources::default();
        Self { format, request, stop, output, probe, armed: None, sources, written: 0 }
    }

    /// `Break` if no more events are wanted.
    fn event(&mut self, event: &Event) -> ControlFlow<()> {
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
        if self.stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What the process exits with after the engine has ended well.
fn exit_code(
    request: &SnapshotRequest,
    summary: &Summary,
    written: u64,
    signal: Option<u8>,
) -> Result<u8, Failure> {
    let issue = |kind, detail: String| Err(Issue::new(kind, &request.location_text, detail).into());
    let waited = || print::summary::duration(request.timeout);
    match summary.ended {
        Ended::Complete => Ok(SUCCESS),
        // Without a signal it was the reader of our output, which has seen enough.
        Ended::Stopped => Ok(signal.map_or(SUCCESS, |number| SIGNAL_BASE.saturating_add(number))),
        Ended::ProcessGone => {
            issue(IssueKind::ProcessGone, format!("after {written} captures of it"))
        }
        Ended::Timeout if written > 0 => Ok(SUCCESS),
        Ended::Timeout if summary.hits == 0 && summary.kernel_misses == 0 => {
            issue(IssueKind::NoHit, format!("waited {}", waited().as_str()))
        }
        Ended::Timeout => {
            issue(IssueKind::NoCapture, format!("{} hits in {}", summary.hits, waited().as_str()))
        }
    }
}
