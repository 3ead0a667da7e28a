//! The breakpoints of a probe in the kernel: how they are placed, and taken out from any thread.

use super::error::AttachError;
use super::guardian::{Handover, Held, Notice};
use super::load::Program;
use super::place::Place;
use super::sys::Flavour;
use super::{perf, sys};
use crate::model::address::FileOffset;
use crate::model::issue::{Issue, IssueKind};
use std::ffi::{CStr, CString};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracer_common::maps::Trip;

/// How breakpoints are asked to be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AttachMode {
    /// By `uprobe_multi` where it works, else by perf events.
    #[default]
    Auto,
    /// By `uprobe_multi` links.
    Multi,
    /// By perf events: needs CAP_SYS_ADMIN, and each breakpoint takes about 0.1 s to remove.
    Perf,
}

/// How breakpoints were placed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AttachedBy {
    /// One `uprobe_multi` link for all sites of a file.
    Multi,
    /// A perf event for each site.
    Perf,
}

/// Why breakpoints went that nobody here asked to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The kernel program tripped the probe.
    Tripped(Trip),
    /// The probe's time was over.
    Expired,
    /// Nothing was heard of us for too long.
    Silence,
    /// A signal told the guardian to let go of all.
    Signal,
    /// The guardian had no room.
    Refused,
    /// The guardian died.
    GuardianDied,
}

/// Breakpoints by perf events that one probe may have: their removal takes 0.1 s each, one after
/// another.
const PERF_SITES_MAX: usize = 32;

/// A kernel without `uprobe_multi` answers so: the first before 6.6, the others where it is not
/// built in. `ENOTSUPP` is the kernel's own number that libc does not name.
const NOT_SUPPORTED: [i32; 3] = [libc::EINVAL, libc::EOPNOTSUPP, 524];

/// Breakpoints in place, to be taken out from any thread.
#[derive(Debug, Clone)]
pub struct Breakpoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    notice: Arc<Notice>,
}

#[derive(Debug, Default)]
struct State {
    held: Vec<Held>,
    /// Removals that were asked for.
    removals: u64,
    /// When the removal began that is under way.
    removing: Option<Instant>,
    /// How long the last one took that had something to take out.
    took: Option<Duration>,
}

/// Breakpoints that are in the kernel but no probe's yet. Dropping it takes them out.
#[derive(Debug)]
pub(super) struct Placed {
    held: Vec<Held>,
    pub(super) by: AttachedBy,
}

impl Breakpoints {
    pub(super) fn new() -> Result<Self, AttachError> {
        let notice = Arc::new(Notice::new()?);
        Ok(Self(Arc::new(Inner { state: Mutex::default(), notice })))
    }

    /// Starts to take them out, and does not wait for the end: they go at once, but the kernel
    /// keeps who closes them for tens of milliseconds.
    pub fn start_removal(&self) {
        let mut state = self.state();
        state.removals += 1;
        state.start_closing();
    }

    /// Takes them out; they are gone when this returns. Nothing happens if they are gone already.
    pub fn remove(&self) {
        // Closed with the lock held: who comes second waits for the first.
        let mut state = self.state();
        state.removals += 1;
        self.close(&mut state);
    }

    fn close(&self, state: &mut State) {
        if state.held.is_empty() {
            return;
        }
        state.start_closing();
        state.held.iter().for_each(Held::wait);
        let since = |start| self.notice().last().map(|last| last.saturating_duration_since(start));
        let took = match self.why_closed() {
            // Who closed them by itself knows.
            Some(_) => Some(self.notice().took()),
            None => state.removing.and_then(since),
        };
        (state.took, state.removing) = (took, None);
        state.held.clear();
    }

    /// How long the last removal took; `None` before.
    pub fn removal(&self) -> Option<Duration> {
        self.state().took
    }

    /// Why they went without us; `None` while they are in place, and when we took them out.
    pub fn why_closed(&self) -> Option<Closed> {
        self.notice().why()
    }

    /// Becomes readable when they went without us.
    pub fn closed_fd(&self) -> Arc<OwnedFd> {
        self.notice().closed_fd()
    }

    /// Where the guardian tells of their end.
    pub(super) fn notice(&self) -> &Arc<Notice> {
        &self.0.notice
    }

    pub(super) fn are_in_place(&self) -> bool {
        let state = self.state();
        !state.held.is_empty() && state.held.iter().all(Held::is_open)
    }

    /// Makes ready for others to take their place; gives the removals so far, for
    /// [`Self::take_over`].
    pub(super) fn clear(&self) -> u64 {
        let mut state = self.state();
        self.close(&mut state);
        self.notice().reset();
        state.removals
    }

    /// Makes what was placed these breakpoints, unless someone removed them since `removals` were
    /// counted: then they are out again, and this is false.
    pub(super) fn take_over(&self, placed: Placed, removals: u64) -> bool {
        let mut state = self.state();
        if state.removals != removals {
            return false;
        }
        state.held.extend(placed.held);
        true
    }

