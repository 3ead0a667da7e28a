//! What holds for all requests to an engine.

pub use crate::attach::breakpoints::AttachMode;
use crate::model::budget::Budgets;
use std::path::PathBuf;
use tracer_common::limits::SCRATCH_SLOTS;

/// The program that runs, even if its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How an engine works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How breakpoints are placed.
    pub attach: AttachMode,
    /// Scratch buffers in the pool; a power of two up to [`SCRATCH_SLOTS`].
    pub scratch_slots: u32,
    /// Forward the kernel program's own log from this level on; `None` leaves it out of the
    /// program.
    pub kernel_log: Option<tracing::Level>,
    /// What probes may cost together.
    pub budgets: Budgets,
    /// The tracer program, which is started once more to hold the breakpoints, and to
    /// read files.
    pub guardian: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attach: AttachMode::Auto,
            scratch_slots: SCRATCH_SLOTS,
            kernel_log: None,
            budgets: Budgets::default(),
            guardian: PathBuf::from(THIS_PROGRAM),
        }
    }
}
