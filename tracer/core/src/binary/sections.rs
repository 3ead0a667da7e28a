//! The DWARF sections of a file and of its supplementary (dwz) file, with their units.

use super::dwarf::{Dwarf, Unit, UnitIndex};
use super::elf::ElfFile;
use super::files::Files;
use super::index_file::{BUILD_ID_MAX, Fingerprint};
use super::split::{Split, SplitUnits};
use super::units::{self, Headers};
use crate::model::issue::{Issue, IssueKind};
use gimli::Section as _;
use self_cell::self_cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Which of the two files something is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Part {
    Main,
    Supplementary,
}

self_cell! {
    pub(super) struct OfFiles {
        owner: Arc<Files>,
        #[covariant]
        dependent: Parsed,
    }

    impl {Debug}
}

/// The sections of the files, with the headers of their units.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    dwarf: Dwarf<'a>,
    main: Headers<'a>,
    supplementary: Headers<'a>,
}

self_cell! {
    struct OfSections {
        owner: Source,
        #[covariant]
        dependent: Unit,
    }

    impl {Debug}
}

/// Where a unit is read.
#[derive(Debug)]
struct Source {
    all: Arc<OfFiles>,
    split: Option<Split>,
}

/// A unit that lives as long as somebody needs it.
#[derive(Clone, Debug)]
pub(super) struct SharedUnit(Arc<OfSections>);

impl SharedUnit {
    pub(super) fn get(&self) -> &Unit<'_> {
        self.0.borrow_dependent()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        units::bytes(self.get())
    }
}

/// The sections, which keep the files.
#[derive(Debug)]
pub(super) struct Sections {
    all: Arc<OfFiles>,
    split: SplitUnits,
    malformed: Mutex<BTreeSet<(Part, UnitIndex)>>,
}

impl Sections {
    /// The sections of the file whose DWARF serves, with the headers of its units.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`].
    pub(super) fn open(files: &Arc<Files>) -> Result<Self, Issue> {
        let all = OfFiles::try_new(Arc::clone(files), |files| {
            let (mut dwarf, main) = listed(files.debug_elf().unwrap_or(&files.elf))?;
            let mut supplementary = Headers::default();
            if let Some(file) = &files.debug.supplementary {
                let (sections, headers) = listed(file)?;
                supplementary = headers;
                dwarf.set_sup(sections);
            }
            Ok(Parsed { dwarf, main, supplementary })
        })?;
        let split = SplitUnits::new(all.borrow_dependent().main.len());
        Ok(Self { all: Arc::new(all), split, malformed: Mutex::default() })
    }

    /// The files.
    pub(super) fn files(&self) -> &Files {
        self.all.borrow_owner()
    }

