//! The breakpoints of a probe in the kernel: how they are placed, and taken out from any thread.

use super::error::AttachError;
use super::load::Program;
use super::sys::Flavour;
use super::{perf, sys};
use crate::model::address::FileOffset;
use crate::model::issue::{Issue, IssueKind};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

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

/// A kernel without `uprobe_multi` answers so: the first before 6.6, the others where it is not
/// built in. `ENOTSUPP` is the kernel's own number that libc does not name.
const NOT_SUPPORTED: [i32; 3] = [libc::EINVAL, libc::EOPNOTSUPP, 524];

/// Breakpoints in place, to be taken out from any thread.
#[derive(Debug, Clone, Default)]
pub struct Breakpoints(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    fds: Mutex<Vec<OwnedFd>>,
    removal: OnceLock<Duration>,
}

/// The sites of one file.
#[derive(Debug)]
pub(super) struct FileSites<'a> {
    /// Names the file.
    pub(super) path: &'a CStr,
    pub(super) pid: u32,
    pub(super) offsets: &'a [u64],
    /// What goes with each offset.
    pub(super) cookies: &'a [u64],
}

impl Breakpoints {
    /// Takes them out; they are gone when this returns. Nothing happens if they are gone already.
    pub fn remove(&self) {
        // Closed with the lock held: who comes second waits for the first.
        let mut fds = self.0.fds.lock().unwrap_or_else(PoisonError::into_inner);
        if fds.is_empty() {
            return;
        }
        let start = Instant::now();
        fds.clear();
        // Set once only: they are placed once.
        self.0.removal.get_or_init(|| start.elapsed());
    }

    /// How long the removal took; `None` before.
    pub fn removal(&self) -> Option<Duration> {
        self.0.removal.get().copied()
    }

    /// Places breakpoints in one file; gives how.
    pub(super) fn place(
        &self,
        program: &Program,
        mode: AttachMode,
        sites: &FileSites<'_>,
    ) -> Result<AttachedBy, AttachError> {
        if mode != AttachMode::Perf {
            match self.place_multi(program, sites) {
                Err(error) if mode == AttachMode::Auto && is_not_supported(&error) => {
                    tracing::debug!(%error, "no uprobe_multi here");
                }
                other => return other.map(|()| AttachedBy::Multi),
            }
        }
        self.place_perf(program, sites).map(|()| AttachedBy::Perf)
    }

    fn place_multi(&self, program: &Program, sites: &FileSites<'_>) -> Result<(), AttachError> {
        let program = program.flavour(Flavour::Multi)?;
        let FileSites { path, pid, offsets, cookies } = sites;
        self.add([sys::link_uprobe_multi(program, path, *pid, offsets, cookies)
            .map_err(|e| AttachError::kernel("the breakpoints", e))?]);
        Ok(())
    }

    fn place_perf(&self, program: &Program, sites: &FileSites<'_>) -> Result<(), AttachError> {
        let program = program.flavour(Flavour::Perf)?;
        for (offset, cookie) in sites.offsets.iter().zip(sites.cookies) {
            let place = || -> io::Result<[OwnedFd; 2]> {
                let event = perf::open_uprobe(sites.path, sites.pid, FileOffset(*offset))?;
                let link = sys::link_perf_event(program, event.as_fd(), *cookie)?;
                Ok([link, event])
            };
            self.add(place().map_err(refused_perf)?);
        }
        Ok(())
    }

    fn add<const N: usize>(&self, fds: [OwnedFd; N]) {
        self.0.fds.lock().unwrap_or_else(PoisonError::into_inner).extend(fds);
    }
}

/// Perf events want more than the rest.
fn refused_perf(error: io::Error) -> AttachError {
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
