//! The straight line: resolve, plan, attach; receive, decode, deliver.

use super::error::EngineError;
use super::event::{Armed, Ended, Event, ModuleLabel, Summary};
use super::findings::Found;
use super::probe::{Probe, Wake};
use super::request::SnapshotRequest;
use crate::binary::modules::{Code, Modules};
use crate::model::plan::Plan;
use crate::model::process::Process;
use crate::model::resolved::{ModuleIndex, Resolved};
use crate::{decode, plan, resolve};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Records taken before the clock and the stop signal are looked at again.
const BATCH: usize = 64;

/// Where a door takes what happens; `Break` ends the probe.
pub type Deliver<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// Takes snapshots of one place in one process. The breakpoints are out when this returns,
/// whatever it returns; they go at once when `stop` becomes readable.
///
/// # Errors
///
/// An issue for what is wrong with the request, else what failed on our side.
pub fn snapshot(
    request: &SnapshotRequest,
    stop: BorrowedFd<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Summary, EngineError> {
    let process = resolve::process::read(request.pid)?;
    let modules = Modules::of(&process);
    let code = Code::new(&modules);
    let resolved = resolve::resolve(&request.location, &request.location_text, &code)?;
    let plans: Vec<Plan> = resolved
        .sites
        .iter()
        .map(|site| plan::compile(site, &resolved.types, request.limits))
        .collect();
    let mut probe = Probe::arm(request, &process, &modules, &resolved, &plans)?;
    let deadline = Instant::now() + request.timeout;
    let armed = armed(request, &process, &code, &resolved);
    let mut ended = match deliver(Event::Armed(Box::new(armed))) {
        ControlFlow::Continue(()) => None,
        ControlFlow::Break(()) => Some(Ended::Stopped),
    };
    while ended.is_none() {
        ended = match probe.wait(stop, deadline)? {
            Wake::Records => take(&mut probe, request, &code, &resolved, deliver, BATCH)?,
            Wake::Ended(ended) => Some(ended),
        };
    }
    probe.remove();
    // Hits of the last moment are in the ring still.
    while probe.has_records() {
        take(&mut probe, request, &code, &resolved, deliver, BATCH)?;
    }
    let summary = probe.summary(ended.unwrap_or_default())?;
    // The door has been told all; whether it wants more makes no difference now.
    let _more = deliver(Event::Finished(summary.clone()));
    Ok(summary)
}

/// Decodes and delivers records that wait, `most` of them. Gives the end if that was the last one
/// wanted.
fn take(
    probe: &mut Probe,
    request: &SnapshotRequest,
    code: &Code<'_>,
    resolved: &Resolved,
    deliver: &mut Deliver<'_>,
    most: usize,
) -> Result<Option<Ended>, EngineError> {
    for _ in 0..most {
        let Some((index, record)) = probe.next_record() else { break };
        let Some(site) = resolved.sites.get(index) else { continue };
        let time = i128::from(record.time_boot_ns) + super::clock::wall_minus_boot_ns();
        let types = &resolved.types;
        let capture = decode::decode(&record, index, site, types, &request.limits, code, time);
        let event = Event::Capture { capture: Box::new(capture), outcomes: probe.outcomes()? };
        if probe.deliver(event, deliver).is_break() {
            return Ok(Some(Ended::Stopped));
        }
        if probe.is_complete() {
            return Ok(Some(Ended::Complete));
        }
    }
    Ok(None)
}

/// What a door is told before the first capture.
fn armed(
    request: &SnapshotRequest,
    process: &Process,
    code: &Code<'_>,
    resolved: &Resolved,
) -> Armed {
    let modules = code.modules();
    // Only what is shown is opened: a process may have a hundred libraries.
    let is_shown = |index| resolved.sites.iter().any(|site| site.module == index);
    let label = |index| label(modules, index, is_shown(index));
    Armed {
        location_text: request.location_text.clone(),
        process: process.clone(),
        resolved: resolved.clone(),
        modules: (0..modules.len()).map(label).collect(),
    }
}

/// How a module is shown; one that is not opened for it has no build-id.
pub(super) fn label(modules: &Modules, index: ModuleIndex, opened: bool) -> ModuleLabel {
    let module = opened.then(|| modules.get(index).ok()).flatten();
    let path = modules.path(index).map(|path| path.display().to_string());
    ModuleLabel {
        path: path.unwrap_or_default(),
        build_id: module.and_then(|module| module.build_id()),
        debug_file: module
            .and_then(|module| module.debug_elf())
            .map(|elf| elf.path().display().to_string()),
    }
}

/// Functions of a process that match a pattern.
///
/// # Errors
///
/// An issue: no such process, no function that matches.
pub fn find(pid: u32, pattern: &str) -> Result<Vec<Found>, EngineError> {
    let process = resolve::process::read(pid)?;
    let modules = Modules::of(&process);
    let code = Code::new(&modules);
    let label = |found: resolve::find::Found| {
        let module = modules.get(found.module).ok()?;
        Some(Found {
            function: found.name,
            module: module.path().display().to_string(),
            svma: found.svma,
            address: module.to_avma(found.svma),
            line: found.line,
        })
    };
    Ok(resolve::find::find(pattern, &code).into_iter().filter_map(label).collect())
}
