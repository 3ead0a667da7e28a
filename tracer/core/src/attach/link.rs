//! Places and removes the breakpoints of a probe.
//!
//! Order: page read first → bytes of file, process and decoder compared → linked → breakpoint read
//! back from the process, because a link can succeed and never fire → switched on.

use super::breakpoints::{AttachMode, AttachedBy, Breakpoints, FileSites};
use super::error::AttachError;
use super::load::Program;
use super::maps::{Gate, Occupied, SitePlan};
use super::ring::Ring;
use super::text::{self, COMPARED_BYTES};
use crate::model::address::{Avma, FileOffset};
use crate::model::caller::Caller;
use crate::model::cost::CostModel;
use crate::model::issue::{Issue, IssueKind};
use crate::model::plan::Plan;
use crate::model::resolved::TrapClass;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracer_common::maps::Counters;
use tracer_common::outcome::OUTCOMES;

/// The breakpoint instruction, `int3`.
const BREAKPOINT: u8 = 0xcc;

/// Breakpoints by perf events that one probe may have: their removal takes 0.1 s each, one after
/// another.
const PERF_SITES_MAX: usize = 32;

/// How long the breakpoint of a tracer that was killed may still be there.
const LEAVING: Duration = Duration::from_secs(1);

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
    /// What a trap there is like.
    pub trap: TrapClass,
    /// What to capture.
    pub plan: &'a Plan,
}

/// A breakpoint that is in place.
#[derive(Debug)]
struct Armed {
    pc: Avma,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Link {
    /// One for each file.
    breakpoints: Breakpoints,
    occupied: Occupied,
    pid: u32,
    armed: Vec<Armed>,
    attached: Attached,
    ring_bytes: u32,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.breakpoints.remove();
    }
}

/// How breakpoints were placed, and how long it took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// How.
    pub by: AttachedBy,
    /// The time until the last one was read back from the process.
    pub took: Duration,
}

/// All links; the only owner of their file descriptors.
#[derive(Debug, Default)]
pub struct Links(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u64,
    links: HashMap<LinkId, Arc<Link>>,
    /// Places of processes where breakpoints are being placed.
    reserved: HashSet<(u32, Avma)>,
}

/// Places that nobody else takes until this is dropped.
#[derive(Debug)]
struct Reserved<'l> {
    links: &'l Links,
    places: Vec<(u32, Avma)>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut table = self.links.table();
        for place in &self.places {
            table.reserved.remove(place);
        }
    }
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
    /// Nanoseconds spent on captures in the kernel.
    pub capture_ns: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        for (sum, one) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += one;
        }
        self.capture_ns += other.capture_ns;
    }
}

impl Links {
    /// Places the breakpoints of a probe. On an error none is left.
    ///
    /// # Errors
    ///
    /// An issue for what is wrong with a site, else what the kernel refused.
    pub fn attach(
        &self,
        program: &Program,
        mode: AttachMode,
        gate: Gate,
        ring: &Ring,
        sites: &[SiteToArm<'_>],
    ) -> Result<(LinkId, Attached), AttachError> {
        let start = Instant::now();
        let _places = self.reserve(gate.pid, sites)?;
        let mut armed = Vec::new();
        for site in sites {
            let mut text = check(gate, site)?;
            // What is compared afterwards is what the breakpoint replaces; behind it others may
            // place and remove theirs meanwhile.
            text.truncate(site.instruction.len());
            armed.push(Armed { pc: site.pc, text });
        }
        if mode == AttachMode::Perf {
            limit_perf(sites.len())?;
        }
        let occupied =
            program.maps().occupy(gate, ring, &site_plans(program.costs(mode)?, sites)?)?;
        let breakpoints = Breakpoints::default();
        match arm(program, mode, gate, sites, (&breakpoints, &occupied.sites)) {
            Ok(by) => {
                let attached = Attached { by, took: start.elapsed() };
                let (pid, ring_bytes) = (gate.pid, ring.bytes());
                let link = Link { breakpoints, occupied, pid, armed, attached, ring_bytes };
                let mut table = self.table();
                table.last += 1;
                let id = LinkId(table.last);
                table.links.insert(id, Arc::new(link));
                Ok((id, attached))
            }
            Err(error) => {
                // Closing is the removal; the first error is the one to tell.
                breakpoints.remove();
                program.maps().vacate(&occupied);
                Err(error)
            }
        }
    }

    /// Keeps others from placing breakpoints there meanwhile: two that look at once would both
    /// see none.
    fn reserve(&self, pid: u32, sites: &[SiteToArm<'_>]) -> Result<Reserved<'_>, Issue> {
        let mut table = self.table();
        if let Some(site) = sites.iter().find(|site| table.reserved.contains(&(pid, site.pc))) {
            return Err(already_probed(site));
        }
        let places: Vec<_> = sites.iter().map(|site| (pid, site.pc)).collect();
        table.reserved.extend(&places);
        Ok(Reserved { links: self, places })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: LinkId) -> Option<Arc<Link>> {
        self.table().links.get(&id).cloned()
    }

    /// All links that are not forgotten.
    pub fn ids(&self) -> Vec<LinkId> {
        self.table().links.keys().copied().collect()
    }

    /// Indices of the link's sites, in the order they were given; a record names its site so.
    pub fn sites(&self, id: LinkId) -> Range<u32> {
        self.get(id).map(|link| link.occupied.sites.clone()).unwrap_or_default()
    }

    /// The breakpoints of a link.
    pub fn breakpoints(&self, id: LinkId) -> Breakpoints {
        self.get(id).map(|link| link.breakpoints.clone()).unwrap_or_default()
    }

    /// How a link's breakpoints were placed; `None` once it is forgotten.
    pub fn attached(&self, id: LinkId) -> Option<Attached> {
        self.get(id).map(|link| link.attached)
    }

    /// Size of a link's ring.
    pub fn ring_bytes(&self, id: LinkId) -> u64 {
        self.get(id).map_or(0, |link| link.ring_bytes.into())
    }

    /// Hits so far.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn counts(&self, program: &Program, id: LinkId) -> Result<Counts, AttachError> {
        let mut counts = Counts::default();
        for site in self.sites(id) {
            let (hits, counted) = program.maps().counts(site)?;
            let Counters { outcomes, capture_ns } = counted;
            counts += Counts { hits, outcomes, capture_ns };
        }
        Ok(counts)
    }

    /// Takes the breakpoints out and looks whether the text is what it was. The counters stay
    /// readable until [`Self::forget`].
    pub fn detach(&self, id: LinkId) -> TextAfter {
        let Some(link) = self.get(id) else { return TextAfter::Restored };
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
    pub fn forget(&self, program: &Program, id: LinkId) {
        let link = self.table().links.remove(&id);
        if let Some(link) = link {
            // A hit that uses the sites now would count for the next probe.
            link.breakpoints.remove();
            program.maps().vacate(&link.occupied);
        }
    }
}

/// The sites as the maps take them; those at the same place of one file know of each other.
fn site_plans<'p>(costs: CostModel, sites: &[SiteToArm<'p>]) -> Result<Vec<SitePlan<'p>>, Issue> {
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
        .map(|(site, place)| SitePlan {
            pc: site.pc,
            has_twin: twins(place),
            trap_ns: costs.trap_ns(site.trap) as u32,
            plan: site.plan,
        })
        .collect())
}

