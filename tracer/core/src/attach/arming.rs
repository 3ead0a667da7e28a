//! Places the breakpoints of a probe whose parameters are in the maps: linked, handed to the guardian,
//! read back from the process, switched on.

use super::breakpoints::{self, AttachMode, AttachedBy, Breakpoints, Closed};
use super::error::AttachError;
use super::guardian::{Guardian, Handover, boot_ns};
use super::load::Program;
use super::place::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// What is to be placed.
pub(super) struct Arming<'a> {
    pub(super) program: &'a Program,
    pub(super) mode: AttachMode,
    pub(super) pid: u32,
    pub(super) places: &'a [Place],
}

impl Arming<'_> {
    /// Places the breakpoints, reads them back, and switches the sites on. They become
    /// `breakpoints` unless those were removed once more than `removals` meanwhile.
    pub(super) fn arm(
        &self,
        sites: &Range<u32>,
        breakpoints: &Breakpoints,
        removals: u64,
        (guardian, expires_ns): (Arc<Guardian>, u64),
    ) -> Result<AttachedBy, AttachError> {
        let notice = breakpoints.notice();
        // The parameters in the maps are the probe's by now: no trip of who had them before is
        // later.
        let since_boot_ns = boot_ns();
        let to = Handover { guardian, gate: sites.start, since_boot_ns, expires_ns, notice };
        let placed =
            breakpoints::place(self.program, self.mode, self.pid, self.places, sites, &to)?;
        let read_back = self.places.iter().try_for_each(|place| place.read_back(self.pid));
        if read_back.is_err() {
            // Those of a hot place may have been taken out already; that is told a moment later.
            await_notice(breakpoints);
        }
        match (notice.why(), read_back) {
            (Some(Closed::Refused), _) => {
                return Err(AttachError::MapFull { what: "links", count: self.places.len() });
            }
            (None, Err(issue)) => return Err(issue.into()),
            // Those that have gone already can't be read back; the probe is told why they went.
            (Some(_), _) | (None, Ok(())) => self.program.maps().enable(sites, true)?,
        }
        let by = placed.by;
        match breakpoints.take_over(placed, removals) {
            true => Ok(by),
            false => Err(AttachError::Removed),
        }
    }
}

/// Waits for the news that breakpoints went without us, for as long as their removal may take.
fn await_notice(notice: &Breakpoints) {
    /// By perf events a removal takes a tenth of a second.
    const TOLD: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    let closed = notice.closed_fd();
    let mut fds = [PollFd::from_borrowed_fd(closed.as_fd(), PollFlags::IN)];
    // Interrupted or not, the next question shows it.
    let _told = poll(&mut fds, Some(&TOLD));
}
