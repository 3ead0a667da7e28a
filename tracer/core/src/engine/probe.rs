//! A placed probe: its breakpoints, its ring, and what it has counted.

mod entries;
mod learning;
mod lease;
mod overload;

pub(super) use learning::Counting;

use super::Engine;
use super::children::{Children, has_breakpoint};
use super::clock;
use super::code_files::CodeFiles;
use super::control::Control;
use super::counted::{Counted, Reader};
use super::error::EngineError;
use super::event::{Attached, Ended, Entries, Event, Summary};
use super::files::Files;
use super::idle::Idle;
use super::kernel::{Kernel, by_outcome};
use super::mapped::Mapped;
use super::pipe::Deliver;
use super::request::SnapshotRequest;
use super::watchdog::Watchdog;
use crate::attach::breakpoints::{AttachMode, Breakpoints};
use crate::attach::error::AttachError;
use crate::attach::link::{Counts, LinkId, TextAfter};
use crate::attach::maps::Gate;
use crate::attach::ring::Ring;
use crate::attach::site::SiteToArm;
use crate::attach::support;
use crate::model::action::Action;
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::plan::Plan;
use crate::model::process::{Process, ProcessId};
use crate::model::record::Record;
use crate::model::resolved::Resolved;
use crate::{decode, resolve};
use lease::Pauses;
use overload::Trips;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tracer_common::limits::WAKE_EVERY_NS;
use tracer_common::outcome::Outcome;

/// How often the kernel program's own log is looked at while nothing else happens.
const LOG_INTERVAL: Duration = Duration::from_millis(100);
/// How often the process itself is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the ring is looked at without being woken after records came: longer than records come
/// without waking us.
const LINGER: Duration = Duration::from_nanos(2 * WAKE_EVERY_NS);
/// How often it is looked at meanwhile.
const LINGER_STEP: Duration = Duration::from_millis(2);
/// Records taken from the ring at once.
const BATCH: usize = 64;
/// A timeout that is longer than the clock can hold.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A placed probe. Dropping it takes the breakpoints out.
pub(super) struct Probe<'e> {
    kernel: &'e Kernel,
    link: LinkId,
    attached: Attached,
    entries: Entries,
    /// Kernel misses when its breakpoints were placed last.
    misses_before: u64,
    /// Until then its breakpoints at entries were in place, in nanoseconds since boot.
    proven_ns: u64,
    ring: Ring,
    breakpoints: Breakpoints,
    _watchdog: Watchdog,
    pidfd: OwnedFd,
    files: Files,
    children: Children,
    /// Why it ended, where that is not said by how.
    why: Option<String>,
    id: ProcessId,
    owner: Caller,
    mode: AttachMode,
    deadline: Instant,
    idle: Idle,
    pauses: Pauses,
    trips: Trips,
    checked: Instant,
    logs: bool,
    /// Captures wanted; 0 for as many as come.
    wanted: u64,
    received: u64,
    malformed: u64,
    /// When records came last.
    recorded: Option<Instant>,
    reader: Arc<Reader>,
    delivers: bool,
    /// How the text was found when the breakpoints had gone; `None` while they are in place.
    removed: Option<TextAfter>,
}

/// Why a wait ended.
pub(super) enum Wake {
    Records,
    /// The door has ordered something.
    Orders,
    /// The breakpoints went without us.
    Closed,
    /// It comes back after a trip.
    Again,
    /// It is time to look at the process.
    Check,
    Ended(Ended),
}

