//! Snapshots through the library, of targets that work while the probe is in place.

use crate::project;
use crate::targets::RunningTarget;
use anyhow::{Context as _, Result};
use std::io::pipe;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tracer_common::limits::RING_BYTES;
use tracer_core::engine::event::{Armed, Event, Summary};
use tracer_core::engine::options::{AttachMode, Options};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::engine::{self, Engine};
use tracer_core::model::action::Action;
use tracer_core::model::budget::{Budgets, CpuShare};
use tracer_core::model::caller::Caller;
use tracer_core::model::capture::Capture;
use tracer_core::model::limits::Limits;
use tracer_core::model::process::ProcessSpec;

/// How long a probe waits for hits that must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the engine told about one request.
#[derive(Debug)]
pub struct Snapshot {
    /// Where the probe was.
    pub armed: Armed,
    /// In order.
    pub captures: Vec<Capture>,
    /// How it ended.
    pub summary: Summary,
}

/// How live tests run: as `tracer` does, or attached as the environment variable
/// `TRACER_ATTACH` says.
pub fn options() -> Options {
    let attach = match std::env::var("TRACER_ATTACH").as_deref() {
        Ok("perf") => AttachMode::Perf,
        _ => AttachMode::Auto,
    };
    // Most targets here call their functions as often as they can.
    let mut options = Options { attach, budgets: Budgets::UNLIMITED, ..Options::default() };
    // This process is a test and no tracer. A probe fails where it is not built.
    if let Ok(tracer) = project::tracer() {
        options.guardian = tracer;
    }
    options
}

/// An engine with these options.
pub fn engine() -> Engine {
    Engine::new(options())
}

/// A request for one capture of `location` with the default limits.
///
/// # Errors
///
/// The location is not understood.
pub fn request(pid: u32, location: &str) -> Result<SnapshotRequest> {
    Ok(SnapshotRequest {
        budget: CpuShare::UNLIMITED,
        caller: Caller::Root,
        process: ProcessSpec::Pid(pid),
        location: engine::parse_location(location)?,
        location_text: location.to_owned(),
        action: Action::Snapshot,
        hits: 1,
        rate: 0,
        learn: Duration::ZERO,
        force: false,
        entry_probe: true,
        raw: false,
        timeout: PATIENCE,
        idle: None,
        retry: None,
        limits: Limits::DEFAULT,
        ring_bytes: RING_BYTES,
    })
}

/// Takes the captures that `request` asks for while the target works once; fewer if the place
/// does not run so often.
///
/// # Errors
///
/// The engine's, or the target fails.
pub fn take(request: &SnapshotRequest, target: &mut RunningTarget) -> Result<Snapshot> {
    let mut armed = None;
    let mut captures = Vec::new();
    let summary = accompany(&engine(), request, target, 1, &mut |event, _| match event {
        Event::Armed(facts) => armed = Some(*facts),
        Event::Capture { capture, .. } => captures.push(*capture),
        Event::Pending
        | Event::Paused { .. }
        | Event::Tripped { .. }
        | Event::Resumed
        | Event::Finished(_) => {}
    })?;
    Ok(Snapshot { armed: armed.context("it was never armed")?, captures, summary })
}

/// The target's work: known to be done from outside of the thread that drives it.
#[derive(Debug)]
pub struct Work(Receiver<()>);

impl Work {
    /// Waits until the target has done all of its work.
    pub fn wait(&self) {
        // Nothing is ever sent; the other end is dropped when the work is done.
        self.0.recv().ok();
    }
}

/// Lets the target work `rounds` times, the probe of `request` in place from before the first
/// call until after the last, unless the request ends it before. `reader` gets what the engine
/// tells.
///
/// # Errors
///
/// The engine's, or the target fails.
pub fn accompany(
    engine: &Engine,
    request: &SnapshotRequest,
    target: &mut RunningTarget,
    rounds: u64,
    reader: &mut dyn FnMut(Event, &Work),
) -> Result<Summary> {
    let work = || (0..rounds).try_for_each(|_| target.go().map(drop));
    during(engine, request, work, reader).map(|(summary, _)| summary)
}

/// Does `work` on a thread of its own while the probe of `request` is in place, unless the request
/// ends the probe before. Gives what `work` gave too: nothing if the probe was never armed.
///
/// # Errors
///
/// The engine's, or that of `work`.
pub fn during<T: Send>(
    engine: &Engine,
    request: &SnapshotRequest,
    work: impl FnOnce() -> Result<T> + Send,
    reader: &mut dyn FnMut(Event, &Work),
) -> Result<(Summary, Option<T>)> {
    let (stop, keep_going) = pipe()?;
    let (go, may_go) = channel();
    let (working, done) = channel();
    let done = Work(done);
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let result = may_go.recv().is_ok().then(work).transpose();
            drop(working);
            drop(keep_going);
            result
        });
        let mut go = Some(go);
        let mut deliver = |event| {
            if let Event::Armed(_) = event {
                // A worker that has died is told of when it is joined.
                let _told = go.take().map(|go: Sender<()>| go.send(()).is_ok());
            }
            reader(event, &done);
            ControlFlow::Continue(())
        };
        let summary = engine.snapshot(request, stop.as_fd(), &mut deliver);
        // A probe that was never armed starts no work.
        drop(go);
        let worked = worker.join().map_err(|_| anyhow::anyhow!("the worker died"))?;
        let summary = summary?;
        worked.map(|result| (summary, result))
    })
}