    /// The sections of the file itself.
    pub(super) fn dwarf(&self) -> &Dwarf<'_> {
        &self.all.borrow_dependent().dwarf
    }

    /// The headers of the units.
    pub(super) fn headers(&self, part: Part) -> &Headers<'_> {
        self.all.borrow_dependent().part(part).0
    }

    /// A unit that is needed once; `None` where it is malformed. `bare` leaves out its line
    /// program.
    pub(super) fn read(&self, part: Part, index: UnitIndex, bare: bool) -> Option<Unit<'_>> {
        let split = self.split(part, index);
        let unit = self.all.borrow_dependent().read(part, index, bare);
        self.noted(part, index, with_split(unit, split, index))
    }

    /// What of a unit is in the file itself: of one that is split no DIEs.
    pub(super) fn read_own(&self, index: UnitIndex, bare: bool) -> Option<Unit<'_>> {
        let unit = self.all.borrow_dependent().read(Part::Main, index, bare);
        self.noted(Part::Main, index, unit)
    }

    /// A unit that is kept for longer; `None` where it is malformed.
    pub(super) fn share(&self, part: Part, index: UnitIndex) -> Option<SharedUnit> {
        let split = self.split(part, index).cloned();
        let source = Source { all: Arc::clone(&self.all), split };
        let unit = OfSections::try_new(source, |source| {
            let unit = source.all.borrow_dependent().read(part, index, false);
            with_split(unit, source.split.as_ref(), index)
        });
        self.noted(part, index, unit).map(|unit| SharedUnit(Arc::new(unit)))
    }

    /// The other half of a unit that is split.
    pub(super) fn split(&self, part: Part, index: UnitIndex) -> Option<&Split> {
        if part == Part::Main { self.split.get(&self.all, index) } else { None }
    }

    /// The type unit of a signature in the package of split units.
    pub(super) fn packaged_type(&self, signature: u64) -> Option<&Split> {
        self.split.packaged_type(&self.all, signature)
    }

    /// The split units.
    pub(super) fn split_units(&self) -> &SplitUnits {
        &self.split
    }

    fn noted<T>(&self, part: Part, index: UnitIndex, unit: Result<T, gimli::Error>) -> Option<T> {
        if unit.is_err()
            && let Ok(mut malformed) = self.malformed.lock()
        {
            malformed.insert((part, index));
        }
        unit.ok()
    }

    /// Units that were looked at so far and are malformed.
    pub(super) fn malformed_units(&self) -> usize {
        self.malformed.lock().map_or(0, |units| units.len())
    }

    /// What tells this debug info from other; `None` without a build-id.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        // Many files may hold split units: an index of theirs would have to tell all of them.
        if self.headers(Part::Main).may_be_split(self.dwarf()) {
            return None;
        }
        let id = self.files().elf.build_id()?;
        let mut build_id = [0; BUILD_ID_MAX];
        build_id.get_mut(..id.len())?.copy_from_slice(id);
        let words = |file: &ElfFile| file.file().id().words();
        Some(Fingerprint {
            build_id,
            file: words(self.files().debug_elf()?),
            supplementary: self.files().debug.supplementary.as_ref().map(words).unwrap_or_default(),
            bytes: self.dwarf().debug_info.reader().len() as u64,
            reserved: 0,
        })
    }
}

fn with_split<'s>(
    unit: Result<Unit<'s>, gimli::Error>,
    split: Option<&'s Split>,
    index: UnitIndex,
) -> Result<Unit<'s>, gimli::Error> {
    match split {
        Some(split) => split.read(unit?, index),
        None => unit,
    }
}

impl<'a> Parsed<'a> {
    /// Those of the file itself.
    pub(super) fn main(&self) -> (&Dwarf<'a>, &Headers<'a>) {
        (&self.dwarf, &self.main)
    }

    fn part(&self, part: Part) -> (&Headers<'a>, Option<&Dwarf<'a>>) {
        match part {
            Part::Main => (&self.main, Some(&self.dwarf)),
            Part::Supplementary => (&self.supplementary, self.dwarf.sup()),
        }
    }

    fn read<'s>(
        &'s self,
        part: Part,
        index: UnitIndex,
        bare: bool,
    ) -> Result<Unit<'s>, gimli::Error> {
        let (headers, dwarf): (&Headers<'s>, Option<&Dwarf<'s>>) = self.part(part);
        let (header, dwarf) = headers.get(index).zip(dwarf).ok_or(gimli::Error::MissingUnitDie)?;
        if bare { headers.read_bare(dwarf, header) } else { headers.read(dwarf, header) }
    }
}

fn listed(file: &ElfFile) -> Result<(Dwarf<'_>, Headers<'_>), Issue> {
    let dwarf = gimli::Dwarf::load(|id| {
        let bytes = file.section(id.name()).map_err(|why| malformed(file, why))?;
        Ok(gimli::EndianSlice::new(bytes.unwrap_or_default(), gimli::LittleEndian))
    })?;
    let (headers, end) = Headers::list(&dwarf, &|| file.file().release());
    match end {
        Ok(()) => Ok((dwarf, headers)),
        Err((number, error)) => Err(malformed(file, format!("unit {number}: {error}"))),
    }
}

fn malformed(file: &ElfFile, detail: String) -> Issue {
    Issue::new(IssueKind::MalformedFile, file.path().display().to_string(), detail)
}