impl<'e> Probe<'e> {
    /// Loads the kernel program, if it is not, and places the breakpoints.
    pub(super) fn arm(
        engine: &'e Engine,
        request: &SnapshotRequest,
        process: &Process,
        files: &CodeFiles,
        resolved: &Resolved,
        plans: &[Plan],
        stop: BorrowedFd<'_>,
    ) -> Result<Self, EngineError> {
        let pid = process.id.pid;
        if support::in_initial_pid_namespace() == Some(false) {
            return Err(Issue::new(IssueKind::PidNamespace, pid.to_string(), "").into());
        }
        let pidfd = watch(pid)?;
        // The pidfd is of the process that was looked at only if that one is still there; and
        // while it has not ended, nothing that is read of the pid is another's.
        resolve::process::check(process.id)?;
        resolve::access::check(request.caller, pid)?;
        if is_readable(pidfd.as_fd()) {
            return Err(gone(pid));
        }
        let kernel = engine.kernel()?;
        let ring = Ring::create(request.ring_bytes)?;
        let misses_before = kernel.program.kernel_misses()?;
        let gate = gate(request, process.id);
        let sites = sites_to_arm(files, resolved, plans);
        let files = Files::watch(files, resolved);
        let children = Children::new(process.id, resolved);
        let mode = engine.options.attach;
        let placed = entries::place(&sites, |sites| {
            kernel.links.attach(&kernel.program, mode, gate, &ring, sites)
        });
        let ((link, attached), entries) = placed.map_err(|error| {
            // The kernel has many words for a process that ends while it is being probed.
            match is_readable(pidfd.as_fd()) {
                true => gone(pid),
                false => error.into(),
            }
        })?;
        let now = Instant::now();
        // A timeout beyond what the clock can hold never comes.
        let deadline = now.checked_add(request.timeout).unwrap_or(now + FOREVER);
        let breakpoints = kernel.links.breakpoints(link).ok_or(AttachError::Removed)?;
        let watchdog = Watchdog::start(breakpoints.clone(), stop).map_err(|error| {
            kernel.retire(link);
            EngineError::Wait(error)
        })?;
        Ok(Self {
            kernel,
            link,
            attached,
            entries,
            misses_before,
            proven_ns: 0,
            ring,
            breakpoints,
            _watchdog: watchdog,
            pidfd,
            files,
            children,
            why: None,
            id: process.id,
            owner: request.caller,
            mode,
            deadline,
            idle: Idle::new(request.idle, now),
            pauses: Pauses::default(),
            trips: Trips::new(request.retry),
            checked: now,
            logs: engine.options.kernel_log.is_some(),
            wanted: match request.action {
                Action::Snapshot => request.hits,
                Action::Count => 0,
            },
            received: 0,
            malformed: 0,
            recorded: None,
            reader: kernel.readers.add(link, process.id, misses_before),
            delivers: true,
            removed: None,
        })
    }

    /// Its breakpoints.
    pub(super) fn link(&self) -> LinkId {
        self.link
    }

    /// How they were placed.
    pub(super) fn attached(&self) -> Attached {
        self.attached
    }

