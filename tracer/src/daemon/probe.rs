//! One probe: a thread that runs the engine, a log that it fills, and how it stands.

use super::answer::line_of;
use super::log::{Log, Logs};
use super::peer::Peer;
use crate::api::probes::{PROBE, ProbeLine, ProbeRequest, ProbeState};
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::stream::{Lines, StreamLine};
use crate::api::types::{Ended, Error, ErrorLine, Outcomes, Summary};
use crate::api::{convert, report};
use std::io::{self, PipeReader, PipeWriter};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tracer_core::engine::Engine;
use tracer_core::engine::event::{Event, LinkId};
use tracer_core::engine::request::SnapshotRequest;

/// Stack of a probe's thread: as much as the main thread of a program has.
pub(super) const STACK_BYTES: usize = 8 << 20;

/// A probe that someone asked for.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) id: String,
    pub(super) owner: Peer,
    pub(super) log: Log,
    asked: ProbeRequest,
    created: SystemTime,
    state: watch::Sender<State>,
    /// Closing it stops the engine.
    stop: Mutex<Option<PipeWriter>>,
}

/// How it stands.
#[derive(Clone, Debug)]
enum State {
    Starting,
    Armed(LinkId),
    Ended { why: Ended, outcomes: Outcomes, children: u64, at: Instant },
    Failed { error: Box<Error>, at: Instant },
}

impl Probe {
    /// Size of its ring buffer.
    pub(super) fn ring_bytes(&self) -> u32 {
        self.asked.ring_bytes
    }

    /// Starts a probe; `on_end` is called when its breakpoints are out and its log is complete.
    ///
    /// # Errors
    ///
    /// The operating system has no thread or pipe for it.
    pub(super) fn start(
        id: String,
        owner: Peer,
        asked: ProbeRequest,
        request: SnapshotRequest,
        engine: &Arc<Engine>,
        logs: &Arc<Logs>,
        on_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (stopped, stop) = io::pipe()?;
        let probe = Arc::new(Self {
            id,
            owner,
            log: logs.open(),
            asked,
            created: SystemTime::now(),
            state: watch::Sender::new(State::Starting),
            stop: Mutex::new(Some(stop)),
        });
        let engine = Arc::clone(engine);
        let running = Arc::clone(&probe);
        thread::Builder::new().name("probe".to_owned()).stack_size(STACK_BYTES).spawn(
            move || {
                running.run(&engine, &request, &stopped);
                on_end();
            },
        )?;
        Ok(probe)
    }

    /// Asks for its end; [`Self::ended`] tells when.
    pub(super) fn stop(&self) {
        drop(self.stop_pipe().take());
    }

    /// Waits until it is in place, or has ended without.
    pub(super) async fn armed(&self) -> Result<(), Box<Error>> {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match state.as_deref() {
            Ok(State::Failed { error, .. }) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until its breakpoints are out and its log is complete.
    pub(super) async fn ended(&self) {
        let mut changes = self.log.changes();
        while !self.log.is_complete() {
            // The sender is in `self`: it does not go away.
            let _change = changes.changed().await;
        }
    }

    /// When it ended; `None` while it lives.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        self.state.borrow().ended_at()
    }

    /// How it stands, in a word.
    pub(super) fn state(&self) -> ProbeState {
        match *self.state.borrow() {
            State::Starting => ProbeState::Starting,
            State::Armed(_) => ProbeState::Armed,
            State::Ended { .. } => ProbeState::Ended,
            State::Failed { .. } => ProbeState::Failed,
        }
    }

    /// All that can be told of it.
    pub(super) fn line(&self, engine: &Engine) -> ProbeLine {
        let state = self.state.borrow().clone();
        let children = match &state {
            State::Armed(link) => engine.children(*link),
            State::Ended { children, .. } => *children,
            State::Starting | State::Failed { .. } => 0,
        };
        let (ended, error, outcomes) = match state {
            State::Starting => (None, None, None),
            State::Armed(link) => {
                let outcomes = engine.outcomes(link);
                (None, None, outcomes.map(|outcomes| convert::outcome_counts(&outcomes)))
            }
            State::Ended { why, outcomes, .. } => (Some(why), None, Some(outcomes)),
            State::Failed { error, .. } => (None, Some(*error), None),
        };
        let timeout = Duration::from_millis(self.asked.timeout_ms);
        ProbeLine {
            schema: PROBE.into(),
            id: self.id.clone(),
            state: self.state(),
            ended,
            error,
            owner_uid: self.owner.uid,
            created_unix_ms: unix_ms(self.created),
            expires_unix_ms: unix_ms(self.created + timeout),
            request: self.asked.clone(),
            outcomes,
            children,
            written: self.log.written(),
        }
    }

    /// The body of its thread.
    fn run(&self, engine: &Engine, request: &SnapshotRequest, stopped: &PipeReader) {
        // A fault in one probe must not leave the others without a daemon, nor this one's readers
        // waiting. The breakpoints go while the stack unwinds.
        let done = catch_unwind(AssertUnwindSafe(|| self.take(engine, request, stopped)));
        let failed = match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => self.fault(),
        };
        tracing::warn!(
            id = self.id,
            code = &*failed.code,
            subject = failed.subject,
            "probe failed"
        );
        // The state first: who has read the last line finds it.
        let line = line_of(&ErrorLine::from(*failed.clone()));
        self.state.send_replace(State::Failed { error: failed, at: Instant::now() });
        self.log.end(line);
    }

    fn take(
        &self,
        engine: &Engine,
        request: &SnapshotRequest,
        stopped: &PipeReader,
    ) -> Result<(), Box<Error>> {
        let mut lines = Lines::new(self.id.clone(), request);
        let mut last = None;
        engine
            .snapshot(request, stopped.as_fd(), &mut |event| {
                let link = if let Event::Armed(armed) = &event { Some(armed.link) } else { None };
                match lines.line(event) {
                    Some(StreamLine::Capture(line)) => self.log.capture(line_of(&line)),
                    Some(StreamLine::Summary(line)) => last = Some(line),
                    Some(line) => self.log.armed(line_of(&line)),
                    None => {}
                }
                if let Some(link) = link {
                    self.state.send_replace(State::Armed(link));
                }
                ControlFlow::Continue(())
            })
            .map_err(|error| report::error(&error))?;
        // The engine's last event is the summary.
        let line = last.ok_or_else(|| self.fault())?;
        let Summary { ended: why, outcomes, hits, written, children, .. } = line.summary.clone();
        tracing::info!(id = self.id, ?why, hits, written, "probe ended");
        self.state.send_replace(State::Ended { why, outcomes, children, at: Instant::now() });
        self.log.end(line_of(&line));
        Ok(())
    }

    fn fault(&self) -> Box<Error> {
        Refusal::new(RefusalKind::Panic, format!("probe {}", self.id), "").into()
    }

    fn stop_pipe(&self) -> MutexGuard<'_, Option<PipeWriter>> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ended_at(&self) -> Option<Instant> {
        match self {
            Self::Starting | Self::Armed(_) => None,
            Self::Ended { at, .. } | Self::Failed { at, .. } => Some(*at),
        }
    }
}

/// Ends a probe with its client: when this is dropped.
#[derive(Debug)]
pub(super) struct Bound(Option<Arc<Probe>>);

impl Bound {
    /// Binds `probe` to what holds this.
    pub(super) fn to(probe: &Arc<Probe>) -> Self {
        Self(Some(Arc::clone(probe)))
    }

    /// Lets the probe live on.
    pub(super) fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(probe) = &self.0 {
            probe.stop();
        }
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
