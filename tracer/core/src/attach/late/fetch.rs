//! Page by page: finds out what each one is, and reads it from where it may be read.

use super::PAGE_BYTES;
use super::data_file::DataFile;
use super::ladder::{FromFile, Held, Kind, Rung, from_file, rung};
use super::memory::Memory;
use super::worker::{Answers, Handle};
use crate::binary::module::Loading;
use crate::binary::modules::Modules;
use crate::model::address::{Avma, FileOffset};
use crate::model::capture::Provenance;
use crate::model::process::{Mapping, Process};
use crate::model::record::{Absence, LateBytes};
use std::collections::HashMap;
use std::sync::Arc;

/// Nanoseconds in a tick of [`crate::model::process::ProcessId::start_ticks`].
const TICK_NS: u64 = 10_000_000;

/// Memory of one record to be found.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) wants: Vec<Want>,
    /// The process, read after the hit.
    pub(super) process: Arc<Process>,
    pub(super) hit_boot_ns: u64,
    /// How many pages may be read.
    pub(super) pages_max: u64,
    pub(super) answers: Answers<Answer>,
}

/// What one item lacks.
#[derive(Debug)]
pub(super) struct Want {
    /// The index of the item.
    pub(super) item: usize,
    pub(super) address: Avma,
    pub(super) length: u64,
    /// Only up to the first NUL.
    pub(super) text: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Answer {
    /// Bytes.
    Found(LateBytes),
    /// There are no more for an item, and why.
    Ended { item: usize, absent: Option<Absence> },
}

/// A page that was read.
#[derive(Clone, Debug)]
struct Page {
    bytes: Arc<[u8]>,
    provenance: Provenance,
}

/// Does jobs.
pub(super) struct Fetcher {
    memory: Memory,
    view: Option<View>,
}

/// The files that are mapped in the process, as it was seen at one time.
struct View {
    process: Arc<Process>,
    modules: Modules,
    /// By where the mapping starts.
    files: HashMap<Avma, Option<DataFile>>,
}

impl Fetcher {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory, view: None }
    }
}

impl Handle<Job> for Fetcher {
    fn handle(&mut self, job: Job) {
        if !self.view.as_ref().is_some_and(|view| Arc::ptr_eq(&view.process, &job.process)) {
            self.view = Some(View::new(Arc::clone(&job.process)));
        }
        let Some(view) = &mut self.view else { return };
        let mut pages = Pages { memory: &self.memory, view, job: &job, read: HashMap::new() };
        for want in &job.wants {
            let absent = pages.answer(want);
            // Nobody listens any more when the deadline has passed.
            job.answers.send(Answer::Ended { item: want.item, absent }).ok();
        }
    }
}

/// The pages of one record: each is read once, so that all items show the same.
struct Pages<'a> {
    memory: &'a Memory,
    view: &'a mut View,
    job: &'a Job,
    read: HashMap<Avma, Result<Page, Absence>>,
}

