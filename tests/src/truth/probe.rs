//! tracer's view: probes on several places of one process at once, by the library.

use super::limits;
use anyhow::{Context, Result, bail};
use std::io::PipeReader;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tracer_core::engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::Event;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::capture::Capture;
use tracer_core::model::issue::IssueKind;
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

/// Probes the locations one beside the other, lets the process work, and gives the first `hits` captures of each.
/// Locations that can't be probed have an error in their place.
///
/// # Errors
///
/// `work` fails.
pub fn observe(
    pid: u32,
    locations: &[String],
    hits: u64,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<Result<Observed>>> {
    let (stop, keep) = std::io::pipe()?;
    std::thread::scope(|scope| {
        let (armed, arming) = channel();
        let probes: Vec<_> = locations
            .iter()
            .map(|location| {
                let (armed, stop) = (armed.clone(), &stop);
                scope.spawn(move || probe(pid, location, hits, stop, armed))
            })
            .collect();
        drop(armed);
        // Each says it once, or hangs up because it failed.
        let mut ready = 0;
        while arming.recv().is_ok() {
            ready += 1;
        }
        let worked = if ready == 0 { Ok(()) } else { work() };
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
        pid,
        location: parse(location)?,
        location_text: location.to_owned(),
        hits,
        rate: 0,
        timeout: PATIENCE,
        limits: limits::TRACER,
        ring_bytes: tracer_common::limits::RING_BYTES,
        scratch_slots: tracer_common::limits::SCRATCH_SLOTS,
        kernel_log: None,
    };
    let (mut sites, mut captures) = (Vec::new(), Vec::new());
    let mut armed = Some(armed);
    let result = engine::snapshot(&request, stop.as_fd(), &mut |event| {
        match event {
            Event::Armed(facts) => {
                sites = facts.resolved.sites;
                if let Some(armed) = armed.take() {
                    // The receiver waits for all of us.
                    armed.send(()).ok();
                }
            }
            Event::Capture { capture, .. } => captures.push(*capture),
            Event::Finished(_) => {}
        }
        ControlFlow::Continue(())
    });
    let summary = match result {
        // Another of the locations means the same address.
        Err(EngineError::Issue(issue)) if issue.kind == IssueKind::TextChanged => {
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
