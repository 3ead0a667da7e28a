//! Whether a probe may be armed: what it will cost the target, against what it may.

use super::budget::CpuShare;
use super::cost::{CostModel, Predicted};
use tracer_common::limits::WAKE_EVERY_NS;

/// The part of a budget that a prediction may use: it is right within a quarter, and hits don't
/// come evenly.
const AIM: f64 = 0.8;
const SECOND_NS: f64 = 1e9;
/// How often captures wake their reader at most.
const WAKES_PER_SECOND: f64 = SECOND_NS / WAKE_EVERY_NS as f64;

/// How often a place is hit, and what its process does meanwhile.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Load {
    /// Hits a second without a probe.
    pub hits_per_second: f64,
    /// Cores that the process keeps busy without a probe; 0 if it waits for others now and then, so
    /// that it can do the same work with a probe.
    pub busy_cores: f64,
    /// Nanoseconds in a second that calls spend at the entries of functions.
    pub entries_ns: f64,
}

/// What a probe will cost.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Forecast {
    /// For a hit.
    pub hit: Predicted,
    /// What it was made of.
    pub load: Load,
    /// Hits a second without a probe.
    pub hits_per_second: f64,
    /// Captures a second at most; `None` for no limit.
    pub captures_per_second: Option<u64>,
    /// Cores that the probe will take.
    pub cores: f64,
    /// By which factor the process will take longer for the same work.
    pub slowdown: f64,
}

/// Whether a probe may be armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As it was asked for.
    Admit,
    /// With so many captures a second at most.
    Sample(u64),
    /// It would cost too much even if it captured nothing.
    Refuse,
}

impl Load {
    /// From what was seen with a probe in place: `hits` that cost `hit_ns` each, while the process
    /// used `cpu_seconds` in `seconds`.
    pub fn seen(hits: f64, hit_ns: f64, seconds: f64, cpu_seconds: f64) -> Self {
        /// A process that is less busy waits for something else, or for a cpu.
        const BUSY: f64 = 0.8;
        /// The probe alone keeps it busy if it takes more than this part of its time.
        const BY_PROBE: f64 = 0.3;
        if hits == 0.0 || seconds <= 0.0 {
            return Self::default();
        }
        let rate = hits / seconds;
        let cores = cpu_seconds / seconds;
        let in_probe = rate * hit_ns / SECOND_NS;
        if cores < BUSY && in_probe < cores * BY_PROBE {
            return Self { hits_per_second: rate, ..Self::default() };
        }
        // What is left for its own work, without the probe; neither figure is exact.
        let own = (cores - in_probe).max(cores * 0.01);
        Self { hits_per_second: rate * cores / own, busy_cores: cores, entries_ns: 0.0 }
    }

    /// The same where this part of what was seen were no hits, but calls at entries that cost
    /// `entry_ns` each.
    pub fn of_which_entries(self, part: f64, entry_ns: f64) -> Self {
        let came = self.hits_per_second;
        let entries_ns = came * part * entry_ns;
        Self { hits_per_second: came * (1.0 - part), entries_ns, ..self }
    }
}

impl Forecast {
    /// Of a probe with at most `captures_per_second`, 0 for no limit.
    pub fn new(costs: &CostModel, hit: Predicted, load: Load, captures_per_second: u64) -> Self {
        let rate = load.hits_per_second;
        let most = Some(captures_per_second).filter(|most| *most > 0);
        let captured = most.map_or(rate, |most| rate.min(most as f64));
        let ns = load.entries_ns
            + rate * hit.trap_ns
            + captured * hit.program_ns
            + captured.min(WAKES_PER_SECOND) * hit.wake_ns
            + (rate - captured) * costs.limited_ns;
        let asked = ns / SECOND_NS;
        let busy = load.busy_cores;
        // A busy process has no more cores than before: what the probe takes, calls don't get.
        let (cores, slowdown) = match busy > 0.0 {
            true => (busy * asked / (busy + asked), 1.0 + asked / busy),
            false => (asked, 1.0),
        };
        Self { hit, load, hits_per_second: rate, captures_per_second: most, cores, slowdown }
    }

    /// The same without breakpoints at entries.
    pub fn without_entries(&self, costs: &CostModel) -> Self {
        let load = Load { entries_ns: 0.0, ..self.load };
        Self::new(costs, self.hit, load, self.captures_per_second.unwrap_or(0))
    }