impl Pages<'_> {
    /// Sends what is found for an item. Gives why there is not more; `None` if that was all.
    fn answer(&mut self, want: &Want) -> Option<Absence> {
        let mut at = want.address.0;
        let end = at.saturating_add(want.length);
        while at < end {
            let page = Avma(at & !(PAGE_BYTES - 1));
            let found = match self.page(page) {
                Ok(found) => found,
                Err(absence) => return Some(absence),
            };
            let into = (at - page.0) as usize;
            let bytes = found.bytes.get(into..).unwrap_or(&[]);
            let most = usize::try_from(end - at).unwrap_or(usize::MAX);
            let bytes = bytes.get(..most).unwrap_or(bytes);
            let nul = if want.text { bytes.iter().position(|&byte| byte == 0) } else { None };
            let bytes = nul.and_then(|nul| bytes.get(..=nul)).unwrap_or(bytes).to_vec();
            let (address, length) = (Avma(at), bytes.len() as u64);
            let late = LateBytes { address, bytes, provenance: found.provenance };
            let listened = self.job.answers.send(Answer::Found(late)).is_ok();
            if nul.is_some() {
                return None;
            }
            at = at.saturating_add(length);
            if !listened || (at < end && !at.is_multiple_of(PAGE_BYTES)) {
                // The file ends inside of this page.
                return Some(Absence::NotResident);
            }
        }
        None
    }

    fn page(&mut self, page: Avma) -> Result<Page, Absence> {
        if let Some(known) = self.read.get(&page) {
            return known.clone();
        }
        if self.read.len() as u64 >= self.job.pages_max {
            return Err(Absence::LimitBytes);
        }
        let result = self.fetch(page);
        self.read.insert(page, result.clone());
        result
    }

    fn fetch(&mut self, page: Avma) -> Result<Page, Absence> {
        let process = Arc::clone(&self.job.process);
        let mapping = process.mapping_at(page).ok_or(Absence::Unmapped)?;
        if !mapping.read {
            return Err(Absence::NoAccess);
        }
        let entry = self.memory.entry(page).ok_or(Absence::NotResident)?;
        let held = entry.held();
        let page = match rung(Kind::of(mapping), held) {
            Rung::Zeros => self.zeros(page, mapping),
            Rung::Process => self.read_process(page),
            Rung::File => self.read_file(page, mapping, held),
            Rung::Nowhere => None,
        };
        page.ok_or(Absence::NotResident)
    }

    /// A page that was never touched. It is read all the same: what userfaultfd is to fill fails.
    fn zeros(&self, page: Avma, mapping: &Mapping) -> Option<Page> {
        if self.memory.would_grow(page, &mapping.range) {
            return None;
        }
        let page = self.read_process(page)?;
        // What was in swap at the hit and was dropped since looks just the same.
        let is_exact =
            page.bytes.iter().all(|&byte| byte == 0) && rustix::system::sysinfo().totalswap == 0;
        let provenance = if is_exact { Provenance::Untouched } else { Provenance::ReadAfterHit };
        Some(Page { provenance, ..page })
    }

    fn read_process(&self, page: Avma) -> Option<Page> {
        let bytes = self.memory.read(page)?.into();
        Some(Page { bytes, provenance: Provenance::ReadAfterHit })
    }

    fn read_file(&mut self, page: Avma, mapping: &Mapping, held: Held) -> Option<Page> {
        let offset = mapping.file_offset.0.checked_add(page.0.checked_sub(mapping.range.start.0)?);
        let offset = FileOffset(offset?);
        let loading = self.view.loading(page, mapping, offset)?;
        let worth = from_file(mapping, loading, held);
        match worth {
            FromFile::Nowhere => return None,
            FromFile::InProcess => return self.read_process(page),
            FromFile::Exact | FromFile::Now => {}
        }
        let file = self.view.file(mapping)?;
        // Still that address space: what was opened by its process id is of it.
        self.memory.entry(page)?;
        let start_boot_ns = self.job.process.id.start_ticks.saturating_mul(TICK_NS);
        let page = file.read(offset, start_boot_ns, self.job.hit_boot_ns)?;
        let is_exact = worth == FromFile::Exact && page.unchanged;
        let provenance = if is_exact { Provenance::MappedFile } else { Provenance::ReadAfterHit };
        Some(Page { bytes: page.bytes.into(), provenance })
    }
}

impl View {
    fn new(process: Arc<Process>) -> Self {
        Self { modules: Modules::of(&process), process, files: HashMap::new() }
    }

    /// The file of a mapping, if it may be read.
    fn file(&mut self, mapping: &Mapping) -> Option<&DataFile> {
        let pid = self.process.id.pid;
        let open = || DataFile::open(pid, mapping);
        self.files.entry(mapping.range.start).or_insert_with(open).as_ref()
    }

    /// What becomes of a file's bytes there; `None` if the file may not be read.
    fn loading(&mut self, page: Avma, mapping: &Mapping, offset: FileOffset) -> Option<Loading> {
        // First, for it looks at the filesystem.
        let is_elf = self.file(mapping)?.is_elf;
        let module = self.modules.index_mapped(page);
        Some(match module.map(|index| self.modules.get(index)) {
            Some(Ok(module)) => module.loading(page, offset),
            Some(Err(_)) => Loading::Relocated,
            None if is_elf => Loading::Relocated,
            None => Loading::Fixed,
        })
    }
}
