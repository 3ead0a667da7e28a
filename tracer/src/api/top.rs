//! What the probes of a daemon did between two looks: `tracer top`.

use super::probes::{Cost, ProbeLine, ProbeState};
use super::types::{Code, Outcomes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tracer_common::outcome::Outcome;

/// What [`TopLine::schema`] says.
pub const TOP: &str = "tracer/top/1";

/// One refresh.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct TopLine {
    /// [`TOP`].
    pub schema: Code,
    /// When the later look was: milliseconds since 1970.
    pub time_unix_ms: u64,
    /// The time between the looks.
    pub interval_ms: u64,
    /// Probes that live, those first that cost most.
    pub probes: Vec<TopProbe>,
}

/// A probe between two looks. What can't be told is missing.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct TopProbe {
    /// Its name.
    pub id: String,
    /// How it stands.
    pub state: ProbeState,
    /// The target; missing where none runs the program yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The location as the user wrote it.
    pub location: String,
    /// Hits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<f64>,
    /// Captures per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<f64>,
    /// Other outcomes per second, those that there were.
    pub others: BTreeMap<Code, f64>,
    /// What a hit cost, in nanoseconds: the kernel program, with the trap where `trap` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_hit: Option<f64>,
    /// The cost of the trap is known and part of all costs.
    pub trap: bool,
    /// What all hits cost, in percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// The part of the target's own time on a cpu that went to them, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_percent: Option<f64>,
    /// What is left of its budget, in percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_left_percent: Option<f64>,
    /// When it expires.
    pub expires_in_ms: u64,
}

/// What happened between two looks, `interval` apart, the later one at `time_unix_ms`.
pub fn between(
    before: &[ProbeLine],
    now: &[ProbeLine],
    interval: Duration,
    time_unix_ms: u64,
) -> TopLine {
    let before: BTreeMap<&str, &ProbeLine> =
        before.iter().map(|probe| (probe.id.as_str(), probe)).collect();
    let lives = now.iter().filter(|probe| probe.state.lives());
    let mut probes: Vec<TopProbe> = lives
        .map(|probe| {
            let before = before.get(probe.id.as_str()).copied();
            one(before, probe, interval.as_secs_f64(), time_unix_ms)
        })
        .collect();
    let weight = |probe: &TopProbe| (probe.cpu_percent.unwrap_or(0.0), probe.hits.unwrap_or(0.0));
    probes.sort_by(|one, other| {
        let ((cpu, hits), (other_cpu, other_hits)) = (weight(one), weight(other));
        other_cpu.total_cmp(&cpu).then(other_hits.total_cmp(&hits)).then(one.id.cmp(&other.id))
    });
    let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    TopLine { schema: TOP.into(), time_unix_ms, interval_ms, probes }
}

fn one(before: Option<&ProbeLine>, now: &ProbeLine, seconds: f64, time_unix_ms: u64) -> TopProbe {
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    // One that was not there before was not hit before.
    let outcomes = grown(before.and_then(|probe| probe.outcomes.as_ref()), now.outcomes.as_ref());
    let captured = Outcome::Captured.code();
    let hits = outcomes.as_ref().map(|outcomes| outcomes.values().sum::<u64>());
    let cost = now.cost.as_ref();
    let cost_before = before.and_then(|probe| probe.cost.as_ref());
    let since = |figure: fn(&Cost) -> Option<u64>| {
        let figure_before = cost_before.and_then(figure).unwrap_or(0);
        Some(figure(cost?)?.saturating_sub(figure_before))
    };
    let spent = since(|cost| Some(cost.spent_ns));
    // The target was there before the probe was.
    let target = cost_before.and_then(|_| since(|cost| cost.target_cpu_ns));
    let part = |of: u64| (of > 0).then_some(of as f64);
    let cpu_percent = spent.map(|ns| per_second(ns) / 1e9 * 100.0);
    TopProbe {
        id: now.id.clone(),
        state: now.state,
        pid: now.pid,
        location: now.request.location.clone(),
        hits: hits.map(per_second),
        captured: outcomes.as_ref().map(|all| per_second(all.get(captured).copied().unwrap_or(0))),
        others: outcomes
            .into_iter()
            .flatten()
            .filter(|(code, count)| *code != captured && *count > 0)
            .map(|(code, count)| (code, per_second(count)))
            .collect(),
        ns_per_hit: spent.zip(hits.and_then(part)).map(|(ns, hits)| ns as f64 / hits),
        trap: cost.is_some_and(|cost| cost.trap_ns.is_some()),
        cpu_percent,
        target_percent: spent.zip(target.and_then(part)).map(|(ns, of)| ns as f64 / of * 100.0),
        budget_left_percent: cost
            .and_then(|cost| cost.budget_percent)
            .zip(cpu_percent)
            .map(|(budget, spent)| (budget - spent).max(0.0)),
        expires_in_ms: now.expires_unix_ms.saturating_sub(time_unix_ms),
    }
}

