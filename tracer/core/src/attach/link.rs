//! Places and removes the breakpoints of a probe.
//!
//! Order: page read first → bytes of file, process and decoder compared → linked → breakpoint read
//! back from the process, because a link can succeed and never fire → switched on.

use super::error::AttachError;
use super::load::Program;
use super::maps::{Gate, Occupied, SitePlan};
use super::sys;
use super::text::{self, COMPARED_BYTES};
use crate::model::address::{Avma, FileOffset};
use crate::model::issue::{Issue, IssueKind};
use crate::model::plan::Plan;
use std::collections::HashMap;
use std::ffi::CString;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tracer_common::outcome::OUTCOMES;

/// The breakpoint instruction, `int3`.
const BREAKPOINT: u8 = 0xcc;

/// A probe's breakpoints, as the rest of the program knows them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LinkId(u64);

/// A site as attach needs it.
#[derive(Debug, Clone)]
pub struct SiteToArm<'a> {
    /// The file that is mapped at the site.
    pub file: BorrowedFd<'a>,
    /// Its name, for messages.
    pub file_name: &'a str,
    /// Where the site is in the file.
    pub offset: FileOffset,
    /// Where it is in the process.
    pub pc: Avma,
    /// The instruction, as the decoder saw it.
    pub instruction: &'a [u8],
    /// What to capture.
    pub plan: &'a Plan,
}

/// A breakpoint that is in place.
#[derive(Debug)]
struct Armed {
    pc: Avma,
    text: Vec<u8>,
}

/// The breakpoints of a link, to be taken out from any thread.
#[derive(Debug, Clone, Default)]
pub struct Breakpoints(Arc<Mutex<Vec<OwnedFd>>>);

impl Breakpoints {
    /// Takes them out; they are gone when this returns. Nothing happens if they are gone already.
    pub fn remove(&self) {
        // Closed with the lock held: who comes second waits for the first.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn add(&self, fd: OwnedFd) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fd);
    }
}

#[derive(Debug)]
struct Link {
    /// One for each file.
    breakpoints: Breakpoints,
    occupied: Occupied,
    pid: u32,
    armed: Vec<Armed>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.breakpoints.remove();
    }
}

/// All links; the only owner of their file descriptors.
#[derive(Debug, Default)]
pub struct Links {
    next: u64,
    links: HashMap<LinkId, Link>,
}

/// How the text looks after a removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextAfter {
    /// As before, byte for byte.
    Restored,
    /// It can't be read: the process is gone, or nothing is mapped there any more.
    Unknown,
    /// Something else is there, at this address.
    Changed(Avma),
}

/// Hits of a probe over all its sites, and how they ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Hits.
    pub hits: u64,
    /// By outcome.
    pub outcomes: [u64; OUTCOMES],
}

impl Links {
    /// Places the breakpoints of a probe. On an error none is left.
    ///
    /// # Errors
    ///
    /// An issue for what is wrong with a site, else what the kernel refused.
    pub fn attach(
        &mut self,
        program: &mut Program,
        gate: Gate,
        sites: &[SiteToArm<'_>],
    ) -> Result<LinkId, AttachError> {
        let mut armed = Vec::new();
        for site in sites {
            let mut text = check(gate.pid, site)?;
            // What is compared afterwards is what the breakpoint replaces; behind it others may
            // place and remove theirs meanwhile.
            text.truncate(site.instruction.len());
            armed.push(Armed { pc: site.pc, text });
        }
        let occupied = program.maps.occupy(gate, &site_plans(sites)?)?;
        let link = Link { breakpoints: Breakpoints::default(), occupied, pid: gate.pid, armed };
        match arm(program, gate, sites, &link) {
            Ok(()) => {
                self.next += 1;
                let id = LinkId(self.next);
                self.links.insert(id, link);
                Ok(id)
            }
            Err(error) => {
                // Closing is the removal; the first error is the one to tell.
                link.breakpoints.remove();
                program.maps.vacate(&link.occupied);
                Err(error)
            }
        }
    }

    /// Indices of the link's sites, in the order they were given; a record names its site so.
    pub fn sites(&self, id: LinkId) -> Range<u32> {
        self.links.get(&id).map(|link| link.occupied.sites.clone()).unwrap_or_default()
    }

    /// The breakpoints of a link.
    pub fn breakpoints(&self, id: LinkId) -> Breakpoints {
        self.links.get(&id).map(|link| link.breakpoints.clone()).unwrap_or_default()
    }

    /// Hits so far.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn counts(&self, program: &Program, id: LinkId) -> Result<Counts, AttachError> {
        let mut counts = Counts::default();
        for site in self.sites(id) {
            let (hits, outcomes) = program.maps.counts(site)?;
            counts.hits += hits;
            for (sum, one) in counts.outcomes.iter_mut().zip(outcomes) {
                *sum += one;
            }
        }
        Ok(counts)
    }

