//! What is attached to a function while its calls are timed.

use super::bpftrace::Bpftrace;
use super::functions::{Functions, Place};
use super::ours::{self, Probe};
use super::run_time::Programs;
use anyhow::Result;
use std::os::fd::AsFd as _;
use tracer_core::model::resolved::TrapClass;
use tracer_tests::bpf;
use tracer_tests::targets::RunningTarget;

/// What is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// Nothing.
    None,
    /// An empty program by `uprobe_multi`, at the instruction that we would probe.
    Empty,
    /// Our probe that counts, without limits.
    Count,
    /// Our probe that counts, with a rate and a limit.
    CountGated,
    /// Our probe that captures four arguments and no stack; with a rate and a limit.
    Args4,
    /// Our probe that captures 16 KiB of stack and what the argument points to.
    Snapshot,
    /// bpftrace, counting.
    BpftraceCount,
    /// bpftrace, printing four arguments: the usual way to see them.
    BpftraceArgs4,
}

/// What a number of calls took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU time of the thread for one call.
    pub(crate) ns: f64,
    /// The kernel program's part in it, if the kernel measured it.
    pub(crate) in_program_ns: Option<f64>,
}

impl Variant {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::None,
        Self::Empty,
        Self::Count,
        Self::CountGated,
        Self::Args4,
        Self::Snapshot,
        Self::BpftraceCount,
        Self::BpftraceArgs4,
    ];

    /// Its name in the results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Empty => "empty",
            Self::Count => "count",
            Self::CountGated => "count_gated",
            Self::Args4 => "args4",
            Self::Snapshot => "snapshot",
            Self::BpftraceCount => "bpftrace_count",
            Self::BpftraceArgs4 => "bpftrace_args4",
        }
    }

    /// Whether it goes where we would probe and not where the function begins.
    fn is_placed_by_us(self) -> bool {
        !matches!(self, Self::None | Self::BpftraceCount | Self::BpftraceArgs4)
    }

    /// The class of the instruction that it probes.
    pub(crate) fn placed(self, functions: &Functions) -> Option<TrapClass> {
        match self {
            Self::None => None,
            _ if self.is_placed_by_us() => Some(functions.placed),
            _ => Some(functions.requested),
        }
    }

    /// Whether it says something at this function that it does not say at another: where there is
    /// nothing better than the function's beginning, others do the same as everywhere.
    pub(crate) fn differs_at(self, functions: &Functions) -> bool {
        self.is_placed_by_us()
            || functions.requested == TrapClass::Emulated
            || functions.placed == TrapClass::Emulated
    }

    /// The function that it is attached to.
    pub(crate) fn function(self, functions: &Functions) -> &'static str {
        if self == Self::Snapshot { functions.pointer } else { functions.numbers }
    }

    /// Attaches it, times `calls` calls and takes it out.
    ///
    /// # Errors
    ///
    /// It can't be attached, or what it should capture is not captured.
    pub(crate) fn time(
        self,
        target: &mut RunningTarget,
        functions: &Functions,
        place: &Place,
        calls: u64,
    ) -> Result<Sample> {
        let function = self.function(functions);
        let own = std::process::id();
        match self {
            Self::None => call(target, function, calls, own),
            Self::Empty => {
                let program = bpf::load(bpf::EMPTY)?;
                let at = [bpf::Place { offset: place.offset, cookie: 0 }];
                let _link = bpf::link(program.as_fd(), &place.path, target.pid(), &at)?;
                call(target, function, calls, own)
            }
            Self::Count => ours::time(target, Probe::Count, function, calls),
            Self::CountGated => ours::time(target, Probe::CountGated, function, calls),
            Self::Args4 => ours::time(target, Probe::Arguments, function, calls),
            Self::Snapshot => ours::time(target, Probe::Snapshot, function, calls),
            Self::BpftraceCount => bpftrace(target, place, function, calls, "@ = count();"),
            Self::BpftraceArgs4 => {
                let print = r#"printf("%lu %lu %lu %lu\n", arg0, arg1, arg2, arg3);"#;
                bpftrace(target, place, function, calls, print)
            }
        }
    }
}

/// Lets the target call a function; `holder` is the process that holds the kernel program.
pub(crate) fn call(
    target: &mut RunningTarget,
    function: &str,
    calls: u64,
    holder: u32,
) -> Result<Sample> {
    let before = Programs::of(holder)?;
    let ns = target.obey(&format!("{function} {calls} 0"))?;
    let in_program_ns = Programs::of(holder)?.ns_per_run_since(&before);
    Ok(Sample { ns: ns as f64 / calls as f64, in_program_ns })
}

fn bpftrace(
    target: &mut RunningTarget,
    place: &Place,
    function: &str,
    calls: u64,
    action: &str,
) -> Result<Sample> {
    let bpftrace = Bpftrace::start(target.pid(), place, function, action)?;
    let sample = call(target, function, calls, bpftrace.pid())?;
    bpftrace.stop()?;
    Ok(sample)
}
