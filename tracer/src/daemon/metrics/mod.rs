//! The door for monitoring: `/metrics`, `/livez` and `/readyz` over TCP, and nothing else: no
//! control, and no captured data.
//!
//! Figures are read when they are asked for: while nothing is asked nothing runs. No label holds a
//! pid, an address or a symbol, so there is a fixed number of series.

mod figures;
mod health;
mod process;
mod server;

use crate::api::probes::ProbeState;
use health::Health;
use process::Process;
use prometheus::TextEncoder;
use std::fmt;
use tracer_core::engine::readings::Readings;

pub(super) use server::serve;

/// What a daemon tells of its probes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ProbeReadings {
    /// All that were asked for, ever.
    pub(super) created: u64,
    /// Those that are known, by how they stand: one item for each state.
    pub(super) by_state: Vec<(ProbeState, u64)>,
    /// Captures that were dropped, ever, for there were too many for their readers.
    pub(super) evicted: u64,
}

/// Where the figures of a scrape come from.
type Source = dyn Fn() -> (Readings, ProbeReadings) + Send + Sync;

/// The metrics and the health of a daemon.
pub(super) struct Metrics {
    source: Box<Source>,
    process: Process,
    health: Health,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Those of a daemon that `source` asks.
    pub(super) fn new(
        source: impl Fn() -> (Readings, ProbeReadings) + Send + Sync + 'static,
    ) -> Self {
        let source = Box::new(source);
        Self { source, process: Process::default(), health: Health::default() }
    }

    /// All figures, in Prometheus's text format.
    fn text(&self) -> prometheus::Result<String> {
        let (engine, probes) = (self.source)();
        let mut families = figures::families(&engine, &probes);
        families.extend(self.process.families());
        TextEncoder::new().encode_to_string(&families)
    }
}