    /// Changes when the guardian takes them out by itself.
    pub(super) fn expire_at(&self, expires_ns: u64) {
        self.state().held.iter().for_each(|held| held.expire_at(expires_ns));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn start_closing(&mut self) {
        if self.removing.is_none() && !self.held.is_empty() {
            self.removing = Some(Instant::now());
            self.held.iter().for_each(Held::start_closing);
        }
    }
}

/// Places breakpoints, file by file.
pub(super) fn place(
    program: &Program,
    mode: AttachMode,
    pid: u32,
    places: &[Place],
    sites: &Range<u32>,
    to: &Handover<'_>,
) -> Result<Placed, AttachError> {
    if mode == AttachMode::Perf {
        limit_perf(places.len())?;
    }
    let numbered: Vec<(u32, &Place)> = sites.clone().zip(places).collect();
    let mut files: Vec<i32> = places.iter().map(|place| place.file.as_raw_fd()).collect();
    files.sort_unstable();
    files.dedup();
    let mut placed = Placed { held: Vec::new(), by: AttachedBy::Multi };
    for file in files {
        let here = numbered.iter().filter(|(_, place)| place.file.as_raw_fd() == file);
        let (offsets, cookies): (Vec<u64>, Vec<u64>) =
            here.map(|(index, place)| (place.offset.0, u64::from(*index))).unzip();
        let path = CString::new(format!("/proc/self/fd/{file}")).map_err(AttachError::object)?;
        let here = FileSites { path: &path, pid, offsets: &offsets, cookies: &cookies };
        placed.add(program, mode, &here, to)?;
    }
    if placed.by == AttachedBy::Perf {
        limit_perf(places.len())?;
    }
    Ok(placed)
}

/// The sites of one file.
#[derive(Debug)]
struct FileSites<'a> {
    /// Names the file.
    path: &'a CStr,
    pid: u32,
    offsets: &'a [u64],
    /// What goes with each offset.
    cookies: &'a [u64],
}

impl Placed {
    /// Places breakpoints in one file.
    fn add(
        &mut self,
        program: &Program,
        mode: AttachMode,
        sites: &FileSites<'_>,
        to: &Handover<'_>,
    ) -> Result<(), AttachError> {
        if mode != AttachMode::Perf {
            match self.add_multi(program, sites, to) {
                Err(error) if mode == AttachMode::Auto && is_not_supported(&error) => {
                    tracing::debug!(%error, "no uprobe_multi here");
                }
                other => return other,
            }
        }
        self.by = AttachedBy::Perf;
        self.add_perf(program, sites, to)
    }

    fn add_multi(
        &mut self,
        program: &Program,
        sites: &FileSites<'_>,
        to: &Handover<'_>,
    ) -> Result<(), AttachError> {
        let program = program.flavour(Flavour::Multi)?;
        let FileSites { path, pid, offsets, cookies } = sites;
        let link = sys::link_uprobe_multi(program, path, *pid, offsets, cookies)
            .map_err(|e| AttachError::kernel("the breakpoints", e))?;
        self.held.push(to.hold([link])?);
        Ok(())
    }

    fn add_perf(
        &mut self,
        program: &Program,
        sites: &FileSites<'_>,
        to: &Handover<'_>,
    ) -> Result<(), AttachError> {
        let program = program.flavour(Flavour::Perf)?;
        for (offset, cookie) in sites.offsets.iter().zip(sites.cookies) {
            let place = || -> io::Result<[OwnedFd; 2]> {
                let event = perf::open_uprobe(sites.path, sites.pid, FileOffset(*offset))?;
                let link = sys::link_perf_event(program, event.as_fd(), *cookie)?;
                Ok([link, event])
            };
            self.held.push(to.hold(place().map_err(refused_perf)?)?);
        }
        Ok(())
    }
}

/// Refuses more breakpoints by perf events than can be taken out in time.
fn limit_perf(count: usize) -> Result<(), Issue> {
    if count <= PERF_SITES_MAX {
        return Ok(());
    }
    let detail = format!(
        "{count} places, and {PERF_SITES_MAX} at most without uprobe_multi: each takes 0.1 s to remove"
    );
    Err(Issue::new(IssueKind::TooManySites, "the location", detail))
}

/// Perf events want more than the rest.
pub(super) fn refused_perf(error: io::Error) -> AttachError {
    const WHAT: &str = "a breakpoint by perf events";
    if error.kind() != io::ErrorKind::PermissionDenied {
        return AttachError::kernel(WHAT, error);
    }
    let detail = format!("{error}: they need CAP_SYS_ADMIN where uprobe_multi does not");
    Issue::new(IssueKind::NoPermission, WHAT, detail).into()
}

/// The kernel can't do it, whatever the sites are.
fn is_not_supported(error: &AttachError) -> bool {
    match error {
        AttachError::Kernel { source, .. } => {
            source.raw_os_error().is_some_and(|code| NOT_SUPPORTED.contains(&code))
        }
        AttachError::Issue(issue) => issue.kind == IssueKind::KernelTooOld,
        _ => false,
    }
}
