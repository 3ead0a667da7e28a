//! `tracer snapshot`: arguments → request → engine → output.

use super::SnapshotArgs;
use super::failure::{Failure, SIGNAL_BASE, SUCCESS};
use super::output::{Format, Output};
use super::print;
use super::show::{Show, Shown};
use super::stop::StopSignal;
use crate::api::stream::Lines;
use crate::api::types::Ended;
use std::ops::ControlFlow;
use tracer_core::engine::Engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::Event;
use tracer_core::engine::options::Options;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::caller::Caller;
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
    let stopped = || stop.is_set();
    let output = Output::stdout_until(stop.fd()).map_err(Failure::Output)?;
    let mut show = Show::new(Format::of(args.json), &stopped, output);
    // This process places one probe only.
    let mut lines = Lines::new(format!("cli-{}", std::process::id()), &request);
    let taken = take(&Engine::new(options(args)), &request, &stop, &mut |event| {
        lines.line(event).map_or(ControlFlow::Break(()), |line| show.line(line))
    });
    let shown = show.finish();
    taken?;
    exit_code(&request, shown?, stop.signal())
}

/// The engine's only call: resolves, arms, hands `show` what comes, and takes the probe out as
/// soon as `show` breaks or `stop` is readable.
fn take(
    engine: &Engine,
    request: &SnapshotRequest,
    stop: &StopSignal,
    show: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), EngineError> {
    engine.snapshot(request, stop.fd(), show).map(drop)
}

/// Reads a location.
fn parse_location(text: &str) -> Result<LocationSpec, Issue> {
    tracer_core::engine::parse_location(text)
}

/// What is meant by what was typed.
pub(crate) fn request(args: &SnapshotArgs, location: LocationSpec) -> SnapshotRequest {
    SnapshotRequest {
        caller: Caller::Root,
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
    }
}

/// How the engine works for what was typed.
pub(crate) fn options(args: &SnapshotArgs) -> Options {
    Options {
        attach: args.attach.mode(),
        scratch_slots: args.scratch_slots,
        kernel_log: args.kernel_log.level(),
    }
}

/// What the process exits with after all has been shown.
pub(crate) fn exit_code(
    request: &SnapshotRequest,
    shown: Shown,
    signal: Option<u8>,
) -> Result<u8, Failure> {
    let Shown { written, end } = shown;
    let summary = end.ok_or(Failure::Cut)?.map_err(Failure::Told)?;
    let issue = |kind, detail: String| Err(Issue::new(kind, &request.location_text, detail).into());
    let waited = || print::summary::duration(request.timeout);
    match summary.ended {
        Ended::Complete => Ok(SUCCESS),
        // Without a signal it was the reader of our output, which has seen enough.
        Ended::Stopped => Ok(signal.map_or(SUCCESS, |number| SIGNAL_BASE.saturating_add(number))),
        Ended::ProcessGone => {
            issue(IssueKind::ProcessGone, format!("captures taken before that: {written}"))
        }
        Ended::CodeGone => issue(IssueKind::CodeGone, String::new()),
        Ended::Timeout if written > 0 => Ok(SUCCESS),
        Ended::Timeout if summary.hits == 0 && summary.kernel_misses == 0 => {
            issue(IssueKind::NoHit, format!("waited {}", waited().as_str()))
        }
        Ended::Timeout => {
            issue(IssueKind::NoCapture, format!("{} hits in {}", summary.hits, waited().as_str()))
        }
    }
}
