//! Places and removes the breakpoints of a probe.
//!
//! Order: page read first → bytes of file, process and decoder compared → linked → breakpoint read
//! back from the process, because a link can succeed and never fire → switched on.

use super::arming::Arming;
use super::breakpoints::{AttachMode, AttachedBy, Breakpoints, Closed};
use super::error::AttachError;
use super::guardian::Guardians;
use super::load::Program;
use super::maps::{Gate, Occupied, remove_ring};
use super::place::{Place, places};
use super::ring::Ring;
use super::site::{SiteToArm, entries_of, entry_plans, site_plans};
use crate::model::address::Avma;
use crate::model::budget::CpuShare;
use crate::model::issue::Issue;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracer_common::maps::Counters;
use tracer_common::outcome::OUTCOMES;

/// How long others may take to place breakpoints at a place: they read pages and may measure costs.
const RESERVED: Duration = Duration::from_secs(10);

/// A probe's breakpoints, as the rest of the program knows them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LinkId(u64);

#[derive(Debug)]
struct Link {
    breakpoints: Breakpoints,
    occupied: Occupied,
    gate: Gate,
    /// Those of sites, then those of entries.
    places: Vec<Place>,
    /// The entries are left out from now on.
    without_entries: AtomicBool,
    /// When they are to go, in nanoseconds since boot, 0 for never; held while they are being placed
    /// again, which may take a second.
    expires_ns: Mutex<u64>,
    /// How they were placed last; nobody waits for this.
    attached: Mutex<Attached>,
    ring_bytes: u32,
}

impl Link {
    /// Where its breakpoints are to be, and their parameters in the maps.
    fn wanted(&self) -> (&[Place], Range<u32>) {
        let Occupied { sites, .. } = &self.occupied;
        match self.without_entries.load(Relaxed) {
            true => (self.places.get(..sites.len()).unwrap_or(&[]), sites.clone()),
            false => (&self.places, self.occupied.all()),
        }
    }

    fn expires_ns(&self) -> MutexGuard<'_, u64> {
        self.expires_ns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// All links. Their file descriptors are the guardian's.
#[derive(Debug)]
pub struct Links {
    table: Mutex<Table>,
    /// Some places are no longer reserved.
    released: Condvar,
    guardians: Guardians,
}

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
        drop(table);
        self.links.released.notify_all();
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
    /// Calls of the functions that sites are in, counted at their entries; no hits.
    pub entries: u64,
    /// Nanoseconds that their traps took.
    pub entry_ns: u64,
    /// Nanoseconds that the traps of hits and entries took, by what one costs on this machine.
    pub trap_ns: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        for (sum, one) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += one;
        }
        self.capture_ns += other.capture_ns;
        self.entries += other.entries;
        self.entry_ns += other.entry_ns;
        self.trap_ns += other.trap_ns;
    }
}

impl Links {
    /// `guardian` is the tracer program, which is started to hold the links.
    pub fn new(guardian: PathBuf) -> Self {
        Self {
            table: Mutex::default(),
            released: Condvar::new(),
            guardians: Guardians::new(guardian),
        }
    }

