//! Split units (DWARF 5, 3.1.2 and 7.3; in DWARF 4 an extension of GNU): most of a unit is in a
//! `.dwo` file of the build, or in the package (`.dwp`) that these were put together to.
//!
//! Such a file is opened when a unit of it is needed. It belongs to the program by the identity
//! that the compiler gave to both halves of the unit (dwo_id), and is refused without it.

use super::debugfile::{Attempt, Refusal};
use super::dwarf::{Dwarf, Reader, Unit, UnitHeader, UnitIndex};
use super::elf::ElfFile;
use super::sections::OfFiles;
use super::units::{self, Headers};
use gimli::{DebugTypeSignature, DwarfPackage, DwoId, Section as _, SectionId, UnitType};
use self_cell::self_cell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// Files of split units that are open at once, each a mapping and a file descriptor.
const FILES_MAX: usize = 16_384;
/// Bytes of the sections of one name in a `.dwo` file, which may overlap.
const JOINED_BYTES_MAX: usize = 256 << 20;
/// Bytes of a path; no file has a longer one.
const PATH_BYTES_MAX: usize = 4096;

self_cell! {
    struct OfOwner {
        owner: Owner,
        #[covariant]
        dependent: SplitSections,
    }

    impl {Debug}
}

/// What the sections of a split unit borrow from.
#[derive(Debug)]
struct Owner {
    all: Arc<OfFiles>,
    /// The `.dwo` file; the package is among the debug files.
    file: Option<Arc<DwoFile>>,
}

/// A `.dwo` file. It is not linked: what is in several sections of a name is joined.
#[derive(Debug)]
struct DwoFile {
    elf: ElfFile,
    joined: Vec<(SectionId, Vec<u8>)>,
}

impl DwoFile {
    fn new(elf: ElfFile) -> Result<Self, Refusal> {
        let mut joined = Vec::new();
        for id in [SectionId::DebugInfo, SectionId::DebugTypes] {
            let Some(name) = id.dwo_name() else { continue };
            let parts = elf.sections(name).map_err(Refusal::Unusable)?;
            let bytes = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
            if bytes > JOINED_BYTES_MAX {
                return Err(Refusal::Unusable(format!("its sections {name} are too large")));
            }
            if parts.len() > 1 {
                joined.push((id, parts.concat()));
            }
        }
        Ok(Self { elf, joined })
    }

    fn reader(&self, id: SectionId) -> Result<Reader<'_>, Refusal> {
        match self.joined.iter().find(|(joined, _)| *joined == id) {
            Some((_, bytes)) => Ok(Reader::new(bytes, gimli::LittleEndian)),
            None => reader(&self.elf, id),
        }
    }

    fn bytes(&self) -> usize {
        self.elf.bytes() + self.joined.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }
}

/// The sections that a split unit is in, with the units that are there.
#[derive(Debug)]
pub struct SplitSections<'a> {
    /// The sections, with the addresses of the file itself.
    pub dwarf: Dwarf<'a>,
    /// The unit, and type units.
    pub headers: Headers<'a>,
    /// Which of them it is; none for a type unit of a package.
    unit: Option<UnitHeader<'a>>,
}

/// A split unit, which lives as long as somebody needs it.
#[derive(Clone, Debug)]
pub(super) struct Split(Arc<OfOwner>);

impl Split {
    pub(super) fn get(&self) -> &SplitSections<'_> {
        self.0.borrow_dependent()
    }

    /// Reads the unit.
    pub(super) fn read<'s>(
        &'s self,
        skeleton: Unit<'s>,
        index: UnitIndex,
    ) -> Result<Unit<'s>, gimli::Error> {
        let sections = self.get();
        let header = sections.unit.as_ref().ok_or(gimli::Error::MissingUnitDie)?;
        let unit = sections.headers.read_plain(&sections.dwarf, header)?;
        Ok(Unit::split(&sections.dwarf, unit, skeleton, index))
    }

    fn release(&self) {
        if let Some(file) = &self.0.borrow_owner().file {
            file.elf.file().release();
        }
    }

    fn bytes(&self) -> usize {
        let file = self.0.borrow_owner().file.as_ref().map_or(0, |file| file.bytes());
        size_of::<SplitSections<'_>>() + self.get().headers.bytes() + file
    }
}

impl SplitSections<'_> {
    /// Where the split unit is in its section; `None` for a type unit of a package.
    pub fn own_offset(&self) -> Option<usize> {
        self.unit.map(|own| own.offset().0)
    }

    /// It is the header of the split unit.
    pub fn is_own(&self, header: &UnitHeader<'_>) -> bool {
        let is_type = header.section() == SectionId::DebugTypes;
        !is_type && self.unit.is_some_and(|own| own.offset() == header.offset())
    }

    /// It is the header of another split unit: that has a skeleton of its own, without which its
    /// addresses can't be read.
    pub fn is_of_another(&self, header: &UnitHeader<'_>) -> bool {
        let is_type = matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. });
        !is_type && !self.is_own(header)
    }
}

