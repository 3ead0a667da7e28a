//! One probe: a thread that runs the engine, a log that it fills, and how it stands.

use super::answer::line_of;
use super::log::{Log, Logs};
use super::peer::Peer;
use crate::api::probes::{
    Cost, PROBE, ProbeLine, ProbeRequest, ProbeState, STOP, StopLine, TIMEOUT_MS_MAX, TextAfter,
};
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::stream::{Lines, StreamLine};
use crate::api::types::{Error, ErrorLine, Summary};
use crate::api::{convert, report};
use std::io::{self, PipeReader, PipeWriter};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{oneshot, watch};
use tracer_core::engine::Engine;
use tracer_core::engine::control::{Control, Order, Orders};
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
    /// Its process, once that is known.
    pid: OnceLock<u32>,
    /// Closing it stops the engine.
    stop: Mutex<Option<PipeWriter>>,
    /// What the engine is to do with it while it lives.
    orders: Orders,
    /// When it ends at the latest.
    expires: Mutex<Expiry>,
}

/// A point in time, by the clock that only runs and by the one that people read.
#[derive(Clone, Copy, Debug)]
struct Expiry {
    at: Instant,
    wall: SystemTime,
}

impl Expiry {
    /// So long from now.
    fn after(time: Duration) -> Self {
        Self { at: Instant::now() + time, wall: SystemTime::now() + time }
    }
}

/// How it stands.
#[derive(Clone, Debug)]
enum State {
    Starting,
    /// There is no process for it yet.
    Pending,
    Armed(Placed),
    Paused(Placed, Option<bool>),
    /// It comes back after it cost too much.
    Tripped(Placed),
    Ended {
        summary: Box<Summary>,
        sites: u64,
        at: Instant,
    },
    Failed {
        error: Box<Error>,
        sites: u64,
        at: Instant,
    },
}

/// What was placed.
#[derive(Clone, Copy, Debug)]
struct Placed {
    link: LinkId,
    sites: u64,
}

