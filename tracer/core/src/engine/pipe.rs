//! The straight line: resolve, plan, attach; receive, decode, deliver.

use super::Engine;
use super::admission::{self, Learned, Scene};
use super::code_files::CodeFiles;
use super::control::Control;
use super::error::EngineError;
use super::event::{Armed, Ended, Event, ModuleLabel, Summary};
use super::findings::Found;
use super::mapped::Mapped;
use super::parser::{Hits, Question, Resolution, Session};
use super::pending;
use super::probe::{Probe, Wake, is_readable};
use super::request::{SnapshotRequest, decoding_nice};
use super::target;
use crate::attach::late::LateReader;
use crate::model::budget::{Budgets, CpuShare};
use crate::model::caller::Caller;
use crate::model::capture::Capture;
use crate::model::issue::IssueKind;
use crate::model::limits::Limits;
use crate::model::process::{Process, ProcessSpec};
use crate::model::record::Record;
use crate::model::resolved::Resolved;
use crate::resolve;
use rustix::process::setpriority_process;
use std::ops::ControlFlow;

/// Bytes of records that are decoded together; what they say is larger.
const DECODED_AT_ONCE: usize = 256 << 10;

/// Where a door takes what happens; `Break` ends the probe.
pub type Deliver<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

impl Engine {
    /// Takes snapshots of one place in one process. The breakpoints are out when this returns,
    /// whatever it returns; they go at once when the stop of `control` becomes readable. The
    /// calling thread has less priority from the moment when they are in place.
    ///
    /// # Errors
    ///
    /// An issue for what is wrong with the request, else what failed on our side.
    pub fn snapshot<'c>(
        &self,
        request: &SnapshotRequest,
        control: impl Into<Control<'c>>,
        deliver: &mut Deliver<'_>,
    ) -> Result<Summary, EngineError> {
        let mut request = request.clone();
        if self.options.budgets == Budgets::UNLIMITED {
            // Who runs an engine without budgets wants none at all.
            request.budget = CpuShare::UNLIMITED;
        }
        snapshot(self, &request, control.into(), deliver)
    }

    /// Functions of a process that match a pattern.
    ///
    /// # Errors
    ///
    /// An issue: no such process, no function that matches, a process that is not the caller's.
    pub fn find(&self, caller: Caller, pid: u32, pattern: &str) -> Result<Vec<Found>, EngineError> {
        find(self, caller, pid, pattern)
    }
}

/// The process that a caller names, if they may see into it.
pub(super) fn process_of(caller: Caller, pid: u32) -> Result<Process, EngineError> {
    resolve::access::check(caller, pid)?;
    let process = resolve::process::read(pid)?;
    // It may have become another program's, or another process, meanwhile.
    resolve::access::check(caller, pid)?;
    resolve::process::check(process.id)?;
    Ok(process)
}