/// What there is to a unit.
#[derive(Debug)]
enum Found {
    /// It is whole.
    Whole,
    Split(Split),
    /// The other half of it, which was looked for there in vain.
    Missing(Vec<Attempt>),
}

/// The split units of a file.
#[derive(Debug)]
pub(super) struct SplitUnits {
    units: Box<[OnceLock<Found>]>,
    /// `.dwo` files by path: one may hold several units.
    opened: Mutex<HashMap<PathBuf, Arc<DwoFile>>>,
    /// Type units of the package, by row of its index.
    types: OnceLock<Box<[OnceLock<Option<Split>>]>>,
}

impl SplitUnits {
    /// Nothing is opened yet of so many units.
    pub(super) fn new(units: usize) -> Self {
        Self {
            units: (0..units).map(|_| OnceLock::new()).collect(),
            opened: Mutex::default(),
            types: OnceLock::new(),
        }
    }

    /// The split unit of a skeleton; `None` for a unit that is whole, and for one whose other half
    /// is missing.
    pub(super) fn get(&self, all: &Arc<OfFiles>, index: UnitIndex) -> Option<&Split> {
        let found = self.units.get(index)?.get_or_init(|| match Skeleton::of(all, index) {
            Some(skeleton) => match self.find(all, &skeleton) {
                Ok(split) => Found::Split(split),
                Err(tried) => Found::Missing(tried),
            },
            None => Found::Whole,
        });
        match found {
            Found::Split(split) => Some(split),
            Found::Whole | Found::Missing(_) => None,
        }
    }

    /// The type unit of a signature in the package.
    pub(super) fn packaged_type(&self, all: &Arc<OfFiles>, signature: u64) -> Option<&Split> {
        let elf = all.borrow_owner().debug.package.as_ref()?;
        let package = package(elf).ok()?;
        let row = package.tu_index.find(signature)?;
        let rows = self
            .types
            .get_or_init(|| (0..=package.tu_index.unit_count()).map(|_| OnceLock::new()).collect());
        let slot = rows.get(usize::try_from(row).ok()?)?;
        let open = || {
            let owner = Owner { all: Arc::clone(all), file: None };
            let sections = OfOwner::try_new(owner, |owner| {
                let dwarf = of_package(owner, |package, main| {
                    package.find_tu(DebugTypeSignature(signature), main)
                })?;
                listed(dwarf, None)
            });
            sections.ok().map(|sections| Split(Arc::new(sections)))
        };
        slot.get_or_init(open).as_ref()
    }

    /// Halves of units that were looked for in vain so far: how many, and where that of one of them
    /// was looked for.
    pub(super) fn missing(&self) -> Option<(usize, &[Attempt])> {
        let mut missing = self.units.iter().filter_map(|unit| match unit.get() {
            Some(Found::Missing(tried)) => Some(tried.as_slice()),
            _ => None,
        });
        let first = missing.next()?;
        Some((1 + missing.count(), first))
    }

    /// Gives the pages of the files back that were touched.
    pub(super) fn release(&self) {
        self.found().for_each(Split::release);
    }

    /// Bytes that it takes beside the mapped files.
    pub(super) fn bytes(&self) -> usize {
        let slots = self.units.len() * size_of::<OnceLock<Found>>();
        slots + self.found().map(Split::bytes).sum::<usize>()
    }

    fn found(&self) -> impl Iterator<Item = &Split> {
        self.units.iter().filter_map(|unit| match unit.get() {
            Some(Found::Split(split)) => Some(split),
            _ => None,
        })
    }

    fn find(&self, all: &Arc<OfFiles>, skeleton: &Skeleton) -> Result<Split, Vec<Attempt>> {
        let mut tried = Vec::new();
        if let Some(elf) = &all.borrow_owner().debug.package {
            let owner = Owner { all: Arc::clone(all), file: None };
            let sections = OfOwner::try_new(owner, |owner| {
                let dwarf = of_package(owner, |package, main| package.find_cu(skeleton.id, main))?;
                listed(dwarf, Some(skeleton.id))
            });
            match sections {
                Ok(sections) => return Ok(Split(Arc::new(sections))),
                Err(why) => tried.push(Attempt { path: elf.path().to_path_buf(), why }),
            }
        }
        for place in all.borrow_owner().debug.places.of(&skeleton.paths()) {
            let opened = self.open(&place.path, || place.open());
            let outcome = opened.and_then(|file| {
                let owner = Owner { all: Arc::clone(all), file: Some(file) };
                OfOwner::try_new(owner, |owner| listed(of_file(owner)?, Some(skeleton.id)))
            });
            match outcome {
                Ok(sections) => return Ok(Split(Arc::new(sections))),
                Err(why) => tried.push(Attempt { path: place.path, why }),
            }
        }
        Err(tried)
    }

    /// The path of a `.dwo` file that was truncated while it was read.
    pub(super) fn damaged(&self) -> Option<PathBuf> {
        let opened = self.opened.lock().ok()?;
        let damaged = opened.iter().find(|(_, file)| file.elf.file().is_damaged());
        damaged.map(|(path, _)| path.clone())
    }

