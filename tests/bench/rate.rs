//! How many hits a second are captured, decoded and handed over without losing one.
//!
//! The target calls at a steady rate for longer than the ring could hide that the reader is too
//! slow. The rate is doubled until hits are lost, and then halved in between.

use super::Extent;
use super::figure::Figure;
use super::functions;
use super::ours::{Probe, ended};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::time::{Duration, Instant};
use tracer_common::outcome::Outcome;
use tracer_tests::snapshot::{during, engine};
use tracer_tests::targets::RunningTarget;

/// How long a rate must hold.
const HOLD: Duration = Duration::from_secs(3);
const HOLD_SHORT: Duration = Duration::from_millis(50);
/// The rate to begin with, calls per second.
const FIRST: u64 = 1000;
/// Steps between the last rate that held and the first that did not.
const STEPS: u32 = 4;
/// A target that takes so much longer than asked calls as often as it can.
const LATE: f64 = 1.1;

/// Finds the highest rate for arguments alone and for whole snapshots.
///
/// # Errors
///
/// The probe can't be placed.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let mut target = functions::start()?;
    let probes = [
        ("rate_args4", Probe::Arguments, "emulated"),
        ("rate_snapshot", Probe::Snapshot, "emulated_node"),
    ];
    let mut figures = Vec::new();
    for (bench, probe, function) in probes {
        let rate = highest(&mut target, probe, function, extent)?;
        let values = vec![
            ("events_per_second", json!(rate.unwrap_or(0))),
            ("held_seconds", json!(hold(extent).as_secs_f64())),
        ];
        figures.push(Figure::Other { bench, values });
    }
    Ok(figures)
}

fn hold(extent: Extent) -> Duration {
    if extent == Extent::Full { HOLD } else { HOLD_SHORT }
}

/// The highest rate found that holds; `None` if the first one does not.
fn highest(
    target: &mut RunningTarget,
    probe: Probe,
    function: &str,
    extent: Extent,
) -> Result<Option<u64>> {
    let mut holds = |rate| holds(target, probe, function, rate, hold(extent));
    let (mut low, mut high) = (None, FIRST);
    while holds(high)? {
        low = Some(high);
        if extent == Extent::Short {
            return Ok(low);
        }
        high *= 2;
    }
    let Some(mut low) = low else { return Ok(None) };
    for _ in 0..STEPS {
        let middle = low.midpoint(high);
        if holds(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(low))
}

/// Whether no hit is lost at a rate, and the target can call so often.
fn holds(
    target: &mut RunningTarget,
    probe: Probe,
    function: &str,
    rate: u64,
    time: Duration,
) -> Result<bool> {
    let request = probe.request(target.pid(), function)?;
    let interval = 1_000_000_000 / rate;
    let calls = u64::try_from(time.as_nanos())? / interval;
    let work = || {
        let start = Instant::now();
        target.obey(&format!("{function} {calls} {interval}"))?;
        Ok(start.elapsed())
    };
    let (summary, took) = during(&engine(), &request, work, &mut |_, _| {})?;
    let took = took.with_context(|| format!("{function} was never probed"))?;
    let in_time = took.as_secs_f64() < time.as_secs_f64() * LATE;
    let all = ended(&summary, Outcome::Captured) == calls;
    eprintln!("rate: {function}, {rate} a second: all captured {all}, in time {in_time}");
    Ok(all && in_time)
}