    /// Waits for records, orders, the stop signal, the deadline or the end of the process.
    pub(super) fn wait(&mut self, control: Control<'_>) -> Result<Wake, EngineError> {
        loop {
            self.kernel.program.forward_log();
            let now = Instant::now();
            let interval = if self.logs { LOG_INTERVAL } else { CHECK_INTERVAL };
            let linger = self.lingers(now).then_some(LINGER_STEP);
            let others = [self.idle_left(now), self.again_in(now), linger].into_iter().flatten();
            let pause = others.fold(self.left(now).min(interval), Duration::min);
            let pause = pause.try_into().ok();
            let closed = self.closed_fd();
            let mut fds = vec![self.ring.fd(), control.stop(), self.pidfd.as_fd()];
            // Where writes are not told, the end of the process stands in: it wakes once only.
            fds.push(self.files.events().unwrap_or(self.pidfd.as_fd()));
            fds.extend(closed.as_ref().map(|fd| fd.as_fd()));
            let orders = fds.len();
            fds.extend(control.wake());
            let mut fds: Vec<_> =
                fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            match poll(&mut fds, pause.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(EngineError::Wait(error.into())),
            }
            let is_ready = |index: usize| {
                fds.get(index).is_some_and(|fd: &PollFd<'_>| !fd.revents().is_empty())
            };
            let [ring, stop, process, written, orders] = [0, 1, 2, 3, orders].map(is_ready);
            let closed = closed.is_some() && is_ready(4);
            let now = Instant::now();
            // The end before the records: they may never stop coming, and what is in the ring
            // when the breakpoints are out is still taken.
            if stop {
                return Ok(Wake::Ended(Ended::Stopped));
            }
            if self.left(now).is_zero() {
                return Ok(Wake::Ended(Ended::Timeout));
            }
            if closed {
                return Ok(Wake::Closed);
            }
            if orders {
                return Ok(Wake::Orders);
            }
            if self.again_in(now).is_some_and(|left| left.is_zero()) {
                return Ok(Wake::Again);
            }
            if self.idle_left(now).is_some_and(|left| left.is_zero()) && self.is_idle(now)? {
                return Ok(Wake::Ended(Ended::Idle));
            }
            if (written || self.checked.elapsed() >= CHECK_INTERVAL) && !process {
                self.checked = now;
                return Ok(Wake::Check);
            }
            if ring {
                return Ok(Wake::Records);
            }
            if process {
                return Ok(Wake::Ended(Ended::ProcessGone));
            }
        }
    }

    /// The process as it is now; `None` when it has ended or can't be looked at.
    pub(super) fn process_now(&self) -> Option<Process> {
        let now = resolve::process::read(self.id.pid).ok()?;
        (now.id == self.id).then_some(now)
    }

    /// Looks at what it has counted and at what may end it: the file of the code was written to.
    /// Fails if a debugger has come: two owners of breakpoints break the target.
    pub(super) fn check(&mut self) -> Result<Option<Ended>, EngineError> {
        if let Some(why) = self.files.change() {
            self.why = Some(why);
            return Ok(Some(Ended::CodeChanged));
        }
        self.reader.look(&self.counts()?);
        // Notes the hits; whether they are too few is seen when it is time.
        self.is_idle(Instant::now())?;
        match resolve::process::check(self.id) {
            // Without breakpoints it may stay; resuming looks again.
            Err(issue) if issue.kind == IssueKind::BeingDebugged && !self.pauses.are_on() => {
                return Err(issue.into());
            }
            // Its end is told by its pidfd.
            Ok(()) | Err(_) => {}
        }
        self.children.look();
        self.kernel.set_children(self.link, self.children.most());
        Ok(None)
    }

    /// Records wait in the ring.
    pub(super) fn has_records(&self) -> bool {
        is_readable(self.ring.fd())
    }

    /// Records with the index of their site in the resolution; malformed ones are counted and
    /// passed over. Once all that are wanted are there or in the ring, the breakpoints start to be
    /// taken out: the target does not pay while they are decoded.
    pub(super) fn next_batch(&mut self) -> Result<Vec<(usize, Record)>, EngineError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(bytes) = self.ring.next_record()
        {
            let sites = self.kernel.links.sites(self.link);
            match decode::record::parse(&bytes) {
                Ok(record) if sites.contains(&record.site) => {
                    self.received += 1;
                    self.kernel.received.fetch_add(1, Relaxed);
                    batch.push(((record.site - sites.start) as usize, record));
                    continue;
                }
                Ok(record) => tracing::warn!(site = record.site, "a record of no site of ours"),
                Err(error) => tracing::warn!(%error, "a malformed record"),
            }
            self.malformed += 1;
            self.kernel.malformed.fetch_add(1, Relaxed);
        }
        if !batch.is_empty() {
            self.recorded = Some(Instant::now());
        }
        self.forget_unproven(&mut batch)?;
        let counts = self.counts()?;
        self.reader.look(&counts);
        let captured = counts.outcomes[Outcome::Captured as usize];
        if self.wanted != 0 && captured >= self.wanted && self.removed.is_none() {
            self.breakpoints.start_removal();
        }
        Ok(batch)
    }

    /// Records may come that don't wake us.
    fn lingers(&self, now: Instant) -> bool {
        self.recorded.is_some_and(|at| now.saturating_duration_since(at) < LINGER)
    }

    /// All captures that were asked for are there.
    pub(super) fn is_complete(&self) -> bool {
        self.wanted != 0 && self.received + self.malformed >= self.wanted
    }

    /// The door had enough.
    pub(super) fn is_quiet(&self) -> bool {
        !self.delivers
    }

