//! What holds for all requests to an engine.

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
}

impl Default for Options {
    fn default() -> Self {
        Self { attach: AttachMode::Auto, scratch_slots: SCRATCH_SLOTS, kernel_log: None }
    }
}

/// How breakpoints are placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AttachMode {
    /// By `uprobe_multi` where it works, else by perf events.
    #[default]
    Auto,
    /// By `uprobe_multi` links.
    Multi,
    /// By perf events: needs CAP_SYS_ADMIN, and each breakpoint takes about 0.1 s to remove.
    Perf,
}
