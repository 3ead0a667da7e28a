//! Learns how often a placed probe is hit while it captures next to nothing, and decides whether it
//! may stay: as it was asked for, with fewer captures, or not at all.

use super::callers;
use super::control::Control;
use super::error::EngineError;
use super::event::{Ended, Entries};
use super::figures::{rate, share, time};
use super::mapped::Mapped;
use super::parser::Session;
use super::probe::{Probe, Wake};
use super::request::SnapshotRequest;
use crate::attach::cpu_clock;
use crate::attach::late::LateReader;
use crate::attach::link::Counts;
use crate::model::abilities::HostAbilities;
use crate::model::admission::{Forecast, Load, Verdict};
use crate::model::cost::{CostModel, Predicted, Work};
use crate::model::issue::{Issue, IssueKind};
use crate::model::plan::Plan;
use crate::model::process::Process;
use crate::model::record::Record;
use crate::model::resolved::{Resolved, Site};
use std::time::{Duration, Instant};

/// How often it is looked whether enough is known.
const SLICE: Duration = Duration::from_millis(10);
/// Hits that tell the rate well enough.
const ENOUGH: u64 = 5000;
/// Captures while it learns: they tell what a hit copies, and who calls.
const CAPTURES: u32 = 8;

/// All that a decision looks at.
pub(super) struct Scene<'a> {
    pub(super) request: &'a SnapshotRequest,
    pub(super) process: &'a Process,
    pub(super) host: &'a HostAbilities,
    pub(super) session: &'a Session<'a>,
    pub(super) mapped: &'a Mapped,
    pub(super) resolved: &'a Resolved,
    pub(super) plans: &'a [Plan],
    pub(super) control: Control<'a>,
}

/// What was learned of a probe.
#[derive(Default)]
pub(super) struct Learned {
    /// What a hit costs.
    pub(super) hit: Predicted,
    /// What the probe costs; `None` if that was not asked, or could not be learned.
    pub(super) forecast: Option<Forecast>,
    /// Captures that were taken meanwhile, in their order.
    pub(super) records: Vec<(usize, Record)>,
    /// It ended meanwhile.
    pub(super) ended: Option<Ended>,
}

/// What a probe and its process did in a while.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hits: u64,
    /// Calls at entries.
    entries: u64,
    seconds: f64,
    cpu_seconds: f64,
}

/// The request as it is placed at first: with as few captures as are needed to learn.
pub(super) fn at_first(request: &SnapshotRequest) -> SnapshotRequest {
    let rate = f64::from(CAPTURES) / request.learn.as_secs_f64();
    match request.learn.is_zero() {
        true => request.clone(),
        false => {
            SnapshotRequest { rate: lower(request.rate, rate.ceil() as u64), ..request.clone() }
        }
    }
}

