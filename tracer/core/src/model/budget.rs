//! How much CPU time probes may cost.

use std::time::Duration;
use tracer_common::limits::WINDOW_NS;

/// A share of one core, as nanoseconds in each window of 10 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuShare {
    /// `None` for no limit.
    ns_per_window: Option<u64>,
}

impl CpuShare {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { ns_per_window: None };

    /// So many hundredths of a core; at least a nanosecond in a window.
    pub const fn percent(percent: f64) -> Self {
        let ns = (percent * (WINDOW_NS / 100) as f64) as u64;
        Self { ns_per_window: Some(if ns == 0 { 1 } else { ns }) }
    }

    /// Nanoseconds in a window; `None` for no limit.
    pub const fn ns_per_window(self) -> Option<u64> {
        self.ns_per_window
    }

    /// Hundredths of a core; `None` for no limit.
    pub fn as_percent(self) -> Option<f64> {
        self.ns_per_window.map(|ns| ns as f64 * 100.0 / WINDOW_NS as f64)
    }

    /// Whether so much time in one second is within it.
    pub fn allows(self, per_second: Duration) -> bool {
        self.as_percent().is_none_or(|percent| per_second.as_secs_f64() * 100.0 <= percent)
    }
}

/// What probes may cost together; each probe's own share comes with its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// All probes of a process.
    pub process: CpuShare,
    /// All probes of the engine.
    pub node: CpuShare,
}

impl Budgets {
    /// No limits.
    pub const UNLIMITED: Self = Self { process: CpuShare::UNLIMITED, node: CpuShare::UNLIMITED };
    /// The most that the probes of a process, or of a node, may be allowed, in percent.
    pub const PERCENT_MAX: f64 = 25.0;
    /// What all probes of a process may cost unless the operator says otherwise, in percent.
    pub const PROCESS_PERCENT: f64 = 3.0;
    /// What all probes of a node may cost unless the operator says otherwise, in percent.
    pub const NODE_PERCENT: f64 = 5.0;

    /// So many hundredths of a core for the probes of a process, and of the node.
    pub const fn percent(process: f64, node: f64) -> Self {
        Self { process: CpuShare::percent(process), node: CpuShare::percent(node) }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::percent(Self::PROCESS_PERCENT, Self::NODE_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_nanoseconds_of_a_window() {
        assert_eq!(CpuShare::percent(1.0).ns_per_window(), Some(100_000));
        assert_eq!(CpuShare::percent(0.0).ns_per_window(), Some(1));
        assert_eq!(CpuShare::percent(2.5).as_percent(), Some(2.5));
        assert_eq!(CpuShare::UNLIMITED.as_percent(), None);
    }

    #[test]
    fn a_share_allows_what_is_within_it() {
        let share = CpuShare::percent(1.0);
        assert!(share.allows(Duration::from_millis(10)));
        assert!(!share.allows(Duration::from_micros(10_001)));
        assert!(CpuShare::UNLIMITED.allows(Duration::from_secs(9)));
    }
}