    /// Whether it is within a budget.
    pub fn verdict(&self, costs: &CostModel, budget: CpuShare) -> Verdict {
        let Some(percent) = budget.as_percent() else { return Verdict::Admit };
        let allowed = percent / 100.0 * AIM;
        if self.cores <= allowed {
            return Verdict::Admit;
        }
        let turned_away_ns = self.hit.trap_ns + costs.limited_ns;
        let left_ns =
            allowed * SECOND_NS - self.load.entries_ns - self.hits_per_second * turned_away_ns;
        let more_ns = (self.hit.program_ns - costs.limited_ns).max(1.0);
        // Few captures wake a reader each, many do so at most as often as the program lets them.
        let few = left_ns / (more_ns + self.hit.wake_ns);
        let captures = match few > WAKES_PER_SECOND {
            true => (left_ns - WAKES_PER_SECOND * self.hit.wake_ns) / more_ns,
            false => few,
        };
        // No more than it would take anyway.
        match captures.min(self.captures_per_second.map_or(captures, |most| most as f64)) {
            captures if captures >= 1.0 => Verdict::Sample(captures as u64),
            _ => Verdict::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: CostModel = CostModel {
        emulated_ns: 500.0,
        single_stepped_ns: 9000.0,
        return_ns: None,
        count_ns: 20.0,
        limited_ns: 60.0,
        capture_ns: 300.0,
        wake_ns: 0.0,
        op_ns: 10.0,
        item_ns: 100.0,
        edge_ns: 10.0,
        stack_ns: 100.0,
        stack_kib_ns: 50.0,
        object_kib_ns: 50.0,
        text_kib_ns: 100.0,
        fault_ns: 500.0,
    };
    const HIT: Predicted = Predicted { trap_ns: 500.0, program_ns: 1000.0, wake_ns: 500.0 };

    fn verdict(hits_per_second: f64, rate: u64) -> Verdict {
        let load = Load { hits_per_second, busy_cores: 1.0, entries_ns: 0.0 };
        let forecast = Forecast::new(&COSTS, HIT, load, rate);
        forecast.verdict(&COSTS, CpuShare::percent(1.0))
    }

    #[test]
    fn a_probe_is_admitted_sampled_or_refused() {
        assert_eq!(verdict(0.0, 0), Verdict::Admit);
        assert_eq!(verdict(1000.0, 0), Verdict::Admit);
        // 10 000 hits take 5.6 ms if nothing is captured, which leaves 2.4 of 8; the reader is woken
        // 200 times, which takes 0.1.
        assert_eq!(verdict(10_000.0, 0), Verdict::Sample(2446));
        // So few captures are no matter.
        assert_eq!(verdict(10_000.0, 100), Verdict::Admit);
        assert_eq!(verdict(20_000.0, 0), Verdict::Refuse);
        assert_eq!(verdict(1e6, 1), Verdict::Refuse);
    }

    #[test]
    fn what_calls_cost_at_entries_counts() {
        // A million of them and a thousand hits, in two seconds.
        let seen = Load::seen(1e6 + 1e3, 400.0, 2.0, 1.58);
        let load = seen.of_which_entries(1e6 / (1e6 + 1e3), 500.0);
        assert!((load.hits_per_second - 500.0).abs() < 1.0, "{load:?}");
        assert!((load.entries_ns - 2.5e8).abs() < 1e6, "{load:?}");
        let forecast = Forecast::new(&COSTS, HIT, load, 0);
        let verdict = |forecast: &Forecast| forecast.verdict(&COSTS, CpuShare::percent(1.0));
        assert_eq!(verdict(&forecast), Verdict::Refuse);
        assert_eq!(verdict(&forecast.without_entries(&COSTS)), Verdict::Admit);
    }

    #[test]
    fn no_budget_admits_all() {
        let load = Load { hits_per_second: 1e9, busy_cores: 1.0, entries_ns: 0.0 };
        let forecast = Forecast::new(&COSTS, HIT, load, 0);
        assert_eq!(forecast.verdict(&COSTS, CpuShare::UNLIMITED), Verdict::Admit);
        assert!(forecast.cores < 1.0, "{forecast:?}");
        assert!(forecast.slowdown > 1000.0, "{forecast:?}");
    }

    #[test]
    fn a_busy_process_calls_more_often_without_the_probe() {
        // 500 ns of own work and 500 for the probe, a million times in a second.
        let busy = Load::seen(1e6, 500.0, 1.0, 1.0);
        assert_eq!(busy.hits_per_second, 2e6);
        // One that waits would have done the same work.
        let waits = Load::seen(1e5, 500.0, 1.0, 0.7);
        assert_eq!(waits, Load { hits_per_second: 1e5, ..Load::default() });
        // One that got a cpu now and then only, and had it for the probe.
        assert_eq!(Load::seen(4e5, 500.0, 1.0, 0.25).busy_cores, 0.25);
        // Figures that contradict each other give no nonsense.
        let load = Load::seen(1e6, 2000.0, 1.0, 1.0);
        assert_eq!(load.hits_per_second, 1e8);
        assert_eq!(Load::seen(0.0, 500.0, 0.0, 0.0), Load::default());
    }
}