/// How much each outcome has grown.
fn grown(before: Option<&Outcomes>, now: Option<&Outcomes>) -> Option<Outcomes> {
    let earlier = |code: &Code| before.and_then(|all| all.get(code)).copied().unwrap_or(0);
    let grown = |(code, count): (&Code, &u64)| (code.clone(), count.saturating_sub(earlier(code)));
    Some(now?.iter().map(grown).collect())
}

#[cfg(test)]
mod tests {
    use super::super::samples::probe_line;
    use super::*;

    fn counted(id: &str, captured: u64, limited: u64, cost: Option<Cost>) -> ProbeLine {
        let outcomes = [("captured".into(), captured), ("rate_limit".into(), limited)];
        ProbeLine { outcomes: Some(outcomes.into()), cost, ..probe_line(id, ProbeState::Armed) }
    }

    fn cost(spent_ns: u64, target_cpu_ns: u64) -> Option<Cost> {
        Some(Cost {
            spent_ns,
            trap_ns: Some(spent_ns / 2),
            program_ns: spent_ns - spent_ns / 2,
            budget_percent: Some(1.0),
            target_cpu_ns: Some(target_cpu_ns),
        })
    }

    #[test]
    fn rates_are_of_the_time_between_the_looks() {
        let before = [counted("a", 10, 100, cost(1_000, 5_000_000_000))];
        let now = [
            counted("b", 1, 0, None),
            counted("a", 30, 180, cost(10_001_000, 6_000_000_000)),
            ProbeLine { state: ProbeState::Ended, ..counted("c", 1, 1, None) },
        ];
        let line = between(&before, &now, Duration::from_secs(2), 0);
        let [a, b] = line.probes.as_slice() else { panic!("{line:#?}") };
        assert_eq!((a.id.as_str(), b.id.as_str()), ("a", "b"), "the dearest first");
        assert_eq!((a.hits, a.captured), (Some(50.0), Some(10.0)));
        assert_eq!(a.others, [("rate_limit".into(), 40.0)].into());
        assert_eq!(a.ns_per_hit, Some(100_000.0));
        assert_eq!((a.cpu_percent, a.target_percent), (Some(0.5), Some(1.0)));
        assert_eq!(a.budget_left_percent, Some(0.5));
        assert_eq!((b.hits, b.ns_per_hit, b.cpu_percent), (Some(0.5), None, None));
    }

    #[test]
    fn nothing_is_told_of_what_is_not_known() {
        let now = [probe_line("a", ProbeState::Starting)];
        let line = between(&[], &now, Duration::ZERO, u64::MAX);
        let [probe] = line.probes.as_slice() else { panic!("{line:#?}") };
        assert_eq!((probe.hits, probe.captured, probe.ns_per_hit), (None, None, None));
        assert_eq!((probe.expires_in_ms, probe.others.len()), (0, 0));
    }
}
