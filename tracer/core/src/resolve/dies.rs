//! Debugging information entries by reference: across units, into type units and into the
//! supplementary file.
//!
//! References come from the file, so every walk along them is bounded and every entry they lead
//! to may be of any kind.

use super::lang::Language;
use crate::binary::dwarf::{DebugInfo, Dwarf, Reader, Unit, UnitIndex};
use crate::binary::namespaces::ANONYMOUS;
use crate::binary::split::SplitSections;
use crate::binary::unit::split_place;
use crate::binary::units::Headers;
use crate::binary::vtables::Vtable;
use gimli::{AttributeValue, SectionId, UnitOffset, UnitType};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// References followed in a row.
pub const WALK_MAX: usize = 64;
/// Steps that the questions of one request may take together: entries and members of lists that
/// are looked at, and so many bytes that are passed over.
const STEPS_MAX: u64 = 24 << 20;
const BYTES_OF_STEP: u64 = 16;
/// Children of one entry.
const CHILDREN_MAX: usize = 100_000;
/// Bytes of a name; the rest is cut.
const NAME_BYTES_MAX: usize = 2048;

/// A DIE without where it is.
pub type Entry<'a> = gimli::DebuggingInformationEntry<Reader<'a>>;
/// The value of an attribute.
pub type Attribute<'a> = AttributeValue<Reader<'a>>;

/// Why an entry can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DieError {
    /// The file is malformed.
    #[error("malformed DWARF: {0}")]
    Malformed(#[from] gimli::Error),
    /// A reference leads out of all units.
    #[error("no unit holds offset {0:#x}")]
    NoUnit(usize),
    /// No type unit has this signature.
    #[error("no type unit has signature {0:#x}")]
    NoSignature(u64),
    /// The entry is in a supplementary file that was not loaded.
    #[error("it is in a supplementary (dwz) file that was not found")]
    NoSupplementary,
    /// The attribute is not a reference.
    #[error("not a reference")]
    NotAReference,
    /// References go round in a circle or on for too long.
    #[error("more than 64 references in a row")]
    TooDeep,
    /// An entry with more children than any real one.
    #[error("an entry of more than {CHILDREN_MAX} others")]
    TooWide,
    /// Lists that many entries share, or trees that are gone through again and again.
    #[error("its debug info takes more than {STEPS_MAX} steps")]
    TooLong,
}

/// Which file's sections an entry is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum File {
    /// The file itself.
    Main,
    /// The supplementary (dwz) file.
    Supplementary,
    /// That of the split unit of a skeleton.
    Split(UnitIndex),
    /// The package of split units, where the type unit of a signature is.
    Packaged(u64),
}

/// What identifies an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DieId {
    file: File,
    types: bool,
    offset: usize,
}

/// A unit with the file that it is in.
#[derive(Debug)]
pub struct SourceUnit<'a> {
    /// The sections.
    pub dwarf: &'a Dwarf<'a>,
    /// The unit.
    pub unit: Unit<'a>,
    /// Its language; dwz's partial units have none.
    pub language: Option<Language>,
    /// DW_AT_producer; empty where there is none.
    pub producer: Reader<'a>,
    /// Shared by all units of a request.
    pub steps: Steps,
    file: File,
}

/// A DIE with the unit that it is in.
#[derive(Clone, Debug)]
pub struct Die<'a> {
    /// Its unit.
    pub unit: Rc<SourceUnit<'a>>,
    /// Its attributes.
    pub entry: Entry<'a>,
}

impl<'a> Die<'a> {
    /// What identifies it.
    pub fn id(&self) -> DieId {
        let header = &self.unit.unit.header;
        DieId {
            file: self.unit.file,
            types: header.section() == SectionId::DebugTypes,
            offset: self.entry.offset().to_unit_section_offset(header).0,
        }
    }

    /// Its tag.
    pub fn tag(&self) -> gimli::DwTag {
        self.entry.tag()
    }

