//! `tracer snapshot`: arguments → request → engine → output.

use super::failure::{Failure, SIGNAL_BASE, SUCCESS};
use super::output::{Format, Output};
use super::show::{Show, Shown};
use super::stop::StopSignal;
use super::{ReachArgs, SnapshotArgs, print, reach};
use crate::api::json;
use crate::api::probes::{ProbeLine, ProbeRequest};
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::stream::{Lines, StreamLine};
use crate::api::types::Ended;
use crate::client::Daemon;
use crate::debuginfod::servers;
use std::ops::ControlFlow;
use tracer_core::engine::Engine;
use tracer_core::engine::options::Options;
use tracer_core::engine::request::{SnapshotRequest, learn, rate, ring_bytes};
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::caller::Caller;
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_core::model::limits::Limits;
use tracer_core::model::process::ProcessSpec;
use tracer_core::model::resolved::LocationSpec;

/// Takes the snapshots that `args` ask for; gives the exit code.
///
/// # Errors
/// What kept it from that. Nothing is armed any more when this returns, unless it was left to a
/// daemon.
pub(crate) fn run(args: &SnapshotArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let request = request(args, parse_location(&args.location)?);
    if args.detach {
        return detach(args, &request, to);
    }
    // A daemon's engine has options of its own.
    let daemon = if own_engine(args) { None } else { reach::daemon(to)? };
    let stop = StopSignal::install_for_probe().map_err(Failure::Signals)?;
    let stopped = || stop.is_set();
    let output = Output::stdout_until(stop.fd()).map_err(Failure::Output)?;
    let format = Format::of(args.json);
    if let (Format::Text, ProcessSpec::Exe(exe)) = (format, &request.process) {
        print::to_stderr(&print::probes::waiting(&exe.display().to_string()));
    }
    let mut show = Show::new(format, &stopped, output);
    let mut line = |line| show.line(line);
    let taken = match &daemon {
        Some(daemon) => take_by(daemon, &asked(args, &request), &stop, &mut line),
        None => take(&Engine::with_servers(options(args), servers()), &request, &stop, &mut line),
    };
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
    show: &mut dyn FnMut(StreamLine) -> ControlFlow<()>,
) -> Result<(), Failure> {
    // This process places one probe only.
    let mut lines = Lines::new(format!("cli-{}", std::process::id()), request);
    engine.snapshot(request, stop.fd(), &mut |event| {
        lines.line(event).map_or(ControlFlow::Continue(()), &mut *show)
    })?;
    Ok(())
}

/// The same by a daemon.
fn take_by(
    daemon: &Daemon,
    request: &ProbeRequest,
    stop: &StopSignal,
    show: &mut dyn FnMut(StreamLine) -> ControlFlow<()>,
) -> Result<(), Failure> {
    Ok(daemon.snapshot(request, stop.fd(), show)?)
}

/// Leaves the probe to the daemon.
fn detach(args: &SnapshotArgs, request: &SnapshotRequest, to: &ReachArgs) -> Result<u8, Failure> {
    if own_engine(args) {
        let detail = "--attach, --kernel-log and --scratch-slots are options of `tracer daemon`";
        return Err(Refusal::new(RefusalKind::BadRequest, "--detach", detail).into());
    }
    let daemon = reach::required(to)?;
    let probe: ProbeLine = daemon.post("/v1/probes", &asked(args, request))?;
    let mut output = Output::stdout();
    let told = match Format::of(args.json) {
        Format::Json => output.json(json::line(&probe)),
        Format::Text => {
            print::to_stderr(&print::probes::detached(&probe));
            output.page(&print::probes::id(&probe))
        }
    };
    if told.is_break() {
        tracing::debug!("the name of the probe could not be written");
    }
    output.finish()?;
    Ok(SUCCESS)
}

/// What is asked of a daemon: it knows better what room there is for a ring that nobody chose.
fn asked(args: &SnapshotArgs, request: &SnapshotRequest) -> ProbeRequest {
    ProbeRequest { ring_bytes: args.ring_bytes, ..ProbeRequest::of(request, args.detach) }
}

/// Whether options of the engine are wanted that a daemon may not have.
fn own_engine(args: &SnapshotArgs) -> bool {
    // A daemon has its own budgets.
    Options { budgets: Budgets::default(), ..options(args) } != Options::default()
}

