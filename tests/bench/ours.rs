//! Our own probes on a function while its calls are timed.

use super::variant::{Sample, call};
use anyhow::{Context as _, Result, ensure};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tracer_common::outcome::Outcome;
use tracer_core::engine::Engine;
use tracer_core::engine::event::{Event, Summary};
use tracer_core::engine::options::Options;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::capture::{Capture, Variable};
use tracer_core::model::value::Value;
use tracer_tests::snapshot::{during, options, request};
use tracer_tests::targets::RunningTarget;

/// A rate and a number of hits that are checked at every hit and never reached.
const RATE: u64 = 1_000_000_000;
const HITS: u64 = u64::MAX / 2;
/// Charging budgets is a part of what a hit costs, so there are some; too large to be spent.
const NEVER_SPENT: f64 = 100_000.0;
/// How long the reader may take for what fits into the ring.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pointers followed in a row.
const DEPTH: u32 = 3;

/// What a hit does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Probe {
    /// Counts, and nothing limits it.
    Count,
    /// Counts what a gate lets pass.
    CountGated,
    /// Captures four arguments and no stack.
    Arguments,
    /// Captures 16 KiB of stack and what the argument points to, three pointers deep.
    Snapshot,
}

impl Probe {
    /// Its request. If there is a gate, it checks everything and stops nothing.
    pub(crate) fn request(self, pid: u32, function: &str) -> Result<SnapshotRequest> {
        let mut request = request(pid, function)?;
        request.budget = CpuShare::percent(NEVER_SPENT);
        (request.rate, request.hits) = if self == Self::Count { (0, 0) } else { (RATE, HITS) };
        match self {
            Self::Count | Self::CountGated => request.action = Action::Count,
            Self::Arguments => request.limits.stack_bytes = 0,
            Self::Snapshot => request.limits.depth_max = DEPTH,
        }
        Ok(request)
    }

    /// How its hits should end.
    fn outcome(self) -> Outcome {
        match self {
            Self::Count | Self::CountGated => Outcome::Aggregated,
            Self::Arguments | Self::Snapshot => Outcome::Captured,
        }
    }

    /// Records that surely fit into the ring before the reader has taken any.
    fn at_once(self) -> u64 {
        match self {
            Self::Count | Self::CountGated => u64::MAX,
            Self::Arguments => 8000,
            Self::Snapshot => 400,
        }
    }

    /// Whether a capture has what it should have.
    fn is_right(self, capture: &Capture) -> bool {
        let Some(frame) = capture.frames.first() else { return false };
        match self {
            Self::Count | Self::CountGated => false,
            Self::Arguments => are_consecutive(&frame.variables),
            Self::Snapshot => capture.frames.len() > 1 && frame.variables.iter().any(is_deep),
        }
    }
}

/// Times calls that are all counted, or captured and read: a hit that is lost costs less.
///
/// # Errors
///
/// The probe can't be placed, or something is lost or wrong.
pub(crate) fn time(
    target: &mut RunningTarget,
    probe: Probe,
    function: &str,
    calls: u64,
) -> Result<Sample> {
    let request = probe.request(target.pid(), function)?;
    let budgets = Budgets::percent(NEVER_SPENT, NEVER_SPENT);
    let engine = Engine::new(Options { budgets, ..options() });
    let (taken, taking) = channel();
    let work = move || in_batches(target, probe, function, calls, &taking);
    let mut wrong = 0;
    let (summary, sample) = during(&engine, &request, work, &mut |event, _| {
        if let Event::Capture { capture, .. } = event {
            wrong += u64::from(!probe.is_right(&capture));
            // Who waits for it may have given up.
            taken.send(()).ok();
        }
    })?;
    ensure!(
        ended(&summary, probe.outcome()) == calls,
        "of {calls} hits of {function}: {summary:?}"
    );
    ensure!(wrong == 0, "{wrong} captures of {function} are wrong");
    sample.with_context(|| format!("{function} was never probed"))
}

/// Hits that ended so.
pub(crate) fn ended(summary: &Summary, outcome: Outcome) -> u64 {
    summary.outcomes.get(&outcome).copied().unwrap_or(0)
}

/// Times calls, some of them at once and then the next when the reader has taken those.
fn in_batches(
    target: &mut RunningTarget,
    probe: Probe,
    function: &str,
    calls: u64,
    taking: &Receiver<()>,
) -> Result<Sample> {
    let (mut ns, mut in_program_ns, mut left) = (0.0, None, calls);
    while left > 0 {
        let batch = left.min(probe.at_once());
        let sample = call(target, function, batch, std::process::id())?;
        ns += sample.ns * batch as f64;
        if let Some(of_batch) = sample.in_program_ns {
            *in_program_ns.get_or_insert(0.0) += of_batch * batch as f64;
        }
        let records = if probe.outcome() == Outcome::Captured { batch } else { 0 };
        for _ in 0..records {
            taking.recv_timeout(PATIENCE).context("a record is missing")?;
        }
        left -= batch;
    }
    let calls = calls as f64;
    Ok(Sample { ns: ns / calls, in_program_ns: in_program_ns.map(|sum| sum / calls) })
}

/// Four numbers, each one more than the one before.
fn are_consecutive(variables: &[Variable]) -> bool {
    let number = |variable: &Variable| match variable.value.value {
        Value::Unsigned(number) => Some(number),
        _ => None,
    };
    let numbers: Vec<_> = variables.iter().filter_map(number).collect();
    numbers.len() == 4 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Leads through as many pointers as are followed.
fn is_deep(variable: &Variable) -> bool {
    fn pointers(value: &Value) -> u32 {
        match value {
            Value::Pointer { target, .. } => match target.value {
                Value::Unavailable(_) => 0,
                ref value => 1 + pointers(value),
            },
            Value::Record(fields) => {
                fields.iter().map(|field| pointers(&field.value.value)).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
    pointers(&variable.value.value) == DEPTH
}