    /// DW_AT_name, cut where it is very long; bytes that are not UTF-8 are replaced.
    pub fn name(&self) -> Option<String> {
        name(&self.unit, &self.entry)
    }

    /// The attribute as a number that is not negative.
    pub fn number(&self, attribute: gimli::DwAt) -> Option<u64> {
        number(&self.entry, attribute)
    }
}

/// DW_AT_name of an entry of `unit`.
pub fn name<'a>(unit: &SourceUnit<'a>, entry: &Entry<'a>) -> Option<String> {
    let value = entry.attr_value(gimli::DW_AT_name)?;
    let bytes = unit.dwarf.attr_string(&unit.unit, value).ok()?;
    let bytes = bytes.slice();
    if bytes.is_empty() {
        return None;
    }
    match bytes.get(..NAME_BYTES_MAX) {
        Some(start) if bytes.len() > NAME_BYTES_MAX => {
            Some(String::from_utf8_lossy(start).into_owned() + "…")
        }
        _ => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// An attribute as a number that is not negative.
pub fn number(entry: &Entry<'_>, attribute: gimli::DwAt) -> Option<u64> {
    entry.attr(attribute)?.udata_value()
}

/// A flag attribute.
pub fn flag(entry: &Entry<'_>, attribute: gimli::DwAt) -> bool {
    entry.attr_value(attribute) == Some(AttributeValue::Flag(true))
}

/// The DIEs of a file and its supplementary file; units are read when they are first needed.
pub struct Dies<'a> {
    info: Option<&'a DebugInfo>,
    main: Units<'a>,
    supplementary: Option<Units<'a>>,
    /// Of split units.
    split: RefCell<HashMap<File, Rc<Units<'a>>>>,
    steps: Steps,
}

struct Units<'a> {
    file: File,
    /// Where the file is that of a split unit.
    split: Option<(&'a DebugInfo, &'a SplitSections<'a>)>,
    dwarf: &'a Dwarf<'a>,
    /// The list of units, where it is known already.
    given: Option<&'a Headers<'a>>,
    listed: OnceCell<Headers<'a>>,
    loaded: RefCell<HashMap<(bool, usize), Rc<SourceUnit<'a>>>>,
    steps: Steps,
}

/// What is left of [`STEPS_MAX`].
#[derive(Clone, Debug)]
pub struct Steps(Rc<Cell<u64>>);

impl Default for Steps {
    fn default() -> Self {
        Self(Rc::new(Cell::new(STEPS_MAX)))
    }
}

impl Steps {
    /// Takes a step over `bytes` of entries.
    ///
    /// # Errors
    ///
    /// [`DieError::TooLong`].
    pub fn take(&self, bytes: usize) -> Result<(), DieError> {
        let left = self.0.get().checked_sub(1 + bytes as u64 / BYTES_OF_STEP);
        self.0.set(left.unwrap_or(0));
        left.map(drop).ok_or(DieError::TooLong)
    }
}

impl<'a> Dies<'a> {
    /// The DIEs of `dwarf`.
    pub fn new(dwarf: &'a Dwarf<'a>) -> Self {
        let steps = Steps::default();
        let units = |file, dwarf| Units::new(file, dwarf, None, &steps);
        let supplementary = dwarf.sup().map(|dwarf| units(File::Supplementary, dwarf));
        let (main, split) = (units(File::Main, dwarf), RefCell::default());
        Self { info: None, main, supplementary, split, steps }
    }

    /// The DIEs of a file whose units were listed.
    pub fn of(info: &'a DebugInfo) -> Self {
        let (dwarf, steps) = (info.dwarf(), Steps::default());
        let supplementary = dwarf.sup().map(|dwarf| {
            let headers = Some(info.supplementary_headers());
            Units::new(File::Supplementary, dwarf, headers, &steps)
        });
        let main = Units::new(File::Main, dwarf, Some(info.headers()), &steps);
        Self { info: Some(info), main, supplementary, split: RefCell::default(), steps }
    }