/// The lower one of two rates, of which 0 is none.
fn lower(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

/// Learns, and lets the probe capture as much as it may.
///
/// # Errors
///
/// [`IssueKind::TooHot`] with what would fit; the breakpoints are out then.
pub(super) fn admit(
    scene: &Scene<'_>,
    probe: &mut Probe<'_>,
    late: &mut LateReader,
) -> Result<Learned, EngineError> {
    let costs = probe.costs()?;
    let mut learned = Learned { hit: expected(&costs, scene), ..Learned::default() };
    if scene.request.learn.is_zero() {
        return Ok(learned);
    }
    let mut forecast = learn(scene, probe, late, &costs, (&mut learned, Counts::default()))?;
    if let Some(why) = entries_cost_too_much(scene, probe, &costs, &forecast) {
        let before = probe.came()?;
        probe.leave_entries(why)?;
        forecast = learn(scene, probe, late, &costs, (&mut learned, before))?;
    }
    let request = scene.request;
    match forecast.verdict(&costs, request.budget) {
        Verdict::Refuse if !request.force => {
            probe.remove();
            return Err(refusal(scene, probe, &costs, &forecast, &learned.records)?.into());
        }
        Verdict::Sample(rate) if !request.force => {
            forecast = Forecast::new(&costs, learned.hit, forecast.load, rate);
            probe.limit_rate(rate)?;
        }
        _ => probe.limit_rate(request.rate)?,
    }
    learned.forecast = Some(forecast);
    Ok(learned)
}

/// Learns what the probe costs as it is placed; with what came before it was.
fn learn(
    scene: &Scene<'_>,
    probe: &mut Probe<'_>,
    late: &mut LateReader,
    costs: &CostModel,
    (learned, placed): (&mut Learned, Counts),
) -> Result<Forecast, EngineError> {
    let seen = watch(scene, probe, late, costs, (learned, placed))?;
    learned.hit = copied(costs, scene, probe, &learned.records)?.unwrap_or(learned.hit);
    let turned_away_ns = learned.hit.trap_ns + costs.limited_ns;
    let (hits, entries) = (seen.hits as f64, seen.entries as f64);
    let entry_ns = dearest_entry(costs, scene);
    let came = hits + entries;
    let mean_ns = (hits * turned_away_ns + entries * entry_ns) / came.max(1.0);
    let load = Load::seen(came, mean_ns, seen.seconds, seen.cpu_seconds)
        .of_which_entries(entries / came.max(1.0), entry_ns);
    Ok(Forecast::new(costs, learned.hit, load, scene.request.rate))
}

/// Why the probe can't have breakpoints at entries, if it can do without.
fn entries_cost_too_much(
    scene: &Scene<'_>,
    probe: &Probe<'_>,
    costs: &CostModel,
    forecast: &Forecast,
) -> Option<String> {
    let request = scene.request;
    let verdict = |forecast: &Forecast| forecast.verdict(costs, request.budget);
    let too_much = *probe.entries() == Entries::Placed
        && !request.force
        && verdict(forecast) == Verdict::Refuse
        && verdict(&forecast.without_entries(costs)) != Verdict::Refuse;
    let cores = forecast.load.entries_ns / 1e9;
    too_much.then(|| format!("the calls of the function would cost {} of a core", share(cores)))
}

/// Looks at the probe for as long as the request says, or until enough is known.
fn watch(
    scene: &Scene<'_>,
    probe: &mut Probe<'_>,
    late: &mut LateReader,
    costs: &CostModel,
    (learned, placed): (&mut Learned, Counts),
) -> Result<Seen, EngineError> {
    let pid = scene.process.id.pid;
    let cpu = || cpu_clock::of_process(pid).unwrap_or_default();
    let (start, cpu_before) = (Instant::now(), cpu());
    let (boot_ns, before) = (super::clock::boot_ns(), probe.came()?);
    let over = start + scene.request.learn;
    let trip = loop {
        let slice = (Instant::now() + SLICE).min(over);
        match probe.wait_until(scene.control, slice)? {
            Some(Wake::Records) => {
                let mut batch = probe.next_batch()?;
                if let Some(now) = probe.process_now() {
                    scene.mapped.update(&now);
                    let records = batch.iter_mut().map(|(_, record)| record);
                    late.complete(records, &now, &scene.request.limits);
                }
                learned.records.append(&mut batch);
            }
            Some(Wake::Ended(ended)) => {
                learned.ended = Some(ended);
                break None;
            }
            // What the door wants, and why the breakpoints went, is looked at once it is armed.
            Some(Wake::Orders | Wake::Again) => break None,
            Some(Wake::Closed) => break probe.trip(),
            Some(Wake::Check) => {
                if let Some(ended) = probe.check()? {
                    learned.ended = Some(ended);
                    break None;
                }
            }
            None => {}
        }
        let now = probe.came()?;
        if Instant::now() >= over || now.hits + now.entries >= ENOUGH + before.hits + before.entries
        {
            break None;
        }
    };
    let now = probe.came()?;
    let (hits, entries) = (now.hits - before.hits, now.entries - before.entries);
    let Some(trip) = trip else {
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = cpu().saturating_sub(cpu_before).as_secs_f64();
        return Ok(Seen { hits, entries, seconds, cpu_seconds });
    };
    // Its first hits may have come before we looked. They took this long at least.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let (hits, entries) = (now.hits - placed.hits, now.entries - placed.entries);
    let hits_ns = hits as f64 * dearest_trap(costs, scene);
    let floor = (hits_ns + entries as f64 * dearest_entry(costs, scene)) / 1e9 / cpus;
    let seconds = (trip.time_boot_ns.saturating_sub(boot_ns) as f64 / 1e9).max(floor);
    let hits = match trip.time_boot_ns > boot_ns && entries == 0 {
        true => trip.hits.saturating_sub(placed.hits).max(1),
        false => hits,
    };
    Ok(Seen { hits, entries, seconds, cpu_seconds: seconds })
}

fn dearest_trap(costs: &CostModel, scene: &Scene<'_>) -> f64 {
    scene.resolved.sites.iter().map(|site| costs.trap_ns(site.trap)).fold(0.0, f64::max)
}

/// What a call costs at an entry.
fn dearest_entry(costs: &CostModel, scene: &Scene<'_>) -> f64 {
    let entries = scene.resolved.sites.iter().filter_map(|site| site.entry.as_ref());
    entries.map(|entry| costs.trap_ns(entry.trap) + costs.count_ns).fold(0.0, f64::max)
}

/// What a hit costs as far as the plans tell, at the dearest site.
fn expected(costs: &CostModel, scene: &Scene<'_>) -> Predicted {
    let sites = scene.resolved.sites.iter().zip(scene.plans);
    let hits = sites
        .map(|(site, plan)| costs.predict(site.trap, scene.request.action, &Work::expected(plan)));
    hits.max_by(dearer).unwrap_or_default()
}

/// What a hit costs by what was hit and copied; `None` if nothing was.
fn copied(
    costs: &CostModel,
    scene: &Scene<'_>,
    probe: &Probe<'_>,
    records: &[(usize, Record)],
) -> Result<Option<Predicted>, EngineError> {
    let hits = probe.site_hits()?;
    let of_site = |(index, (site, plan)): (usize, (&Site, &Plan))| {
        let here = records.iter().filter(|(of, _)| *of == index);
        let works = here
            .filter_map(|(_, record)| Some(Work::done(plan, probe.first_layout(index)?, record)));
        let work = Work::mean(&works.collect::<Vec<_>>()).unwrap_or_else(|| Work::expected(plan));
        let hits = hits.get(index).copied().unwrap_or(0);
        (costs.predict(site.trap, scene.request.action, &work), hits)
    };
    let sites = scene.resolved.sites.iter().zip(scene.plans).enumerate();
    Ok(Predicted::mean(sites.map(of_site)))
}

fn dearer(a: &Predicted, b: &Predicted) -> std::cmp::Ordering {
    a.hit_ns().total_cmp(&b.hit_ns())
}

/// Says what the probe would cost and what would fit.
fn refusal(
    scene: &Scene<'_>,
    probe: &Probe<'_>,
    costs: &CostModel,
    forecast: &Forecast,
    records: &[(usize, Record)],
) -> Result<Issue, EngineError> {
    let allowed = scene.request.budget.as_percent().unwrap_or(100.0) / 100.0;
    let mut detail = format!(
        "{} x {}: {} of a core, and {} is allowed",
        rate(forecast.hits_per_second),
        time(forecast.hit.trap_ns),
        share(forecast.cores),
        share(allowed),
    );
    if forecast.slowdown > 1.5 {
        let times = forecast.slowdown;
        detail += &format!("; the process would be {times:.0} times slower");
    }
    detail += "; a condition or a rate does not help, the trap is the cost";
    let fits = callers::nearest_that_fits(scene, probe, costs, forecast, records)?;
    let candidates = match &fits {
        Some(caller) => {
            detail += &format!(
                "; its caller `{}` runs {}",
                caller.function,
                rate(caller.load.hits_per_second)
            );
            vec![caller.function.clone()]
        }
        None => Vec::new(),
    };
    let issue = Issue::new(IssueKind::TooHot, &scene.request.location_text, detail);
    Ok(issue.with_candidates(candidates))
}
