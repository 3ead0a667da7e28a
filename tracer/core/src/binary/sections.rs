//! The DWARF sections of a file and of its supplementary (dwz) file, with their units.

use super::dwarf::{Dwarf, Unit, UnitIndex};
use super::elf::ElfFile;
use super::files::Files;
use super::index_file::{BUILD_ID_MAX, Fingerprint};
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
    struct OfFiles {
        owner: Arc<Files>,
        #[covariant]
        dependent: Parsed,
    }

    impl {Debug}
}

#[derive(Debug)]
struct Parsed<'a> {
    dwarf: Dwarf<'a>,
    main: Headers<'a>,
    supplementary: Headers<'a>,
}

self_cell! {
    struct OfSections {
        owner: Arc<OfFiles>,
        #[covariant]
        dependent: Unit,
    }

    impl {Debug}
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
        Ok(Self { all: Arc::new(all), malformed: Mutex::default() })
    }

    /// The files.
    pub(super) fn files(&self) -> &Files {
        self.all.borrow_owner()
    }

    /// The sections of the file itself.
    pub(super) fn dwarf(&self) -> &Dwarf<'_> {
        &self.all.borrow_dependent().dwarf
    }

    /// The sections of one of the files; `None` where there is none.
    pub(super) fn of(&self, part: Part) -> Option<&Dwarf<'_>> {
        self.all.borrow_dependent().part(part).1
    }

    /// The headers of the units.
    pub(super) fn headers(&self, part: Part) -> &Headers<'_> {
        self.all.borrow_dependent().part(part).0
    }

    /// A unit that is needed once; `None` where it is malformed. `bare` leaves out its line
    /// program.
    pub(super) fn read(&self, part: Part, index: UnitIndex, bare: bool) -> Option<Unit<'_>> {
        let unit = self.all.borrow_dependent().read(part, index, bare);
        self.noted(part, index, unit)
    }

    /// A unit that is kept for longer; `None` where it is malformed.
    pub(super) fn share(&self, part: Part, index: UnitIndex) -> Option<SharedUnit> {
        let all = Arc::clone(&self.all);
        let unit = OfSections::try_new(all, |all| all.borrow_dependent().read(part, index, false));
        self.noted(part, index, unit).map(|unit| SharedUnit(Arc::new(unit)))
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

impl<'a> Parsed<'a> {
    fn part(&self, part: Part) -> (&Headers<'a>, Option<&Dwarf<'a>>) {
        match part {
            Part::Main => (&self.main, Some(&self.dwarf)),
            Part::Supplementary => (&self.supplementary, self.dwarf.sup()),
        }
    }

    fn read(&self, part: Part, index: UnitIndex, bare: bool) -> Result<Unit<'a>, gimli::Error> {
        let (headers, dwarf) = self.part(part);
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
