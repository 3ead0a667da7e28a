//! A placed probe: its breakpoints, its ring, and what it has counted.

use super::Engine;
use super::error::EngineError;
use super::event::{Ended, Event, Summary};
use super::mapped::Mapped;
use super::pipe::Deliver;
use super::request::SnapshotRequest;
use super::watchdog::Watchdog;
use crate::attach::error::AttachError;
use crate::attach::link::{Counts, LinkId, Links, SiteToArm, TextAfter};
use crate::attach::load::{LoadOptions, Program};
use crate::attach::maps::Gate;
use crate::attach::support;
use crate::binary::modules::Modules;
use crate::model::issue::{Issue, IssueKind};
use crate::model::plan::Plan;
use crate::model::process::{Process, ProcessId};
use crate::model::record::Record;
use crate::model::resolved::Resolved;
use crate::{decode, resolve};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use tracer_common::outcome::Outcome;

/// How often the kernel program's own log is looked at while nothing else happens.
const LOG_INTERVAL: Duration = Duration::from_millis(100);
/// How often the process itself is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Records taken from the ring at once.
const BATCH: usize = 64;
/// A timeout that is longer than the clock can hold.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A placed probe. Dropping it takes the breakpoints out.
pub(super) struct Probe {
    /// First, so that it ends before what it watches over.
    _watchdog: Watchdog,
    links: Links,
    link: LinkId,
    program: Program,
    pidfd: OwnedFd,
    id: ProcessId,
    deadline: Instant,
    checked: Instant,
    logs: bool,
    /// Captures wanted; 0 for as many as come.
    wanted: u64,
    received: u64,
    malformed: u64,
    delivers: bool,
    /// How the text was found when the breakpoints had gone; `None` while they are in place.
    removed: Option<TextAfter>,
}

/// Why a wait ended.
pub(super) enum Wake {
    Records,
    /// It is time to look at the process.
    Check,
    Ended(Ended),
}

impl Probe {
    /// Loads the kernel program and places the breakpoints.
    pub(super) fn arm(
        engine: &Engine,
        request: &SnapshotRequest,
        process: &Process,
        modules: &Modules,
        resolved: &Resolved,
        plans: &[Plan],
        stop: BorrowedFd<'_>,
    ) -> Result<Self, EngineError> {
        let pid = process.id.pid;
        if support::in_initial_pid_namespace() == Some(false) {
            return Err(Issue::new(IssueKind::PidNamespace, pid.to_string(), "").into());
        }
        let pidfd = watch(pid)?;
        // The pidfd is of the process that was looked at only if that one is still there.
        resolve::process::check(process.id)?;
        let mut program = Program::load(&LoadOptions {
            ring_bytes: request.ring_bytes,
            scratch_slots: engine.options.scratch_slots,
            log_level: engine.options.kernel_log.map_or(0, level),
        })?;
        let gate = Gate {
            pid,
            start_ticks: process.id.start_ticks,
            hit_limit: request.hits,
            interval_ns: 1_000_000_000_u64.checked_div(request.rate).unwrap_or(0),
        };
        let mut sites = Vec::new();
        for (site, plan) in resolved.sites.iter().zip(plans) {
            let file = modules.get(site.module)?.elf().file();
            sites.push(SiteToArm {
                file: file.fd(),
                file_name: file.path().to_str().unwrap_or("a module"),
                offset: site.file_offset,
                pc: site.pc,
                instruction: &site.instruction,
                plan,
            });
        }
        let mut links = Links::default();
        let link = links.attach(&mut program, gate, &sites)?;
        let now = Instant::now();
        // A timeout beyond what the clock can hold never comes.
        let deadline = now.checked_add(request.timeout).unwrap_or(now + FOREVER);
        let watchdog =
            Watchdog::start(links.breakpoints(link), stop, deadline).map_err(EngineError::Wait)?;
        Ok(Self {
            _watchdog: watchdog,
            links,
            link,
            program,
            pidfd,
            id: process.id,
            deadline,
            checked: now,
            logs: engine.options.kernel_log.is_some(),
            wanted: request.hits,
            received: 0,
            malformed: 0,
            delivers: true,
            removed: None,
        })
    }

    /// Its breakpoints.
    pub(super) fn link(&self) -> LinkId {
        self.link
    }