fn snapshot(
    engine: &Engine,
    request: &SnapshotRequest,
    control: Control<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Summary, EngineError> {
    let _closed = control.closed_at_end();
    match &request.process {
        ProcessSpec::Pid(pid) => {
            let process = process_of(request.caller, *pid)?;
            probe(engine, request, process, control, deliver)
        }
        ProcessSpec::Exe(path) => pending::probe(engine, request, path, control, deliver),
    }
}

/// Takes snapshots in a process that was just looked at.
pub(super) fn probe(
    engine: &Engine,
    request: &SnapshotRequest,
    process: Process,
    control: Control<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Summary, EngineError> {
    target::check(engine, &process)?;
    let host = engine.abilities();
    let mut session =
        Session::new(&engine.parsers, process.clone(), request.caller).on(host.clone());
    session.show_raw(request.raw);
    let question = Question::of(&request.location, &request.location_text, request.limits);
    let question = Question { entries: request.entry_probe, kept: true, ..question };
    let resolution = session.resolve(&question).map_err(|error| match error {
        EngineError::Issue(issue) => {
            target::name_anonymous(issue, &process, &request.location).into()
        }
        error => error,
    })?;
    let Resolution { resolved, plans, modules } = resolution;
    target::check_text(&process, &resolved)?;
    // What comes from the parser is proven before it is used.
    let files = CodeFiles::open(&process, &resolved, host)?;
    session.keep(&resolved, &request.location_text);
    // Resolving may take long, and who has given up meanwhile wants no breakpoint.
    if is_readable(control.stop()) {
        return Ok(finished_before(Ended::Stopped, None, deliver));
    }
    // Before the probe is placed: it looks once more whether this is still that process.
    let mut late = LateReader::open(&process);
    let stop = control.stop();
    let first = admission::at_first(request);
    let mut probe = Probe::arm(engine, &first, &process, &files, &resolved, &plans, stop)?;
    let mapped = Mapped::new(&process);
    let scene = Scene {
        request,
        process: &process,
        host,
        session: &session,
        mapped: &mapped,
        resolved: &resolved,
        plans: &plans,
        control,
    };
    let_others_go_first(request.hits);
    let learned = admission::admit(&scene, &mut probe, &mut late)?;
    let armed = armed(&scene, &probe, &learned, modules);
    let ended = match probe.deliver(Event::Armed(Box::new(armed)), deliver) {
        ControlFlow::Continue(()) => learned.ended,
        ControlFlow::Break(()) => Some(Ended::Stopped),
    };
    let nice = decoding_nice(request.hits);
    let decoder = Decoder { session: &session, mapped: &mapped, limits: &request.limits, nice };
    let begun = (learned.records, ended);
    let ended = live(&scene, &mut probe, &mut late, &decoder, begun, deliver);
    // What can't be read any more has happened all the same, and is told of.
    let (ended, unread) = match ended {
        Err(error) if is_unread(&error) => (Ended::Unread, Some(error.to_string())),
        ended => (ended?, None),
    };
    probe.remove();
    let mut summary = probe.summary(ended, &mapped)?;
    summary.why = summary.why.or(unread);
    // The door has been told all; whether it wants more makes no difference now.
    let _more = deliver(Event::Finished(summary.clone()));
    Ok(summary)
}

/// Delivers what a placed probe captures until its end, and takes its breakpoints out. Begins with the
/// records that there are already, or with the end.
fn live(
    scene: &Scene<'_>,
    probe: &mut Probe<'_>,
    late: &mut LateReader,
    decoder: &Decoder<'_>,
    (records, ended): (Vec<(usize, Record)>, Option<Ended>),
    deliver: &mut Deliver<'_>,
) -> Result<Ended, EngineError> {
    let enough = give(probe, records, decoder, deliver)?;
    let mut end = ended.or(enough);
    let end = loop {
        if let Some(end) = end {
            break end;
        }
        end = match probe.wait(scene.control)? {
            Wake::Orders => probe.obey(scene.control, scene.mapped, deliver),
            Wake::Closed => probe.closed(deliver)?,
            Wake::Again => probe.come_back(deliver)?,
            Wake::Records => take(probe, late, decoder, deliver)?,
            Wake::Check => check(probe, scene.mapped, scene.resolved)?,
            Wake::Ended(ended) => Some(ended),
        };
    };
    probe.remove();
    // Hits of the last moment are in the ring still.
    while probe.has_records() {
        take(probe, late, decoder, deliver)?;
    }
    Ok(end)
}

/// The process that reads files could not read what a hit needs.
fn is_unread(error: &EngineError) -> bool {
    match error {
        EngineError::Issue(issue) => issue.kind == IssueKind::Unread,
        error => matches!(error, EngineError::Parser { .. } | EngineError::ParserGone(_)),
    }
}

/// The end of a probe that never had a breakpoint.
pub(super) fn finished_before(
    ended: Ended,
    why: Option<String>,
    deliver: &mut Deliver<'_>,
) -> Summary {
    let summary = Summary { ended, why, text_restored: Some(true), ..Summary::default() };
    let _more = deliver(Event::Finished(summary.clone()));
    summary
}

/// From here on the target and all others go first: what is decoded later, or not at all when the
/// ring is full, is counted, and what the target lacks is not.
fn let_others_go_first(hits: u64) {
    if let Err(error) = setpriority_process(None, decoding_nice(hits)) {
        tracing::debug!(%error, "decoding has the priority of all else");
    }
}

/// How the records of a probe become captures.
struct Decoder<'d> {
    session: &'d Session<'d>,
    mapped: &'d Mapped,
    limits: &'d Limits,
    nice: i32,
}

impl Decoder<'_> {
    fn decode(&self, records: Vec<(usize, Record)>) -> Result<Vec<Capture>, EngineError> {
        let wall_minus_boot_ns = super::clock::wall_minus_boot_ns();
        let changed = self.mapped.changed();
        let hits = Hits { records, changed, wall_minus_boot_ns, nice: self.nice };
        self.session.decode(hits, self.limits)
    }
}