    fn open(
        &self,
        path: &Path,
        open: impl FnOnce() -> Result<ElfFile, Refusal>,
    ) -> Result<Arc<DwoFile>, Refusal> {
        let known =
            |count: &HashMap<PathBuf, Arc<DwoFile>>| (count.get(path).cloned(), count.len());
        let (file, count) = self.opened.lock().map(|opened| known(&opened)).unwrap_or_default();
        if let Some(file) = file {
            return Ok(file);
        }
        if count >= FILES_MAX {
            return Err(Refusal::Unusable(format!("{FILES_MAX} such files are open already")));
        }
        let file = Arc::new(DwoFile::new(open()?)?);
        if let Ok(mut opened) = self.opened.lock() {
            opened.insert(path.to_path_buf(), Arc::clone(&file));
        }
        Ok(file)
    }
}

/// What a skeleton says of the other half.
#[derive(Debug)]
struct Skeleton {
    name: PathBuf,
    directory: PathBuf,
    id: DwoId,
}

impl Skeleton {
    /// `None` for a unit that is whole.
    fn of(all: &OfFiles, index: UnitIndex) -> Option<Self> {
        let (dwarf, headers) = all.borrow_dependent().main();
        let header = headers.get(index)?;
        let may_be = units::is_split(header, !dwarf.debug_addr.reader().is_empty());
        let unit = may_be.then(|| headers.read_bare(dwarf, header).ok()).flatten()?;
        let mut entries = unit.entries();
        let root = entries.next_dfs().ok()??;
        let text = |name| {
            let text = dwarf.attr_string(&unit, root.attr_value(name)?).ok()?.slice();
            (text.len() <= PATH_BYTES_MAX).then(|| PathBuf::from(OsStr::from_bytes(text)))
        };
        Some(Self {
            name: text(gimli::DW_AT_dwo_name).or_else(|| text(gimli::DW_AT_GNU_dwo_name))?,
            directory: text(gimli::DW_AT_comp_dir).unwrap_or_default(),
            id: unit.dwo_id?,
        })
    }

    /// Where the build left it, and its name, which may be beside the program.
    fn paths(&self) -> (PathBuf, Option<PathBuf>) {
        (self.directory.join(&self.name), self.name.file_name().map(PathBuf::from))
    }
}

fn reader<'a>(elf: &'a ElfFile, id: SectionId) -> Result<Reader<'a>, Refusal> {
    let Some(name) = id.dwo_name() else { return Ok(Reader::default()) };
    let bytes = elf.section(name).map_err(Refusal::Unusable)?;
    Ok(Reader::new(bytes.unwrap_or_default(), gimli::LittleEndian))
}

fn package(elf: &ElfFile) -> Result<DwarfPackage<Reader<'_>>, Refusal> {
    DwarfPackage::load(|id| reader(elf, id), Reader::default())
}

fn of_package<'o>(
    owner: &'o Owner,
    find: impl FnOnce(&DwarfPackage<Reader<'o>>, &Dwarf<'o>) -> Result<Option<Dwarf<'o>>, gimli::Error>,
) -> Result<Dwarf<'o>, Refusal> {
    let unusable = |why: &str| Refusal::Unusable(why.to_owned());
    let elf = owner.all.borrow_owner().debug.package.as_ref();
    let package = package(elf.ok_or_else(|| unusable("there is none"))?)?;
    find(&package, owner.all.borrow_dependent().main().0)?
        .ok_or_else(|| Refusal::Mismatch("it has no unit of this identity".to_owned()))
}

fn of_file(owner: &Owner) -> Result<Dwarf<'_>, Refusal> {
    let file = owner.file.as_ref().ok_or_else(|| Refusal::Unusable(String::new()))?;
    let mut dwarf = Dwarf::load(|id| file.reader(id))?;
    dwarf.make_dwo(owner.all.borrow_dependent().main().0);
    Ok(dwarf)
}

/// Lists the units, and finds that of an identity.
fn listed(dwarf: Dwarf<'_>, id: Option<DwoId>) -> Result<SplitSections<'_>, Refusal> {
    let (headers, end) = Headers::list(&dwarf, &|| {});
    let Some(id) = id else { return Ok(SplitSections { dwarf, headers, unit: None }) };
    let is_wanted = |header: &&UnitHeader<'_>| match header.type_() {
        UnitType::SplitCompilation(own) => own == id,
        UnitType::Compilation => {
            headers.read_plain(&dwarf, header).is_ok_and(|unit| unit.dwo_id == Some(id))
        }
        _ => false,
    };
    let unit = (0..headers.len()).filter_map(|index| headers.get(index)).find(is_wanted).copied();
    match (unit, end) {
        (Some(unit), _) => Ok(SplitSections { dwarf, headers, unit: Some(unit) }),
        (None, Ok(())) => Err(Refusal::Mismatch(format!("it has no unit {:016x}", id.0))),
        (None, Err((_, error))) => Err(error.into()),
    }
}

impl From<gimli::Error> for Refusal {
    fn from(error: gimli::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}