/// Compares the site's bytes in file, process and decoder; gives those of the process.
fn check(gate: Gate, site: &SiteToArm<'_>) -> Result<Vec<u8>, AttachError> {
    text::check_filesystem(site.file, site.file_name)?;
    let in_file = text::read_page_first(site.file, site.offset, site.file_name)?;
    let in_process = unprobed_bytes(gate.pid, site.pc)?;
    let changed = |detail: String| {
        Issue::new(IssueKind::TextChanged, format!("{} in {}", site.pc, site.file_name), detail)
    };
    if in_process.first() == Some(&BREAKPOINT) {
        return Err(already_probed(site).into());
    }
    if site.instruction.is_empty() || !in_file.starts_with(site.instruction) {
        let detail = "the file does not hold the instruction that was decoded";
        return Err(changed(detail.to_owned()).into());
    }
    // Behind the instruction another tracer's breakpoint may stand.
    let same = |(file, process): (&u8, &u8)| file == process || *process == BREAKPOINT;
    if !in_process.starts_with(site.instruction) || !in_file.iter().zip(&in_process).all(same) {
        let found = format!("file {in_file:02x?}, process {in_process:02x?}");
        // What a user's process holds may have become another's while it was read.
        return Err(changed(if gate.owner == Caller::Root { found } else { String::new() }).into());
    }
    Ok(in_process)
}

/// The code of a process at a place. A breakpoint there may be that of a tracer that was killed: the
/// kernel takes it out a moment later, and tells nobody.
fn unprobed_bytes(pid: u32, pc: Avma) -> Result<Vec<u8>, Issue> {
    let start = Instant::now();
    loop {
        let bytes = text::process_bytes(pid, pc, COMPARED_BYTES)?;
        if bytes.first() != Some(&BREAKPOINT) || start.elapsed() >= LEAVING {
            return Ok(bytes);
        }
        std::thread::sleep(LEAVING / 100);
    }
}

fn already_probed(site: &SiteToArm<'_>) -> Issue {
    Issue::new(IssueKind::AlreadyProbed, format!("{} in {}", site.pc, site.file_name), "")
}

/// Places the breakpoints file by file, reads them back, and switches the sites on.
fn arm(
    program: &Program,
    mode: AttachMode,
    gate: Gate,
    sites: &[SiteToArm<'_>],
    (breakpoints, numbers): (&Breakpoints, &Range<u32>),
) -> Result<AttachedBy, AttachError> {
    let numbered: Vec<(u32, &SiteToArm<'_>)> = numbers.clone().zip(sites).collect();
    let mut files: Vec<i32> = sites.iter().map(|site| site.file.as_raw_fd()).collect();
    files.sort_unstable();
    files.dedup();
    let mut by = AttachedBy::Multi;
    for file in files {
        let here = numbered.iter().filter(|(_, site)| site.file.as_raw_fd() == file);
        let (offsets, cookies): (Vec<u64>, Vec<u64>) =
            here.map(|(index, site)| (site.offset.0, u64::from(*index))).unzip();
        let path = CString::new(format!("/proc/self/fd/{file}")).map_err(AttachError::object)?;
        let (pid, offsets, cookies) = (gate.pid, &offsets, &cookies);
        let here = FileSites { path: &path, pid, offsets, cookies };
        by = by.max(breakpoints.place(program, mode, &here)?);
    }
    if by == AttachedBy::Perf {
        limit_perf(sites.len())?;
    }
    for site in sites {
        let now = text::process_bytes(gate.pid, site.pc, 1)?;
        if now.first() != Some(&BREAKPOINT) {
            let subject = format!("{} in {}", site.pc, site.file_name);
            return Err(Issue::new(IssueKind::CannotFire, subject, "").into());
        }
    }
    program.maps().enable(numbers, true)?;
    Ok(by)
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