    /// Gives back the pages of the file that were touched.
    pub fn release(&self) {
        if let Some(info) = self.info {
            info.release();
        }
    }

    /// The same unit as `unit`, which is of the file itself or split.
    ///
    /// # Errors
    ///
    /// When the file has no such unit, or it is malformed.
    pub fn unit(&self, unit: &Unit<'_>) -> Result<Rc<SourceUnit<'a>>, DieError> {
        let types = unit.header.section() == SectionId::DebugTypes;
        match unit.split_index() {
            Some(index) => {
                let no_unit = DieError::NoUnit(unit.header.offset().0);
                let units = self.split(File::Split(index)).ok_or(no_unit)?;
                units.holding(types, unit.header.offset().0)
            }
            None => self.main.holding(types, unit.header.offset().0),
        }
    }

    /// The units of the file of a split one.
    fn split(&self, file: File) -> Option<Rc<Units<'a>>> {
        if let Some(units) = self.split.borrow().get(&file) {
            return Some(Rc::clone(units));
        }
        let info = self.info?;
        let sections = match file {
            File::Split(index) => info.split(index)?,
            File::Packaged(signature) => info.packaged_type(signature)?,
            File::Main | File::Supplementary => return None,
        };
        let units = Units::new(file, &sections.dwarf, Some(&sections.headers), &self.steps);
        let units = Rc::new(Units { split: Some((info, sections)), ..units });
        self.split.borrow_mut().insert(file, Rc::clone(&units));
        Some(units)
    }

    /// The entry at an offset of a unit.
    ///
    /// # Errors
    ///
    /// When it is malformed.
    pub fn at(&self, unit: &Rc<SourceUnit<'a>>, offset: UnitOffset) -> Result<Die<'a>, DieError> {
        self.steps.take(0)?;
        let entry = unit.unit.entry(offset)?;
        Ok(Die { unit: Rc::clone(unit), entry })
    }

    /// The entry that a value of an attribute in `unit` refers to.
    ///
    /// # Errors
    ///
    /// When it is no reference or leads nowhere.
    pub fn follow(
        &self,
        unit: &Rc<SourceUnit<'a>>,
        value: Attribute<'a>,
    ) -> Result<Die<'a>, DieError> {
        let split = self.split(unit.file);
        let units = match unit.file {
            File::Main => Some(&self.main),
            File::Supplementary => self.supplementary.as_ref(),
            File::Split(_) | File::Packaged(_) => split.as_deref(),
        };
        let units = units.ok_or(DieError::NoSupplementary)?;
        self.steps.take(0)?;
        match value {
            AttributeValue::UnitRef(offset) => self.at(unit, offset),
            AttributeValue::DebugInfoRef(offset) => units.entry(offset.0),
            AttributeValue::DebugInfoRefSup(offset) => {
                self.supplementary.as_ref().ok_or(DieError::NoSupplementary)?.entry(offset.0)
            }
            AttributeValue::DebugTypesRef(signature) => match units.signature(signature.0) {
                Err(DieError::NoSignature(_)) if units.split.is_some() => {
                    let packaged = self.split(File::Packaged(signature.0));
                    let packaged = packaged.ok_or(DieError::NoSignature(signature.0))?;
                    packaged.signature(signature.0)
                }
                found => found,
            },
            _ => Err(DieError::NotAReference),
        }
    }

