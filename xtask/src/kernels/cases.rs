//! What is run on which kernel.

use super::cases_target_dir;
use crate::project::tracer_binary;
use std::time::Duration;

/// A machine's work.
#[derive(Debug)]
pub(crate) struct Run {
    /// Names its cases in the guest.
    pub(crate) name: &'static str,
    /// Lines of `ATTACH TEST`.
    pub(crate) cases: &'static [&'static str],
    /// Two cpus that run at the same time, and a kernel that preempts everywhere.
    pub(crate) is_smp: bool,
    /// How long it may take.
    pub(crate) patience: Duration,
}

impl Run {
    /// What the kernel's command line says of it, for the guest's environment and the kernel.
    pub(crate) fn parameters(&self) -> String {
        format!(
            "TRACER_CASES={} CARGO_TARGET_DIR={} TRACER_BINARY={}{}",
            self.name,
            cases_target_dir().display(),
            tracer_binary().display(),
            if self.is_smp { " preempt=full" } else { "" }
        )
    }
}

/// What holds on every kernel that tracer works on.
pub(crate) const SERVED: Run = Run {
    name: "served",
    cases: &[
        "auto find_doctor::doctor_is_content_here_and_tells_both_costs",
        "auto values::gcc_o2",
        "auto equation::four_threads",
    ],
    is_smp: false,
    patience: Duration::from_secs(600),
};

/// All runs, by kernel.
pub(crate) fn runs_of(_series: &str) -> &'static [&'static Run] {
    &[&SERVED]
}

/// Every run that there is.
pub(crate) const ALL: &[&Run] = &[&SERVED];