    /// Starts the guardian now, and not when the first probe needs it.
    ///
    /// # Errors
    ///
    /// The program can't be started.
    pub fn prepare(&self) -> Result<(), AttachError> {
        self.guardians.prepare()
    }

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
        let entries = entries_of(sites);
        // The kernel takes breakpoints out in this order: while a site is hit, the entry of its
        // function is in place.
        let places = places(sites.iter().chain(&entries))?;
        let _reserved = self.reserve(gate.pid, &places)?;
        places.iter().try_for_each(|place| {
            place.check(gate, &|| self.has_another(None, gate.pid, place.pc))
        })?;
        let guardian = self.guardians.get(program.trips_fd())?;
        let breakpoints = Breakpoints::new()?;
        // Before the maps are locked: the costs may have to be measured.
        let costs = program.costs(mode)?;
        let plans = site_plans(&costs, sites, &entries)?;
        let entries = entry_plans(&costs, &entries)?;
        let occupied = program.maps().occupy(gate, ring, &plans, &entries)?;
        let arming = Arming { program, mode, pid: gate.pid, places: &places };
        let to = (guardian, gate.expires_ns);
        match arming.arm(&occupied.all(), &breakpoints, breakpoints.clear(), to) {
            Ok(by) => {
                let attached = Attached { by, took: start.elapsed() };
                let link = Link {
                    breakpoints,
                    occupied,
                    gate,
                    places,
                    without_entries: AtomicBool::new(false),
                    expires_ns: Mutex::new(gate.expires_ns),
                    attached: Mutex::new(attached),
                    ring_bytes: ring.bytes(),
                };
                Ok((self.insert(link), attached))
            }
            Err(error) => {
                // Closing is the removal; the first error is the one to tell.
                breakpoints.remove();
                program.maps().vacate(&occupied);
                Err(error)
            }
        }
    }

    /// Takes the breakpoints out and looks whether the text is what it was. The counters stay
    /// readable until [`Self::forget`], and [`Self::resume`] places the breakpoints again.
    pub fn suspend(&self, id: LinkId) -> TextAfter {
        let Some(link) = self.get(id) else { return TextAfter::Restored };
        link.breakpoints.remove();
        let looks = link.places.iter().map(|place| self.text_after(id, &link, place));
        looks.into_iter().find(|text| *text != TextAfter::Restored).unwrap_or(TextAfter::Restored)
    }

    /// How the text looks with the breakpoints of a link gone. Another probe may share the place, or
    /// have come to it since: then a breakpoint is what must be there, and all else is as before.
    fn text_after(&self, id: LinkId, link: &Link, place: &Place) -> TextAfter {
        let now = match link.breakpoints.why_closed() {
            Some(Closed::Silence | Closed::Signal | Closed::GuardianDied) => {
                place.text_soon(link.gate.pid)
            }
            _ => place.text_after(link.gate.pid),
        };
        match now {
            TextAfter::Changed(pc)
                if place.is_probed(link.gate.pid) && self.is_taken(id, link.gate.pid, pc) =>
            {
                TextAfter::Restored
            }
            // Or it came and went in between.
            TextAfter::Changed(_) => place.text_after(link.gate.pid),
            text => text,
        }
    }

    /// Whether another link than `id` has a breakpoint at an address, or is about to.
    pub fn is_taken(&self, id: LinkId, pid: u32, pc: Avma) -> bool {
        self.table().reserved.contains(&(pid, pc)) || self.has_another(Some(id), pid, pc)
    }

    /// Whether another link than `id` has a breakpoint at an address.
    fn has_another(&self, id: Option<LinkId>, pid: u32, pc: Avma) -> bool {
        let is_here =
            |link: &Link| link.gate.pid == pid && link.wanted().0.iter().any(|it| it.pc == pc);
        let table = self.table();
        let others =
            table.links.iter().filter(|(other, link)| Some(**other) != id && is_here(link));
        let others: Vec<_> = others.map(|(_, link)| Arc::clone(link)).collect();
        drop(table);
        // It waits where one is being taken out, and nobody else must.
        others.iter().any(|link| link.breakpoints.are_in_place())
    }

    /// Places the breakpoints of a suspended or closed link again, after all checks of the text
    /// that a new one gets. Nothing happens if they are in place. On an error none is.
    ///
    /// # Errors
    ///
    /// As [`Self::attach`]; [`AttachError::Removed`] if someone asked for their removal meanwhile.
    pub fn resume(
        &self,
        program: &Program,
        mode: AttachMode,
        id: LinkId,
    ) -> Result<Attached, AttachError> {
        let link = self.get(id).ok_or(AttachError::Removed)?;
        let expires_ns = link.expires_ns();
        if link.breakpoints.are_in_place() {
            return Ok(*link.attached());
        }
        let start = Instant::now();
        let removals = link.breakpoints.clear();
        let (places, wanted) = link.wanted();
        let _reserved = self.reserve(link.gate.pid, places)?;
        places.iter().try_for_each(|place| {
            place.check(link.gate, &|| self.has_another(Some(id), link.gate.pid, place.pc))
        })?;
        program.maps().enable(&link.occupied.all(), false)?;
        program.maps().reset_budget(&link.occupied)?;
        program.maps().renew_entries(&link.occupied)?;
        let guardian = self.guardians.get(program.trips_fd())?;
        let arming = Arming { program, mode, pid: link.gate.pid, places };
        let by = arming.arm(&wanted, &link.breakpoints, removals, (guardian, *expires_ns))?;
        let attached = Attached { by, took: start.elapsed() };
        *link.attached() = attached;
        Ok(attached)
    }

    /// Leaves the entries out when the breakpoints of a link are placed again.
    pub fn leave_entries(&self, id: LinkId) {
        if let Some(link) = self.get(id) {
            link.without_entries.store(true, Relaxed);
        }
    }

    /// Whether the breakpoints of a link are all in place, those of the entries seen in the process.
    pub fn has_entries(&self, id: LinkId) -> bool {
        let Some(link) = self.get(id) else { return false };
        let (places, _) = link.wanted();
        let mut entries = places.iter().skip(link.occupied.sites.len());
        link.breakpoints.are_in_place()
            && entries.all(|place| place.read_back(link.gate.pid).is_ok())
    }

    /// Changes when a probe expires: nanoseconds since boot, 0 for never.
    ///
    /// # Errors
    ///
    /// The kernel does not take it. The guardian has been told.
    pub fn expire_at(
        &self,
        program: &Program,
        id: LinkId,
        expires_ns: u64,
    ) -> Result<(), AttachError> {
        let Some(link) = self.get(id) else { return Ok(()) };
        *link.expires_ns() = expires_ns;
        link.breakpoints.expire_at(expires_ns);
        program.maps().change(&link.occupied.all(), |site| site.expires_ns = expires_ns)
    }

    fn insert(&self, link: Link) -> LinkId {
        let mut table = self.table();
        table.last += 1;
        let id = LinkId(table.last);
        table.links.insert(id, Arc::new(link));
        id
    }

    /// Keeps others from placing breakpoints there meanwhile: one that looks while another's is on its
    /// way can't tell whose it is. Waits for those who came before.
    fn reserve(&self, pid: u32, places: &[Place]) -> Result<Reserved<'_>, Issue> {
        let is_reserved = |table: &Table, place: &Place| table.reserved.contains(&(pid, place.pc));
        let any = |table: &mut Table| places.iter().any(|place| is_reserved(table, place));
        let waited = self.released.wait_timeout_while(self.table(), RESERVED, any);
        let (mut table, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.iter().find(|place| is_reserved(&table, place)) {
            return Err(place.being_probed());
        }
        let places: Vec<_> = places.iter().map(|place| (pid, place.pc)).collect();
        table.reserved.extend(&places);
        Ok(Reserved { links: self, places })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Hits so far of each site of a link.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn site_hits(&self, program: &Program, id: LinkId) -> Result<Vec<u64>, AttachError> {
        self.sites(id).map(|site| Ok(program.maps().counts(site)?.0)).collect()
    }

    /// Number of the first layout of a site of the link: a record's items name theirs so.
    pub fn first_layout(&self, id: LinkId, site: usize) -> Option<u32> {
        self.get(id)?.occupied.first_layout(site)
    }

    /// Lets a link capture no more than once in so many nanoseconds from now on, 0 for no limit.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn set_interval(
        &self,
        program: &Program,
        id: LinkId,
        interval_ns: u64,
    ) -> Result<(), AttachError> {
        program.maps().change(&self.sites(id), |site| site.interval_ns = interval_ns)
    }

    /// The breakpoints of a link; `None` once it is forgotten.
    pub fn breakpoints(&self, id: LinkId) -> Option<Breakpoints> {
        self.get(id).map(|link| link.breakpoints.clone())
    }

    /// Becomes readable when the breakpoints of a link went without us, and stays so until they are
    /// placed again.
    pub fn closed_fd(&self, id: LinkId) -> Option<Arc<OwnedFd>> {
        self.get(id).map(|link| link.breakpoints.closed_fd())
    }

    /// Why the breakpoints of a link went without us; `None` while they are in place and when we
    /// took them out.
    pub fn why_closed(&self, id: LinkId) -> Option<Closed> {
        self.get(id)?.breakpoints.why_closed()
    }

    /// How a link's breakpoints were placed; `None` once it is forgotten.
    pub fn attached(&self, id: LinkId) -> Option<Attached> {
        self.get(id).map(|link| *link.attached())
    }

    /// What the probe of a link may cost; `None` once it is forgotten.
    pub fn budget(&self, id: LinkId) -> Option<CpuShare> {
        self.get(id).map(|link| link.gate.budget)
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
        let Some(link) = self.get(id) else { return Ok(counts) };
        for (site, trap_ns) in link.occupied.all().zip(&link.occupied.trap_ns) {
            if link.occupied.entries.contains(&site) {
                let entries = program.maps().entered(site)?;
                let entry_ns = entries * u64::from(*trap_ns);
                counts += Counts { entries, entry_ns, trap_ns: entry_ns, ..Counts::default() };
                continue;
            }
            let (hits, counted) = program.maps().counts(site)?;
            let Counters { outcomes, capture_ns } = counted;
            let trap_ns = hits * u64::from(*trap_ns);
            counts += Counts { hits, outcomes, capture_ns, trap_ns, ..Counts::default() };
        }
        Ok(counts)
    }

    /// When the last hit came after the probe was tripped, in nanoseconds since boot; 0 for none.
    ///
    /// # Errors
    ///
    /// The map can't be read.
    pub fn last_hit(&self, program: &Program, id: LinkId) -> Result<u64, AttachError> {
        self.get(id).map_or(Ok(0), |link| program.maps().last_hit(&link.occupied))
    }

    /// Gives back the part of the maps that a detached link occupied.
    pub fn forget(&self, program: &Program, id: LinkId) {
        if let Some(link) = self.take(id) {
            link.vacate(program);
        }
    }

    /// Forgets a link; what it occupied is occupied still.
    pub fn take(&self, id: LinkId) -> Option<Taken> {
        self.table().links.remove(&id).map(Taken)
    }
}

/// A link that is forgotten, and still occupies a part of the maps.
#[must_use]
#[derive(Debug)]
pub struct Taken(Arc<Link>);

impl Taken {
    /// Gives it back.
    pub fn vacate(self, program: &Program) {
        let Self(link) = self;
        // A hit that uses the sites now would count for the next probe.
        link.breakpoints.remove();
        // Without the lock: of a thousand probes that end at once none waits for another.
        let rings = program.maps().rings();
        remove_ring(&rings, &link.occupied);
        program.maps().give_back(&link.occupied);
    }
}
