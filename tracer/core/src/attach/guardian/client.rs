//! Our side: starts the guardian, hands links over, hears why they were closed, and notices its
//! death.

use super::message::{Order, OrderKind, Received, Report, ReportKind, receive, send};
use crate::attach::breakpoints::Closed;
use crate::attach::error::AttachError;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the guardian hears that we are alive, while it holds something.
const BEAT: Duration = Duration::from_secs(1);
/// Beats without an answer after which it is killed: then the kernel closes what it holds.
const UNANSWERED_MAX: u32 = 5;

/// What a probe learns of the end of its links.
#[derive(Debug)]
pub(in crate::attach) struct Notice {
    told: Mutex<Told>,
    /// Readable once a link was closed without us.
    closed_fd: Arc<OwnedFd>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    why: Option<Closed>,
    /// When the last link was closed.
    last: Option<Instant>,
    took: Duration,
}

impl Notice {
    pub(in crate::attach) fn new() -> Result<Self, AttachError> {
        let closed_fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| AttachError::kernel("an event counter", error.into()))?;
        Ok(Self { told: Mutex::default(), closed_fd: Arc::new(closed_fd) })
    }

    pub(in crate::attach) fn closed_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.closed_fd)
    }

    pub(in crate::attach) fn why(&self) -> Option<Closed> {
        self.told().why
    }

    /// When the last link was closed.
    pub(in crate::attach) fn last(&self) -> Option<Instant> {
        self.told().last
    }

    /// How long the closing of a link took at most.
    pub(in crate::attach) fn took(&self) -> Duration {
        self.told().took
    }

    /// For links that come now: nothing is told of them yet.
    pub(in crate::attach) fn reset(&self) {
        *self.told() = Told::default();
        // It is empty if nothing was told.
        let _emptied = read(&self.closed_fd, &mut [0; 8]);
    }

    /// A link is closed; with the reason if nobody here asked for it.
    fn tell(&self, why: Option<Closed>, took: Duration) {
        let mut told = self.told();
        (told.last, told.took) = (Some(Instant::now()), told.took.max(took));
        if why.is_some() {
            // The first reason is the one: others follow from it.
            told.why = told.why.or(why);
            let _woken = write(&self.closed_fd, &1_u64.to_ne_bytes());
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link that the guardian holds. It is closed when this is dropped.
#[derive(Debug)]
pub(in crate::attach) struct Held {
    guardian: Arc<Guardian>,
    id: u64,
}

impl Held {
    /// Orders the closing, and does not wait for it.
    pub(in crate::attach) fn start_closing(&self) {
        let order = Order { id: self.id, ..order(OrderKind::Close) };
        // Where it can't be told it is dying, and its links with it.
        if let Err(error) = send(&self.guardian.socket, &order, &[], true) {
            tracing::debug!(%error, "the guardian does not hear");
        }
    }

    /// Waits until the link is closed.
    pub(in crate::attach) fn wait(&self) {
        let mut holds = self.guardian.holds();
        while holds.links.contains_key(&self.id) {
            let woken = self.guardian.closed.wait(holds);
            holds = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Changes when the guardian closes it by itself; nanoseconds since boot.
    pub(in crate::attach) fn expire_at(&self, expires_ns: u64) {
        let order = Order { id: self.id, expires_ns, ..order(OrderKind::Expire) };
        if let Err(error) = send(&self.guardian.socket, &order, &[], true) {
            tracing::debug!(%error, "the guardian does not hear");
        }
    }

    pub(in crate::attach) fn is_open(&self) -> bool {
        self.guardian.holds().links.contains_key(&self.id)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_open() {
            self.start_closing();
            self.wait();
        }
    }
}

/// How the links of a probe are handed over.
#[derive(Debug)]
pub(in crate::attach) struct Handover<'p> {
    pub(in crate::attach) guardian: Arc<Guardian>,
    /// Index of the probe's first site.
    pub(in crate::attach) gate: u32,
    /// Nanoseconds since boot: an earlier trip was another probe's.
    pub(in crate::attach) since_boot_ns: u64,
    /// Nanoseconds since boot; 0 for never.
    pub(in crate::attach) expires_ns: u64,
    pub(in crate::attach) notice: &'p Arc<Notice>,
}

impl Handover<'_> {
    /// Hands a link over; it is this process' no more when this returns.
    pub(in crate::attach) fn hold<const N: usize>(
        &self,
        fds: [OwnedFd; N],
    ) -> Result<Held, AttachError> {
        self.guardian.hold(self, fds)
    }
}

/// A guardian that was started.
#[derive(Debug)]
pub(in crate::attach) struct Guardian {
    socket: OwnedFd,
    /// Wakes the thread that listens.
    wake: OwnedFd,
    holds: Mutex<Holds>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Holds {
    last: u64,
    links: HashMap<u64, Arc<Notice>>,
    is_dead: bool,
}

impl Guardian {
    fn start(program: &Path) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let child = Command::new(program)
            .arg0("tracer-guardian")
            .arg("guardian")
            .env_clear()
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let guardian =
            Arc::new(Self { socket, wake, holds: Mutex::default(), closed: Condvar::default() });
        let heard = Arc::clone(&guardian);
        let thread = thread::Builder::new().name("guardian".to_owned());
        let thread = thread.spawn(move || heard.listen(child))?;
        Ok((guardian, thread))
    }

    /// Hands a link over; it is this process' no more when this returns.
    fn hold<const N: usize>(
        self: &Arc<Self>,
        probe: &Handover<'_>,
        fds: [OwnedFd; N],
    ) -> Result<Held, AttachError> {
        let Handover { gate, since_boot_ns, expires_ns, notice, .. } = *probe;
        let id = {
            let mut holds = self.holds();
            if holds.is_dead {
                return Err(died(Errno::PIPE));
            }
            holds.last += 1;
            let id = holds.last;
            holds.links.insert(id, Arc::clone(notice));
            id
        };
        let order = Order { gate, id, since_boot_ns, expires_ns, ..order(OrderKind::Hold) };
        let borrowed = fds.each_ref().map(AsFd::as_fd);
        if let Err(error) = send(&self.socket, &order, &borrowed, true) {
            self.holds().links.remove(&id);
            return Err(died(error));
        }
        // It may have slept for want of links.
        let _woken = write(&self.wake, &1_u64.to_ne_bytes());
        Ok(Held { guardian: Arc::clone(self), id })
    }

    fn is_dead(&self) -> bool {
        self.holds().is_dead
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread that hears the guardian and tells it that we are alive.
    fn listen(&self, mut child: Child) {
        let why = self.hear(&mut child);
        self.holds().is_dead = true;
        // However it came to its end: its keepers follow, and the links with them.
        let ended = child.kill().and_then(|()| child.wait());
        if let Err(error) = ended {
            tracing::error!(%error, "the guardian can't be waited for");
        }
        let mut holds = self.holds();
        if !holds.links.is_empty() {
            tracing::warn!(?why, links = holds.links.len(), "the guardian let go of all links");
        }
        for (_, notice) in holds.links.drain() {
            notice.tell(Some(why), Duration::ZERO);
        }
        self.closed.notify_all();
    }

    /// Until it ends; gives why its links are gone.
    fn hear(&self, child: &mut Child) -> Closed {
        let mut why = Closed::GuardianDied;
        let (mut next_beat, mut unanswered) = (Instant::now() + BEAT, 0);
        loop {
            let is_idle = self.holds().links.is_empty();
            let left = next_beat.saturating_duration_since(Instant::now());
            let left = if is_idle { None } else { left.try_into().ok() };
            let mut fds = [self.socket.as_fd(), self.wake.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let ready = poll(&mut fds, left.as_ref());
            let _emptied = read(&self.wake, &mut [0; 8]);
            if ready.is_ok() && !fds[0].revents().is_empty() {
                match receive::<Report>(&self.socket, false) {
                    Ok(Received::Packet(report, _)) => {
                        unanswered = 0;
                        why = self.take(&report).unwrap_or(why);
                        continue;
                    }
                    Err(Errno::AGAIN) => continue,
                    Ok(Received::End | Received::Malformed) | Err(_) => return why,
                }
            }
            if !is_idle && Instant::now() >= next_beat {
                next_beat = Instant::now() + BEAT;
                unanswered += 1;
                // Without room for it, it has not read for long.
                let _sent = send(&self.socket, &order(OrderKind::Beat), &[], false);
            }
            if unanswered > UNANSWERED_MAX {
                tracing::error!(pid = child.id(), "the guardian does not answer, and is killed");
                return why;
            }
        }
    }

    /// Takes a report; gives why all links go, if they do.
    fn take(&self, report: &Report) -> Option<Closed> {
        let why = match ReportKind::of(report.kind)? {
            ReportKind::Alive => return None,
            ReportKind::Silence => return Some(Closed::Silence),
            ReportKind::Signal => return Some(Closed::Signal),
            ReportKind::Asked => None,
            ReportKind::Tripped => Some(Closed::Tripped(report.trip)),
            ReportKind::Expired => Some(Closed::Expired),
            ReportKind::Refused => Some(Closed::Refused),
            ReportKind::Lost => Some(Closed::GuardianDied),
        };
        let mut holds = self.holds();
        if let Some(notice) = holds.links.remove(&report.id) {
            notice.tell(why, Duration::from_nanos(report.took_ns));
        }
        self.closed.notify_all();
        None
    }
}

/// Starts a guardian when one is needed.
#[derive(Debug)]
pub(in crate::attach) struct Guardians {
    program: PathBuf,
    current: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    guardian: Arc<Guardian>,
    thread: JoinHandle<()>,
    watches: bool,
}

impl Guardians {
    /// `program` is the tracer program.
    pub(in crate::attach) fn new(program: PathBuf) -> Self {
        Self { program, current: Mutex::default() }
    }

    /// Starts one, if none runs, to have it when the first link is there.
    pub(in crate::attach) fn prepare(&self) -> Result<(), AttachError> {
        self.running(&mut self.current()).map(drop)
    }

    /// The one that runs, watching the ring of trips.
    pub(in crate::attach) fn get(
        &self,
        trips: BorrowedFd<'_>,
    ) -> Result<Arc<Guardian>, AttachError> {
        let mut current = self.current();
        let running = self.running(&mut current)?;
        if !running.watches {
            let watch = send(&running.guardian.socket, &order(OrderKind::Watch), &[trips], true);
            watch.map_err(died)?;
            running.watches = true;
        }
        Ok(Arc::clone(&running.guardian))
    }

    fn running<'c>(
        &self,
        current: &'c mut Option<Running>,
    ) -> Result<&'c mut Running, AttachError> {
        if current.as_ref().is_some_and(|running| running.guardian.is_dead()) {
            *current = None;
        }
        match current {
            Some(running) => Ok(running),
            None => {
                let started = Guardian::start(&self.program);
                let (guardian, thread) = started.map_err(|source| AttachError::Guardian {
                    program: self.program.clone(),
                    source,
                })?;
                Ok(current.insert(Running { guardian, thread, watches: false }))
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Running>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guardians {
    fn drop(&mut self) {
        if let Some(running) = self.current().take() {
            // It ends when it reads the end; our thread has waited for that.
            let _ends = shutdown(&running.guardian.socket, Shutdown::Both);
            if running.thread.join().is_err() {
                tracing::error!("the thread of the guardian died");
            }
        }
    }
}

fn order(kind: OrderKind) -> Order {
    Order { kind: kind as u32, ..Order::default() }
}

fn died(error: Errno) -> AttachError {
    AttachError::GuardianGone(error.into())
}

/// Nanoseconds since boot.
pub(in crate::attach) fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::try_from(now).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