    /// Waits for records, the stop signal, the deadline or the end of the process.
    pub(super) fn wait(&mut self, stop: BorrowedFd<'_>) -> Result<Wake, EngineError> {
        loop {
            self.program.forward_log();
            let left = self.deadline.saturating_duration_since(Instant::now());
            let pause = left.min(if self.logs { LOG_INTERVAL } else { CHECK_INTERVAL });
            let pause = pause.try_into().ok();
            let ring = self.program.ring_fd();
            let mut fds = [ring, stop, self.pidfd.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, pause.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(EngineError::Wait(error.into())),
            }
            let [ring, stop, process] = fds.map(|fd| !fd.revents().is_empty());
            // The end before the records: they may never stop coming, and what is in the ring
            // when the breakpoints are out is still taken.
            if stop {
                return Ok(Wake::Ended(Ended::Stopped));
            }
            if left.is_zero() {
                return Ok(Wake::Ended(Ended::Timeout));
            }
            if self.checked.elapsed() >= CHECK_INTERVAL && !process {
                self.checked = Instant::now();
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

    /// Fails if a debugger has come: two owners of breakpoints break the target.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match resolve::process::check(self.id) {
            Err(issue) if issue.kind == IssueKind::BeingDebugged => Err(issue.into()),
            // Its end is told by its pidfd.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Records wait in the ring.
    pub(super) fn has_records(&self) -> bool {
        is_readable(self.program.ring_fd())
    }

    /// Records with the index of their site in the resolution; malformed ones are counted and
    /// passed over. Once all that are wanted are there or in the ring, the breakpoints are taken
    /// out: the target does not pay while they are decoded.
    pub(super) fn next_batch(&mut self) -> Result<Vec<(usize, Record)>, EngineError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(bytes) = self.program.next_record()
        {
            let sites = self.links.sites(self.link);
            match decode::record::parse(&bytes) {
                Ok(record) if sites.contains(&record.site) => {
                    self.received += 1;
                    batch.push(((record.site - sites.start) as usize, record));
                    continue;
                }
                Ok(record) => tracing::warn!(site = record.site, "a record of no site of ours"),
                Err(error) => tracing::warn!(%error, "a malformed record"),
            }
            self.malformed += 1;
        }
        let captured = self.counts()?.outcomes[Outcome::Captured as usize];
        if self.wanted != 0 && captured >= self.wanted {
            self.remove();
        }
        Ok(batch)
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
        self.links.counts(&self.program, self.link)
    }

    /// How hits ended so far.
    pub(super) fn outcomes(&self) -> Result<BTreeMap<Outcome, u64>, EngineError> {
        Ok(by_outcome(&self.counts()?))
    }

    /// Takes the breakpoints out.
    pub(super) fn remove(&mut self) {
        if self.removed.is_none() {
            self.removed = Some(self.links.detach(self.link));
        }
    }

    /// Whether the text is what it was, as far as it can be told.
    fn text_restored(&self, mapped: &Mapped<'_>) -> Option<bool> {
        match self.removed? {
            TextAfter::Restored => Some(true),
            TextAfter::Unknown => None,
            TextAfter::Changed(address) if mapped.is_changed(address) => None,
            TextAfter::Changed(address) => {
                tracing::error!(%address, "the text is not what it was before");
                Some(false)
            }
        }
    }

    /// What is told at the end, after [`Self::remove`].
    pub(super) fn summary(
        &mut self,
        ended: Ended,
        mapped: &Mapped<'_>,
    ) -> Result<Summary, EngineError> {
        self.program.forward_log();
        let counts = self.counts()?;
        let kernel_misses = self.program.kernel_misses()?;
        self.links.forget(&mut self.program, self.link);
        Ok(Summary {
            hits: counts.hits,
            outcomes: by_outcome(&counts),
            kernel_misses,
            received: self.received,
            malformed: self.malformed,
            text_restored: self.text_restored(mapped),
            ended,
        })
    }
}

fn by_outcome(counts: &Counts) -> BTreeMap<Outcome, u64> {
    Outcome::ALL.iter().map(|o| (*o, counts.outcomes[*o as usize])).collect()
}

/// Something can be read from `fd` now.
pub(super) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The kernel program's number of a level, as aya-log counts them.
fn level(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 1,
        tracing::Level::WARN => 2,
        tracing::Level::INFO => 3,
        tracing::Level::DEBUG => 4,
        tracing::Level::TRACE => 5,
    }
}

/// A file descriptor that becomes readable when the process ends.
fn watch(pid: u32) -> Result<OwnedFd, Issue> {
    let gone =
        |detail: String| Issue::new(IssueKind::ProcessGone, format!("process {pid}"), detail);
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let raw = raw.ok_or_else(|| gone("not a process id".to_owned()))?;
    pidfd_open(raw, PidfdFlags::empty()).map_err(|e| gone(e.to_string()))
}