/// Decodes and delivers records that wait. Gives the end if there is nothing more to wait for.
fn take(
    probe: &mut Probe<'_>,
    late: &mut LateReader,
    decoder: &Decoder<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Option<Ended>, EngineError> {
    let mut batch = probe.next_batch()?;
    // Read after the hits: what is the same now as at the beginning was the same at the hit.
    if let Some(now) = probe.process_now() {
        decoder.mapped.update(&now);
        late.complete(batch.iter_mut().map(|(_, record)| record), &now, decoder.limits);
    }
    give(probe, batch, decoder, deliver)
}

/// Decodes and delivers records. Gives the end if there is nothing more to wait for.
fn give(
    probe: &mut Probe<'_>,
    mut batch: Vec<(usize, Record)>,
    decoder: &Decoder<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Option<Ended>, EngineError> {
    while !batch.is_empty() && !probe.is_quiet() {
        let rest = batch.split_off(portion(&batch));
        for capture in decoder.decode(std::mem::replace(&mut batch, rest))? {
            let event = Event::Capture { capture: Box::new(capture), counted: probe.counted()? };
            // What a door that had enough does not see is counted still.
            let _quiet = probe.deliver(event, deliver);
        }
    }
    Ok(match (probe.is_quiet(), probe.is_complete()) {
        (true, _) => Some(Ended::Stopped),
        (false, true) => Some(Ended::Complete),
        (false, false) => None,
    })
}

/// How many records are decoded together, at least one.
fn portion(batch: &[(usize, Record)]) -> usize {
    let bytes = |record: &Record| record.items.iter().map(|item| item.bytes.len()).sum::<usize>();
    let mut sum = 0;
    let fits = |(_, record): &&(usize, Record)| {
        sum += bytes(record);
        sum <= DECODED_AT_ONCE
    };
    batch.iter().take_while(fits).count().max(1)
}

/// Looks at the process: a debugger may have come, or the code that is probed may have gone or
/// been changed.
fn check(
    probe: &mut Probe<'_>,
    mapped: &Mapped,
    resolved: &Resolved,
) -> Result<Option<Ended>, EngineError> {
    if let Some(ended) = probe.check()? {
        return Ok(Some(ended));
    }
    if let Some(now) = probe.process_now() {
        mapped.update(&now);
    }
    let gone = resolved.sites.iter().all(|site| mapped.is_changed(site.pc));
    Ok(gone.then_some(Ended::CodeGone))
}

/// What a door is told before the first capture.
fn armed(
    scene: &Scene<'_>,
    probe: &Probe<'_>,
    learned: &Learned,
    modules: Vec<ModuleLabel>,
) -> Armed {
    let Scene { request, process, resolved, .. } = *scene;
    Armed {
        link: probe.link(),
        attached: probe.attached(),
        entries: probe.entries().clone(),
        predicted: learned.hit,
        forecast: learned.forecast,
        lives: request.timeout,
        location_text: request.location_text.clone(),
        process: process.clone(),
        resolved: resolved.clone(),
        modules,
    }
}

fn find(
    engine: &Engine,
    caller: Caller,
    pid: u32,
    pattern: &str,
) -> Result<Vec<Found>, EngineError> {
    let process = process_of(caller, pid)?;
    Session::new(&engine.parsers, process, caller).find(pattern)
}