    /// The entry that an attribute refers to; `None` where there is no such attribute.
    ///
    /// # Errors
    ///
    /// When it leads nowhere.
    pub fn reference(
        &self,
        die: &Die<'a>,
        attribute: gimli::DwAt,
    ) -> Result<Option<Die<'a>>, DieError> {
        let Some(value) = die.entry.attr_value(attribute) else { return Ok(None) };
        self.follow(&die.unit, value).map(Some)
    }

    /// The entry itself, then those that it completes: DW_AT_abstract_origin and
    /// DW_AT_specification, in the order in which their attributes count (DWARF 5, 2.13.2, 3.3.8).
    ///
    /// # Errors
    ///
    /// When a reference leads nowhere or the chain does not end.
    pub fn origins(&self, die: &Die<'a>) -> Result<Vec<Die<'a>>, DieError> {
        let mut chain = vec![die.clone()];
        while let Some(last) = chain.last() {
            let next = match self.reference(last, gimli::DW_AT_abstract_origin)? {
                Some(origin) => Some(origin),
                None => self.reference(last, gimli::DW_AT_specification)?,
            };
            let Some(next) = next else { break };
            if chain.len() >= WALK_MAX {
                return Err(DieError::TooDeep);
            }
            chain.push(next);
        }
        Ok(chain)
    }

    /// The namespaces and classes that a type is in, by C++ or Rust: `ns::Class`.
    pub fn path(&self, die: &Die<'a>) -> Option<Arc<str>> {
        let header = &die.unit.unit.header;
        if matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. }) {
            return self.path_in_type_unit(die);
        }
        let is_known = match die.unit.file {
            File::Main => !die.id().types,
            File::Split(_) => die.unit.language == Some(Language::Rust),
            File::Supplementary | File::Packaged(_) => false,
        };
        let info = self.info.filter(|_| is_known)?;
        let index = info.index_of(&die.unit.unit)?;
        info.namespaces(index).path(die.entry.offset()).cloned()
    }

    /// The path of a type that is in a unit of its own, with the namespaces that its declaration there
    /// is in (DWARF 5, 3.1.4).
    fn path_in_type_unit(&self, die: &Die<'a>) -> Option<Arc<str>> {
        let target = match die.entry.attr_value(gimli::DW_AT_specification) {
            Some(AttributeValue::UnitRef(declaration)) => declaration,
            Some(_) => return None,
            None => die.entry.offset(),
        };
        let unit = &die.unit.unit;
        let root = unit.entry(unit.header.root_offset()).ok()?;
        let mut around = Die { unit: Rc::clone(&die.unit), entry: root };
        let mut path = Vec::new();
        for _ in 0..WALK_MAX {
            let children = self.children(&around).ok()?;
            let inner = children.into_iter().take_while(|child| child.offset() <= target).last()?;
            if inner.offset() == target {
                return (!path.is_empty()).then(|| path.join("::").into());
            }
            around = Die { unit: Rc::clone(&die.unit), entry: inner };
            path.push(match around.tag() {
                gimli::DW_TAG_namespace => around.name().unwrap_or_else(|| ANONYMOUS.to_owned()),
                gimli::DW_TAG_class_type | gimli::DW_TAG_structure_type => around.name()?,
                _ => return None,
            });
        }
        None
    }

    /// What may be the definition of a type in namespace or class `path`, wherever in the file it
    /// is.
    pub fn definition(&self, path: Option<&str>, name: &str) -> Option<Die<'a>> {
        self.at_place(self.info?.type_index().definition(path, name)?)
    }

    /// The types that have a table of the methods of a trait, and where these are: by the trait's
    /// path without parameters.
    pub fn vtables(&self, path: &str) -> &'a [Vtable] {
        self.info.map_or(&[], |info| info.vtables().of(path))
    }

    /// The entry at its place among those of the file (see [`Unit::start`]).
    pub fn at_place(&self, place: usize) -> Option<Die<'a>> {
        let Some((index, offset)) = split_place(place) else { return self.main.entry(place).ok() };
        let units = self.split(File::Split(index))?;
        let own = units.split.and_then(|(_, sections)| sections.own_offset())?;
        self.at(&units.holding(false, own).ok()?, offset).ok()
    }

    /// The children of an entry, without theirs.
    ///
    /// # Errors
    ///
    /// When they are malformed.
    pub fn children(&self, die: &Die<'a>) -> Result<Vec<Entry<'a>>, DieError> {
        let mut children = Vec::new();
        if !die.entry.has_children() {
            return Ok(children);
        }
        let mut cursor = die.unit.unit.entries_at_offset(die.entry.offset())?;
        if !cursor.next_entry()? || !cursor.next_entry()? {
            return Ok(children);
        }
        while let Some(child) = cursor.current() {
            if children.len() >= CHILDREN_MAX {
                return Err(DieError::TooWide);
            }
            let start = child.offset();
            children.push(child.clone());
            cursor.next_sibling()?;
            self.steps.take(cursor.offset().0.saturating_sub(start.0))?;
        }
        Ok(children)
    }
}