    /// Hands an event to the door, unless it had enough.
    pub(super) fn deliver(&mut self, event: Event, deliver: &mut Deliver<'_>) -> ControlFlow<()> {
        if self.delivers && deliver(event).is_break() {
            self.delivers = false;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn counts(&self) -> Result<Counts, AttachError> {
        self.kernel.links.counts(&self.kernel.program, self.link)
    }

    /// What it has counted so far.
    pub(super) fn counted(&self) -> Result<Counted, EngineError> {
        Ok(self.kernel.counted(self.link, &self.reader)?)
    }

    /// Takes the breakpoints out.
    pub(super) fn remove(&mut self) {
        if self.removed.is_none() {
            self.children.look();
            self.prove_entries();
            self.removed = Some(self.kernel.links.suspend(self.link));
        }
    }

    /// Whether the text of the target and its forked children is what it was, as far as it can be
    /// told.
    fn text_restored(&self, mapped: &Mapped) -> Option<bool> {
        let is_shared = |pc| self.kernel.links.is_taken(self.link, self.id.pid, pc);
        if let Some((child, address)) = self.children.left(is_shared) {
            tracing::error!(child, %address, "a child has the breakpoint still");
            return Some(false);
        }
        let text = self.removed?;
        if let TextAfter::Changed(address) = text
            && has_breakpoint(self.id.pid, address)
        {
            // The kernel does not know of a copy.
            tracing::error!(%address, "the process copied its code with the breakpoint in it");
            return Some(false);
        }
        self.restored(text, mapped)
    }

    /// Whether the text is what it was, as far as it can be told.
    fn restored(&self, text: TextAfter, mapped: &Mapped) -> Option<bool> {
        let TextAfter::Changed(address) = text else {
            return (text == TextAfter::Restored).then_some(true);
        };
        // Another file may have come there since this was looked at.
        mapped.update(&self.process_now()?);
        if mapped.is_changed(address) {
            return None;
        }
        tracing::error!(%address, "the text is not what it was before");
        Some(false)
    }

    /// What is told at the end, after [`Self::remove`].
    pub(super) fn summary(
        &mut self,
        ended: Ended,
        mapped: &Mapped,
    ) -> Result<Summary, EngineError> {
        self.kernel.program.forward_log();
        let counts = self.counts()?;
        self.reader.look(&counts);
        let Counted { kernel_misses, reader_stalls, .. } = self.counted()?;
        Ok(Summary {
            hits: counts.hits,
            outcomes: by_outcome(&counts),
            entered: counts.entries,
            entries: self.entries.clone(),
            kernel_misses,
            reader_stalls,
            received: self.received,
            malformed: self.malformed,
            removal: self.breakpoints.removal(),
            text_restored: self.text_restored(mapped),
            paused: self.pauses.total(),
            overload: self.trips.last(),
            children: self.children.most(),
            ended,
            why: self.why.take(),
        })
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.kernel.retire(self.link);
    }
}

/// The sites as attach needs them.
fn sites_to_arm<'a>(
    files: &'a CodeFiles,
    resolved: &'a Resolved,
    plans: &'a [Plan],
) -> Vec<SiteToArm<'a>> {
    let mut sites = Vec::new();
    for (site, plan) in resolved.sites.iter().zip(plans) {
        // All were opened.
        let Some((file, file_name)) = files.at(site.pc) else { continue };
        sites.push(SiteToArm {
            file,
            file_name,
            offset: site.file_offset,
            pc: site.pc,
            instruction: &site.instruction,
            trap: site.trap,
            plan,
            entry: site.entry.as_ref(),
        });
    }
    sites
}

/// What the gate of the kernel program is to know.
fn gate(request: &SnapshotRequest, process: ProcessId) -> Gate {
    Gate {
        pid: process.pid,
        start_ticks: process.start_ticks,
        hit_limit: request.hits,
        interval_ns: learning::interval_ns(request.rate),
        action: request.action,
        owner: request.caller,
        budget: request.budget,
        expires_ns: clock::boot_ns_after(request.timeout),
    }
}

fn gone(pid: u32) -> EngineError {
    Issue::new(IssueKind::ProcessGone, pid.to_string(), "").into()
}

/// Something can be read from `fd` now.
pub(super) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// A file descriptor that becomes readable when the process ends.
fn watch(pid: u32) -> Result<OwnedFd, Issue> {
    let gone =
        |detail: String| Issue::new(IssueKind::ProcessGone, format!("process {pid}"), detail);
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let raw = raw.ok_or_else(|| gone("not a process id".to_owned()))?;
    pidfd_open(raw, PidfdFlags::empty()).map_err(|e| gone(e.to_string()))
}