/// Reads a location.
fn parse_location(text: &str) -> Result<LocationSpec, Issue> {
    tracer_core::engine::parse_location(text)
}

/// What is meant by what was typed.
pub(crate) fn request(args: &SnapshotArgs, location: LocationSpec) -> SnapshotRequest {
    let limits = Limits {
        stack_bytes: args.limits.stack,
        bytes_max: args.limits.limit_bytes,
        text_bytes_max: args.limits.max_string,
        items_max: args.limits.max_items,
        depth_max: args.limits.depth,
        nodes_max: Limits::DEFAULT.nodes_max,
        globals_max: args.limits.globals,
    };
    SnapshotRequest {
        caller: Caller::Root,
        process: process(args),
        location,
        location_text: args.location.clone(),
        action: Action::Snapshot,
        hits: args.hits,
        rate: args.rate.unwrap_or_else(|| rate(args.hits)),
        budget: CpuShare::percent(args.budget),
        learn: args.learn.unwrap_or_else(|| learn(args.hits)),
        force: args.force,
        entry_probe: !args.no_entry_probe,
        raw: args.raw,
        retry: args.retry,
        timeout: args.timeout,
        idle: args.idle,
        limits,
        ring_bytes: args.ring_bytes.unwrap_or_else(|| ring_bytes(args.hits, &limits)),
    }
}

/// Which process is meant. A daemon has another working directory, and follows no links for users.
fn process(args: &SnapshotArgs) -> ProcessSpec {
    match (args.pid, &args.exe) {
        (_, Some(exe)) => {
            let path = exe.canonicalize().or_else(|_| std::path::absolute(exe));
            ProcessSpec::Exe(path.unwrap_or_else(|_| exe.clone()))
        }
        // One of the two is given.
        (pid, None) => ProcessSpec::Pid(pid.unwrap_or_default()),
    }
}

/// How the engine works for what was typed.
pub(crate) fn options(args: &SnapshotArgs) -> Options {
    Options {
        attach: args.attach.mode(),
        scratch_slots: args.scratch_slots,
        kernel_log: args.kernel_log.level(),
        budgets: own_budgets(args),
        ..Options::default()
    }
}

/// What an engine of our own lets probes cost together: it has but this one.
fn own_budgets(args: &SnapshotArgs) -> Budgets {
    if args.no_budgets {
        return Budgets::UNLIMITED;
    }
    let percent = args.budget;
    Budgets::percent(percent.max(Budgets::PROCESS_PERCENT), percent.max(Budgets::NODE_PERCENT))
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
    let waited = || {
        print::summary::duration(match (summary.ended, request.idle) {
            (Ended::Idle, Some(idle)) => idle,
            _ => request.timeout,
        })
    };
    match summary.ended {
        Ended::Complete => Ok(SUCCESS),
        // Without a signal it was the reader of our output, which has seen enough.
        Ended::Stopped => Ok(signal.map_or(SUCCESS, |number| SIGNAL_BASE.saturating_add(number))),
        Ended::ProcessGone => {
            issue(IssueKind::ProcessGone, format!("captures taken before that: {written}"))
        }
        Ended::CodeGone => issue(IssueKind::CodeGone, String::new()),
        Ended::CodeChanged => issue(IssueKind::CodeChanged, summary.why.unwrap_or_default()),
        Ended::Tripped => {
            let spent = summary.overload.as_ref().map(print::summary::spent);
            issue(IssueKind::Tripped, spent.unwrap_or_default())
        }
        Ended::Unread => issue(IssueKind::Unread, summary.why.unwrap_or_default()),
        Ended::Silence | Ended::GuardianDied => issue(IssueKind::GuardianGone, String::new()),
        Ended::Timeout | Ended::Idle if written > 0 => Ok(SUCCESS),
        Ended::Timeout | Ended::Idle if summary.hits == 0 && summary.kernel_misses == 0 => {
            let waited = format!("waited {}", waited().as_str());
            issue(IssueKind::NoHit, summary.why.unwrap_or(waited))
        }
        Ended::Timeout | Ended::Idle => {
            issue(IssueKind::NoCapture, format!("{} hits in {}", summary.hits, waited().as_str()))
        }
    }
}
