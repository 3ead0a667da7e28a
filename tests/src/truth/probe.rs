//! tracer's view: probes on several places of one process at once, by the library.

use super::limits;
use crate::snapshot::{engine, options, request};
use anyhow::{Context, Result, anyhow, bail};
use std::io::PipeReader;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Sender, channel};
use tracer_core::engine::Engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::Event;
use tracer_core::engine::options::AttachMode;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::capture::Capture;
use tracer_core::model::issue::IssueKind;
use tracer_core::model::resolved::Site;

/// Why another way to name a location is tried.
const UNCLEAR: [IssueKind; 4] =
    [IssueKind::NoFunction, IssueKind::NoLine, IssueKind::Ambiguous, IssueKind::TooManySites];

/// Probes that are placed at once: more are stuck in each other's way.
const TOGETHER: usize = 8;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The location; further ones are taken where the ones before them mean nothing to tracer, or
    /// several things.
    pub locations: Vec<String>,
    /// How many captures are taken.
    pub hits: u64,
    /// Only the last one of them is of use.
    pub only_last: bool,
}

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

/// Probes the locations, lets the process work, and gives the first captures of each, in their
/// order. The `first` ones are placed before the others: where two mean the same address
/// the later one gets nothing. A location that can't be probed has an error in its place.
///
/// # Errors
///
/// `work` fails.
pub fn observe(
    pid: u32,
    asked: &[Asked],
    first: usize,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<Result<Observed>>> {
    let (stop, keep) = std::io::pipe()?;
    let engine = engine();
    std::thread::scope(|scope| {
        let mut probes = Vec::new();
        let (before, after) = asked.split_at(first.min(asked.len()));
        for together in before.chunks(TOGETHER).chain(after.chunks(TOGETHER)) {
            let (armed, arming) = channel();
            for asked in together {
                let (armed, stop, engine) = (armed.clone(), &stop, &engine);
                let probe = move || any_of(engine, pid, asked, stop, armed);
                probes.push(scope.spawn(probe));
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

/// The first location that can be probed.
fn any_of(
    engine: &Engine,
    pid: u32,
    asked: &Asked,
    stop: &PipeReader,
    armed: Sender<()>,
) -> Result<Observed> {
    let mut armed = Some(armed);
    let mut observed = Err(anyhow!("no location"));
    for location in &asked.locations {
        observed = probe(engine, pid, location, asked.hits, stop, &mut armed);
        let unclear = |error: &anyhow::Error| match error.downcast_ref::<EngineError>() {
            Some(EngineError::Issue(issue)) => UNCLEAR.contains(&issue.kind),
            _ => false,
        };
        if !observed.as_ref().is_err_and(unclear) {
            break;
        }
    }
    let mut observed = observed?;
    if asked.only_last {
        let unwanted = observed.captures.len().saturating_sub(1);
        observed.captures.drain(..unwanted);
    }
    Ok(observed)
}

fn probe(
    engine: &Engine,
    pid: u32,
    location: &str,
    hits: u64,
    stop: &PipeReader,
    armed: &mut Option<Sender<()>>,
) -> Result<Observed> {
    // gdb tells members, so ours are compared with them.
    let own = SnapshotRequest { raw: true, ..request(pid, location)? };
    let request = SnapshotRequest { hits, limits: limits::TRACER, ..own };
    let (mut sites, mut captures) = (Vec::new(), Vec::new());
    let result = engine.snapshot(&request, stop.as_fd(), &mut |event| {
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