impl<'a> Units<'a> {
    fn new(
        file: File,
        dwarf: &'a Dwarf<'a>,
        given: Option<&'a Headers<'a>>,
        steps: &Steps,
    ) -> Self {
        let (listed, loaded, steps) = (OnceCell::new(), RefCell::default(), steps.clone());
        Self { file, split: None, dwarf, given, listed, loaded, steps }
    }

    fn headers(&self) -> &Headers<'a> {
        self.given.unwrap_or_else(|| {
            // A malformed header hides the units behind it; those before it still serve.
            self.listed.get_or_init(|| Headers::list(self.dwarf, &|| {}).0)
        })
    }

    fn entry(&self, offset: usize) -> Result<Die<'a>, DieError> {
        let unit = self.holding(false, offset)?;
        let inside = offset.saturating_sub(unit.unit.header.offset().0);
        let entry = unit.unit.entry(UnitOffset(inside))?;
        Ok(Die { unit, entry })
    }

    fn signature(&self, signature: u64) -> Result<Die<'a>, DieError> {
        let (types, start, offset) =
            self.headers().signed(signature).ok_or(DieError::NoSignature(signature))?;
        let unit = self.holding(types, start)?;
        let entry = unit.unit.entry(offset)?;
        Ok(Die { unit, entry })
    }

    /// The unit that holds `offset` of .debug_info or .debug_types.
    fn holding(&self, types: bool, offset: usize) -> Result<Rc<SourceUnit<'a>>, DieError> {
        let headers = self.headers();
        let header = headers.holding(types, offset).ok_or(DieError::NoUnit(offset))?;
        let key = (types, header.offset().0);
        if let Some(unit) = self.loaded.borrow().get(&key) {
            return Ok(Rc::clone(unit));
        }
        let unit = match (self.split, self.file) {
            (Some((_, sections)), _) if sections.is_of_another(header) => {
                return Err(DieError::NoUnit(offset));
            }
            (Some((info, sections)), File::Split(index)) if sections.is_own(header) => {
                info.read_unit(index).ok_or(DieError::NoUnit(offset))?
            }
            _ => headers.read(self.dwarf, header)?,
        };
        let unit = Rc::new(self.load(unit)?);
        self.loaded.borrow_mut().insert(key, Rc::clone(&unit));
        Ok(unit)
    }

    fn load(&self, unit: Unit<'a>) -> Result<SourceUnit<'a>, DieError> {
        let (mut language, mut producer) = (None, Reader::default());
        let mut entries = unit.entries();
        if let Some(root) = entries.next_dfs()? {
            if let Some(AttributeValue::Language(code)) = root.attr_value(gimli::DW_AT_language) {
                language = Some(Language::from_code(code));
            }
            if let Some(value) = root.attr_value(gimli::DW_AT_producer) {
                producer = unit.dwarf().attr_string(&unit, value).unwrap_or_default();
            }
        }
        drop(entries);
        let steps = self.steps.clone();
        Ok(SourceUnit { dwarf: unit.dwarf(), unit, language, producer, steps, file: self.file })
    }
}
