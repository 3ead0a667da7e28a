//! tracer's view: probes on several places of one process at once, by the library.

use super::limits;
use crate::snapshot::{engine, options};
use anyhow::{Context, Result, bail};
use std::io::PipeReader;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::Event;
use tracer_core::engine::options::AttachMode;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::budget::CpuShare;
use tracer_core::model::capture::Capture;
use tracer_core::model::issue::IssueKind;
use tracer_core::model::process::ProcessSpec;
use tracer_core::model::resolved::Site;
use tracer_core::resolve::function::parse;

/// How long the program may take for its work.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was captured of one location.
#[derive(Debug)]
pub struct Observed {
    /// The location as it was asked for.
    pub location: String,
    /// Its sites.
    pub sites: Vec<Site>,
    /// In the order of their hits.
    pub captures: Vec<Capture>,
}

/// Probes the locations, lets the process work, and gives the first `hits` captures of each, in
/// their order. The `first` ones are placed before the others: where two mean the same address
/// the later one gets nothing. A location that can't be probed has an error in its place.
///
/// # Errors
///
/// `work` fails.
pub fn observe(
    pid: u32,
    locations: &[String],
    first: usize,
    hits: u64,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<Result<Observed>>> {
    let (stop, keep) = std::io::pipe()?;
    std::thread::scope(|scope| {
        let mut probes = Vec::new();
        let (before, after) = locations.split_at(first.min(locations.len()));
        for together in [before, after] {
            let (armed, arming) = channel();
            for location in together {
                let (armed, stop) = (armed.clone(), &stop);
                probes.push(scope.spawn(move || probe(pid, location, hits, stop, armed)));
            }
            drop(armed);
            // Each says it once, or hangs up because it failed.
            while arming.recv().is_ok() {}
        }
        let worked = work();
        // Readable from now on: it has ended.
        drop(keep);
        let observed = probes
            .into_iter()
            .map(|probe| probe.join().unwrap_or_else(|_| bail!("the probe panicked")))
            .collect();
        worked.map(|()| observed)
    })
}

fn probe(
    pid: u32,
    location: &str,
    hits: u64,
    stop: &PipeReader,
    armed: Sender<()>,
) -> Result<Observed> {
    let request = SnapshotRequest {
        budget: CpuShare::UNLIMITED,
        caller: tracer_core::model::caller::Caller::Root,
        process: ProcessSpec::Pid(pid),
        location: parse(location)?,
        location_text: location.to_owned(),
        action: tracer_core::model::action::Action::Snapshot,
        hits,
        rate: 0,
        learn: Duration::ZERO,
        force: false,
        timeout: PATIENCE,
        idle: None,
        retry: None,
        limits: limits::TRACER,
        ring_bytes: tracer_common::limits::RING_BYTES,
    };
    let (mut sites, mut captures) = (Vec::new(), Vec::new());
    let mut armed = Some(armed);
    let result = engine().snapshot(&request, stop.as_fd(), &mut |event| {
        match event {
            Event::Armed(facts) => {
                sites = facts.resolved.sites;
                if let Some(armed) = armed.take() {
                    // The receiver waits for all of us.
                    armed.send(()).ok();
                }
            }
            Event::Capture { capture, .. } => captures.push(*capture),
            Event::Pending
            | Event::Paused { .. }
            | Event::Tripped { .. }
            | Event::Resumed
            | Event::Finished(_) => {}
        }
        ControlFlow::Continue(())
    });
    let summary = match result {
        // Another of the locations means the same address.
        Err(EngineError::Issue(issue)) if issue.kind == IssueKind::TextChanged => {
            return Ok(Observed { location: location.to_owned(), sites, captures });
        }
        // Some lines are at more places than perf events may be put to.
        Err(EngineError::Issue(issue))
            if issue.kind == IssueKind::TooManySites && options().attach == AttachMode::Perf =>
        {
            return Ok(Observed { location: location.to_owned(), sites, captures });
        }
        other => other.with_context(|| format!("no snapshot of {location}"))?,
    };
    // Hits are counted by number: one that is missing would shift all others.
    if summary.kernel_misses != 0 || summary.malformed != 0 {
        bail!("{location}: {summary:?}");
    }
    Ok(Observed { location: location.to_owned(), sites, captures })
}