    /// Takes the breakpoints out and looks whether the text is what it was. The counters stay
    /// readable until [`Self::forget`].
    pub fn detach(&self, id: LinkId) -> TextAfter {
        let Some(link) = self.links.get(&id) else { return TextAfter::Restored };
        link.breakpoints.remove();
        for armed in &link.armed {
            match text::process_bytes(link.pid, armed.pc, armed.text.len()) {
                Ok(now) if now.starts_with(&armed.text) => {}
                Ok(_) => return TextAfter::Changed(armed.pc),
                Err(_) => return TextAfter::Unknown,
            }
        }
        TextAfter::Restored
    }

    /// Gives back the part of the maps that a detached link occupied.
    pub fn forget(&mut self, program: &mut Program, id: LinkId) {
        if let Some(link) = self.links.remove(&id) {
            program.maps.vacate(&link.occupied);
        }
    }
}

/// The sites as the maps take them; those at the same place of one file know of each other.
fn site_plans<'p>(sites: &[SiteToArm<'p>]) -> Result<Vec<SitePlan<'p>>, Issue> {
    let mut places = Vec::new();
    for site in sites {
        let stat = rustix::fs::fstat(site.file).map_err(|error| {
            Issue::new(IssueKind::MalformedFile, site.file_name, error.to_string())
        })?;
        places.push((stat.st_dev, stat.st_ino, site.offset));
    }
    let twins = |place| places.iter().filter(|other| *other == place).count() > 1;
    let plans = sites.iter().zip(&places);
    Ok(plans
        .map(|(site, place)| SitePlan { pc: site.pc, has_twin: twins(place), plan: site.plan })
        .collect())
}

/// Compares the site's bytes in file, process and decoder; gives those of the process.
fn check(pid: u32, site: &SiteToArm<'_>) -> Result<Vec<u8>, Issue> {
    text::check_filesystem(site.file, site.file_name)?;
    let in_file = text::read_page_first(site.file, site.offset, site.file_name)?;
    let in_process = text::process_bytes(pid, site.pc, COMPARED_BYTES)?;
    let changed = |detail: String| {
        Issue::new(IssueKind::TextChanged, format!("{} in {}", site.pc, site.file_name), detail)
    };
    if in_process.first() == Some(&BREAKPOINT) {
        let subject = format!("{} in {}", site.pc, site.file_name);
        return Err(Issue::new(IssueKind::AlreadyProbed, subject, ""));
    }
    if site.instruction.is_empty() || !in_file.starts_with(site.instruction) {
        return Err(changed("the file does not hold the instruction that was decoded".to_owned()));
    }
    // Behind the instruction another tracer's breakpoint may stand.
    let same = |(file, process): (&u8, &u8)| file == process || *process == BREAKPOINT;
    if !in_process.starts_with(site.instruction) || !in_file.iter().zip(&in_process).all(same) {
        return Err(changed(format!("file {in_file:02x?}, process {in_process:02x?}")));
    }
    Ok(in_process)
}

/// Links the sites, one link for each file, reads the breakpoints back, and switches them on.
fn arm(
    program: &mut Program,
    gate: Gate,
    sites: &[SiteToArm<'_>],
    link: &Link,
) -> Result<(), AttachError> {
    let numbered: Vec<(u32, &SiteToArm<'_>)> = link.occupied.sites.clone().zip(sites).collect();
    let mut files: Vec<i32> = sites.iter().map(|site| site.file.as_raw_fd()).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let here = numbered.iter().filter(|(_, site)| site.file.as_raw_fd() == file);
        let (offsets, cookies): (Vec<u64>, Vec<u64>) =
            here.map(|(index, site)| (site.offset.0, u64::from(*index))).unzip();
        let path = CString::new(format!("/proc/self/fd/{file}")).map_err(AttachError::object)?;
        let fd = sys::link_uprobe_multi(program.fd.as_fd(), &path, gate.pid, &offsets, &cookies)
            .map_err(|e| AttachError::kernel("the breakpoints", e))?;
        link.breakpoints.add(fd);
    }
    for site in sites {
        let now = text::process_bytes(gate.pid, site.pc, 1)?;
        if now.first() != Some(&BREAKPOINT) {
            let subject = format!("{} in {}", site.pc, site.file_name);
            return Err(Issue::new(IssueKind::CannotFire, subject, "").into());
        }
    }
    program.maps.enable(&link.occupied.sites, true)
}
