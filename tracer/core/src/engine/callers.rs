//! Who calls a function that is hit too often: the nearest caller that a probe fits on.

use super::admission::Scene;
use super::error::EngineError;
use super::parser::{Hits, Question};
use super::probe::{Counting, Probe};
use super::request::decoding_nice;
use crate::attach::breakpoints::Closed;
use crate::attach::cpu_clock;
use crate::model::admission::{Forecast, Load, Verdict};
use crate::model::capture::Frame;
use crate::model::cost::{CostModel, Predicted};
use crate::model::record::Record;
use crate::model::resolved::{LocationSpec, Resolved};
use std::time::{Duration, Instant};

/// Callers that are tried.
const TRIED: usize = 6;
/// How long the calls of one are counted at most.
const COUNTED: Duration = Duration::from_millis(100);
/// How often it is looked whether enough are counted.
const SLICE: Duration = Duration::from_millis(5);
/// Calls that tell the rate well enough.
const ENOUGH: u64 = 200;

/// A function that calls another, by others maybe.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Its name.
    pub(super) function: String,
    /// How often it is called.
    pub(super) load: Load,
}

/// Counts the calls of one caller after the other, from the nearest on, until one is called so
/// seldom that the same probe fits there.
pub(super) fn nearest_that_fits(
    scene: &Scene<'_>,
    probe: &Probe<'_>,
    costs: &CostModel,
    refused: &Forecast,
    records: &[(usize, Record)],
) -> Result<Option<Caller>, EngineError> {
    let Some(first) = records.first() else { return Ok(None) };
    let hits = Hits {
        records: vec![first.clone()],
        changed: scene.mapped.changed(),
        wall_minus_boot_ns: 0,
        nice: decoding_nice(scene.request.hits),
    };
    let captures = scene.session.decode(hits, &scene.request.limits)?;
    let Some(capture) = captures.first() else { return Ok(None) };
    // The first physical frame is the function itself.
    let frames = capture.frames.iter().filter(|frame| !frame.inlined).skip(1);
    for frame in frames.filter(|frame| frame.function.is_some()).take(TRIED) {
        let Some((function, resolved)) = probed(scene, frame)? else { continue };
        let Some(site) = resolved.sites.first() else { continue };
        let Ok(counting) = probe.count_only(scene, &resolved) else { continue };
        let counted_ns = costs.trap_ns(site.trap) + costs.count_ns;
        let Some(load) = load(scene, &counting, counted_ns)? else { continue };
        let hit = Predicted { trap_ns: costs.trap_ns(site.trap), ..refused.hit };
        let rate = scene.request.rate;
        let verdict = Forecast::new(costs, hit, load, rate).verdict(costs, scene.request.budget);
        if verdict != Verdict::Refuse {
            return Ok(Some(Caller { function, load }));
        }
    }
    Ok(None)
}

/// Where a probe on the function of a frame would be.
fn probed(scene: &Scene<'_>, frame: &Frame) -> Result<Option<(String, Resolved)>, EngineError> {
    let Some(name) = frame.function.clone() else { return Ok(None) };
    let module = frame.module.clone();
    let spec = LocationSpec::Function { module, name: name.clone(), offset: None };
    match scene.session.resolve(&Question::of(&spec, &name, scene.request.limits)) {
        Ok(resolution) => Ok(Some((name, resolution.resolved))),
        Err(EngineError::Issue(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How often it is called; `None` if it is not at all, or too often to be counted.
fn load(
    scene: &Scene<'_>,
    counting: &Counting<'_>,
    counted_ns: f64,
) -> Result<Option<Load>, EngineError> {
    let cpu = || cpu_clock::of_process(scene.process.id.pid).unwrap_or_default();
    let (start, cpu_before, before) = (Instant::now(), cpu(), counting.hits()?);
    loop {
        std::thread::sleep(SLICE);
        if let Some(Closed::Tripped(_)) = counting.why_closed() {
            return Ok(None);
        }
        let hits = counting.hits()? - before;
        if start.elapsed() >= COUNTED || hits >= ENOUGH {
            let seconds = start.elapsed().as_secs_f64();
            let cpu_seconds = cpu().saturating_sub(cpu_before).as_secs_f64();
            let load = Load::seen(hits as f64, counted_ns, seconds, cpu_seconds);
            return Ok((hits > 0).then_some(load));
        }
    }
}