impl Probe {
    /// Size of its ring buffer.
    pub(super) fn ring_bytes(&self) -> u32 {
        self.asked.ring_bytes.unwrap_or_default()
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
            pid: asked.pid.map(OnceLock::from).unwrap_or_default(),
            asked,
            created: SystemTime::now(),
            state: watch::Sender::new(State::Starting),
            stop: Mutex::new(Some(stop)),
            orders: Orders::new()?,
            expires: Mutex::new(Expiry::after(request.timeout)),
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

    /// Gives an order and waits until it is carried out.
    ///
    /// # Errors
    ///
    /// Why it could not be; or the probe has ended.
    pub(super) async fn order(&self, order: Order) -> Result<(), Box<Error>> {
        let (tell, told) = oneshot::channel();
        self.orders.give(order, move |done| {
            // Whoever asked may have gone.
            let _heard = tell.send(done.map_err(|error| report::error(&error))).is_ok();
        });
        let over = |_| Refusal::new(RefusalKind::ProbeOver, &self.id, "").into();
        told.await.unwrap_or_else(|dropped| Err(over(dropped)))
    }

    /// Lets it live longer.
    ///
    /// # Errors
    ///
    /// That would be too long; or it has ended.
    pub(super) async fn extend(&self, by: Duration) -> Result<(), Box<Error>> {
        let longest = Expiry::after(Duration::from_millis(TIMEOUT_MS_MAX));
        let expires = *self.expires();
        let longer = expires.at.checked_add(by).filter(|at| *at <= longest.at);
        let Some(at) = longer else {
            let most = longest.at.saturating_duration_since(expires.at).as_millis();
            let detail = format!("must be at most {most}, so that it ends within a day");
            return Err(Refusal::new(RefusalKind::BadRequest, "by_ms", detail).into());
        };
        self.order(Order::Until(at)).await?;
        *self.expires() = Expiry { at, wall: expires.wall + by };
        Ok(())
    }

    /// Waits until it is in place, or waits for its process, or has ended without.
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
            State::Pending => ProbeState::Pending,
            State::Armed(_) => ProbeState::Armed,
            State::Paused(..) => ProbeState::Paused,
            State::Tripped(_) => ProbeState::Tripped,
            State::Ended { .. } => ProbeState::Ended,
            State::Failed { .. } => ProbeState::Failed,
        }
    }

    /// All that can be told of it.
    pub(super) fn line(&self, engine: &Engine) -> ProbeLine {
        let line = ProbeLine {
            schema: PROBE.into(),
            id: self.id.clone(),
            state: self.state(),
            ended: None,
            error: None,
            owner_uid: self.owner.uid,
            created_unix_ms: unix_ms(self.created),
            expires_unix_ms: unix_ms(self.expires().wall),
            request: self.asked.clone(),
            pid: self.pid.get().copied(),
            sites: 0,
            hits: None,
            outcomes: None,
            kernel_misses: None,
            reader_stalls: None,
            cost: None,
            text_restored: None,
            children: 0,
            written: self.log.written(),
        };
        let state = self.state.borrow().clone();
        match state {
            State::Starting | State::Pending => line,
            State::Armed(placed) | State::Tripped(placed) => counted(line, placed, engine),
            State::Paused(placed, text_restored) => {
                ProbeLine { text_restored, ..counted(line, placed, engine) }
            }
            State::Ended { summary, sites, .. } => ProbeLine {
                ended: Some(summary.ended),
                sites,
                hits: Some(summary.hits),
                outcomes: Some(summary.outcomes),
                kernel_misses: Some(summary.kernel_misses),
                reader_stalls: Some(summary.reader_stalls),
                text_restored: summary.text_restored,
                children: summary.children,
                ..line
            },
            State::Failed { error, sites, .. } => ProbeLine { error: Some(*error), sites, ..line },
        }
    }

    /// What became of it after [`Self::stop`].
    pub(super) fn stop_line(&self) -> StopLine {
        let (sites, text, detail) = match &*self.state.borrow() {
            State::Starting | State::Pending => {
                (0, TextAfter::Unknown, "it has not ended yet".to_owned())
            }
            State::Armed(placed) | State::Tripped(placed) | State::Paused(placed, _) => {
                (placed.sites, TextAfter::Unknown, "it has not ended yet".to_owned())
            }
            State::Ended { summary, sites, .. } => {
                let text = match summary.text_restored {
                    Some(true) => TextAfter::Restored,
                    Some(false) => TextAfter::Changed,
                    None => TextAfter::Gone,
                };
                (*sites, text, String::new())
            }
            // Nothing was placed.
            State::Failed { sites: 0, .. } => (0, TextAfter::Restored, String::new()),
            State::Failed { error, sites, .. } => (*sites, TextAfter::Unknown, error.text.clone()),
        };
        StopLine {
            schema: STOP.into(),
            id: self.id.clone(),
            pid: self.pid.get().copied().unwrap_or(0),
            location: self.asked.location.clone(),
            sites,
            text,
            detail,
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
        let (sites, at) = (self.sites(), Instant::now());
        self.state.send_replace(State::Failed { error: failed, sites, at });
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
            .snapshot(request, Control::new(stopped.as_fd(), &self.orders), &mut |event| {
                let stands = self.after(&event);
                match lines.line(event) {
                    Some(StreamLine::Capture(line)) => self.log.capture(line_of(&line)),
                    Some(StreamLine::Summary(line)) => last = Some(line),
                    Some(line) => self.log.armed(line_of(&line)),
                    None => {}
                }
                if let Some(state) = stands {
                    self.state.send_replace(state);
                }
                ControlFlow::Continue(())
            })
            .map_err(|error| report::error(&error))?;
        // The engine's last event is the summary.
        let line = last.ok_or_else(|| self.fault())?;
        let summary = Box::new(line.summary.clone());
        let (ended, hits, written) = (summary.ended, summary.hits, summary.written);
        tracing::info!(id = self.id, why = ?ended, hits, written, "probe ended");
        let (sites, at) = (self.sites(), Instant::now());
        self.state.send_replace(State::Ended { summary, sites, at });
        self.log.end(line_of(&line));
        Ok(())
    }

    /// How it stands after an event, if that has changed.
    fn after(&self, event: &Event) -> Option<State> {
        Some(match event {
            Event::Pending => State::Pending,
            Event::Armed(armed) => {
                self.pid.get_or_init(|| armed.process.id.pid);
                // It was looked up first.
                *self.expires() = Expiry::after(armed.lives);
                State::Armed(Placed { link: armed.link, sites: armed.resolved.sites.len() as u64 })
            }
            Event::Paused { text_restored } => State::Paused(self.placed()?, *text_restored),
            Event::Tripped { .. } => State::Tripped(self.placed()?),
            Event::Resumed => State::Armed(self.placed()?),
            Event::Capture { .. } | Event::Finished(_) => return None,
        })
    }

    fn placed(&self) -> Option<Placed> {
        match *self.state.borrow() {
            State::Armed(placed) | State::Tripped(placed) | State::Paused(placed, _) => {
                Some(placed)
            }
            _ => None,
        }
    }

    /// Breakpoints that it has.
    fn sites(&self) -> u64 {
        self.placed().map_or(0, |placed| placed.sites)
    }

    fn fault(&self) -> Box<Error> {
        Refusal::new(RefusalKind::Panic, format!("probe {}", self.id), "").into()
    }

    fn expires(&self) -> MutexGuard<'_, Expiry> {
        self.expires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_pipe(&self) -> MutexGuard<'_, Option<PipeWriter>> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ended_at(&self) -> Option<Instant> {
        match self {
            Self::Starting
            | Self::Pending
            | Self::Armed(_)
            | Self::Paused(..)
            | Self::Tripped(_) => None,
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

/// `line` with what a probe that is placed has counted and cost.
fn counted(line: ProbeLine, placed: Placed, engine: &Engine) -> ProbeLine {
    let counted = engine.counted(placed.link);
    let counted = counted.as_ref();
    ProbeLine {
        sites: placed.sites,
        hits: counted.map(|counted| counted.hits()),
        outcomes: counted.map(|counted| convert::outcome_counts(&counted.outcomes)),
        kernel_misses: counted.map(|counted| counted.kernel_misses),
        reader_stalls: counted.map(|counted| counted.reader_stalls),
        cost: engine.cost(placed.link).map(Cost::from),
        children: engine.children(placed.link),
        ..line
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
