//! What holds for all requests to an engine.

pub use crate::attach::breakpoints::AttachMode;
use crate::model::budget::Budgets;
use tracer_common::limits::SCRATCH_SLOTS;

/// How an engine works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attach: AttachMode::Auto,
            scratch_slots: SCRATCH_SLOTS,
            kernel_log: None,
            budgets: Budgets::default(),
        }
    }
}
