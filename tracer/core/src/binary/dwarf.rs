//! DWARF sections of a file, and its units.

use super::debugfile::Attempt;
use super::files::Files;
use super::function_index::FunctionIndex;
use super::functions::{self, Scopes, UnitFunctions};
use super::index_store::{IndexStore, Stored};
use super::line_sites::Sites;
use super::lines::UnitLines;
use super::lists;
use super::memo::Memo;
use super::namespaces::Namespaces;
use super::range_map::RangeMap;
use super::scan::{self, Read};
use super::sections::{Part, Sections, SharedUnit};
use super::source_index::SourceIndex;
use super::split::{Split, SplitSections};
use super::type_index::TypeIndex;
use super::unit;
pub use super::unit::Unit;
use super::units::Headers;
use super::vtables::Vtables;
use crate::model::address::Svma;
use crate::model::issue::Issue;
use gimli::{AttributeValue, UnitOffset};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// How DWARF is read: slices of the mapped or decompressed sections, little-endian.
pub type Reader<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;
/// All sections of a file, with the supplementary (dwz) file's where there is one.
pub type Dwarf<'a> = gimli::Dwarf<Reader<'a>>;
/// The header of a unit.
pub type UnitHeader<'a> = gimli::UnitHeader<Reader<'a>, usize>;
/// The value of an attribute.
pub type Value<'a> = AttributeValue<Reader<'a>>;

/// Ranges of one DW_AT_ranges that are read, at most; a unit may have one for each function.
const RANGES_MAX: usize = 1 << 16;
/// Bytes that are looked at before the pages are given back.
const TOUCHED_BYTES: usize = 8 << 20;
/// Bytes that are looked at for a few DIEs of a unit.
const UNIT_BYTES: usize = 128 << 10;
/// Units that others refer to and that are kept.
const REFERRED_KEPT: usize = 128;
/// Functions whose inlined copies are remembered.
const SCOPES_KEPT: usize = 4096;

/// Index of a unit in [`DebugInfo`].
pub type UnitIndex = usize;

/// The debug info of a file: all of it is read on demand and kept.
#[derive(Debug)]
pub struct DebugInfo {
    sections: Sections,
    /// Where indices are kept on disk.
    store: Option<Arc<IndexStore>>,
    text: Vec<Range<u64>>,
    /// Bytes that were looked at since pages were given back.
    touched: AtomicUsize,
    units: Box<[OnceLock<Option<SharedUnit>>]>,
    /// Those that others refer to; the last ones.
    referred: Mutex<VecDeque<(Part, UnitIndex, SharedUnit)>>,
    by_address: OnceLock<RangeMap<u32>>,
    functions: Box<[OnceLock<UnitFunctions>]>,
    lines: Box<[OnceLock<UnitLines>]>,
    scopes: Mutex<HashMap<(UnitIndex, UnitOffset), Arc<Scopes>>>,
    function_index: OnceLock<FunctionIndex>,
    source_index: OnceLock<SourceIndex>,
    type_index: OnceLock<TypeIndex>,
    vtables: OnceLock<Vtables>,
    sites: Memo<Sites>,
    namespaces: Memo<Namespaces>,
}

/// A DIE and the unit it is in.
#[derive(Clone, Copy, Debug)]
pub struct Die<'d> {
    pub(super) part: Part,
    /// Its unit.
    pub unit: &'d Unit<'d>,
    /// Where it is in the unit.
    pub offset: UnitOffset,
}

impl DebugInfo {
    /// Reads the unit headers of the file whose DWARF sections serve.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`](crate::model::issue::IssueKind::MalformedFile).
    pub(super) fn load(files: &Arc<Files>, store: Option<Arc<IndexStore>>) -> Result<Self, Issue> {
        let sections = Sections::open(files)?;
        let count = sections.headers(Part::Main).len();
        let text = files.elf.segments().iter().filter(|segment| segment.execute);
        Ok(Self {
            sections,
            store,
            text: text.map(|segment| segment.file_range()).collect(),
            touched: AtomicUsize::new(0),
            units: (0..count).map(|_| OnceLock::new()).collect(),
            referred: Mutex::default(),
            by_address: OnceLock::new(),
            functions: (0..count).map(|_| OnceLock::new()).collect(),
            lines: (0..count).map(|_| OnceLock::new()).collect(),
            scopes: Mutex::default(),
            function_index: OnceLock::new(),
            source_index: OnceLock::new(),
            type_index: OnceLock::new(),
            vtables: OnceLock::new(),
            sites: Memo::default(),
            namespaces: Memo::default(),
        })
    }

    /// The sections.
    pub fn dwarf(&self) -> &Dwarf<'_> {
        self.sections.dwarf()
    }

    #[cfg(test)]
    pub(crate) fn copy_dwarf(&self) -> Dwarf<'_> {
        let load = |id: gimli::SectionId| {
            let debug = self.sections.files().debug_elf().ok_or("no sections".to_owned())?;
            let bytes = debug.section(id.name())?.unwrap_or_default();
            Ok::<_, String>(Reader::new(bytes, gimli::LittleEndian))
        };
        Dwarf::load(load).unwrap()
    }

    /// The headers of the units.
    pub fn headers(&self) -> &Headers<'_> {
        self.sections.headers(Part::Main)
    }

    /// The headers of the units of the supplementary file.
    pub fn supplementary_headers(&self) -> &Headers<'_> {
        self.sections.headers(Part::Supplementary)
    }

    /// How many units there are in `.debug_info`.
    pub fn unit_count(&self) -> usize {
        self.headers().len()
    }

    /// A unit, kept from now on; `None` where it is malformed.
    pub fn unit(&self, index: UnitIndex) -> Option<&Unit<'_>> {
        let kept = self.units.get(index)?.get_or_init(|| self.sections.share(Part::Main, index));
        kept.as_ref().map(SharedUnit::get)
    }

    /// A unit that is needed once; `None` where it is malformed.
    pub fn read_unit(&self, index: UnitIndex) -> Option<Unit<'_>> {
        self.counted(self.sections.read(Part::Main, index, false))
    }

    /// The same without its line program.
    pub(super) fn read_bare_unit(&self, part: Part, index: UnitIndex) -> Option<Unit<'_>> {
        self.counted(self.sections.read(part, index, true))
    }

    /// What of a unit is in the file itself: of one that is split no DIEs.
    pub(super) fn read_own_unit(&self, index: UnitIndex, bare: bool) -> Option<Unit<'_>> {
        self.counted(self.sections.read_own(index, bare))
    }

    /// One of the files that it is read from was truncated while it was read: what was read of it
    /// may be anything.
    pub(super) fn damaged(&self) -> Option<Issue> {
        let split = || self.sections.split_units().damaged().map(Files::damage_of);
        self.sections.files().damaged().or_else(split)
    }

    /// The sections that a split unit is in; `None` for one that is whole or whose other half is
    /// missing.
    pub fn split(&self, index: UnitIndex) -> Option<&SplitSections<'_>> {
        self.sections.split(Part::Main, index).map(Split::get)
    }

    /// The sections of the type unit of a signature in the package of split units.
    pub fn packaged_type(&self, signature: u64) -> Option<&SplitSections<'_>> {
        self.sections.packaged_type(signature).map(Split::get)
    }

    /// Split units that were needed so far and whose other half is missing: how many, and where
    /// that of one of them was looked for.
    pub fn missing_units(&self) -> Option<(usize, &[Attempt])> {
        self.sections.split_units().missing()
    }

    fn counted<'d>(&self, unit: Option<Unit<'d>>) -> Option<Unit<'d>> {
        unit.inspect(|unit| self.touched(unit.header.length_including_self().min(UNIT_BYTES)))
    }

    /// About so many bytes of the files are looked at: now and then the pages are given back, for
    /// mapped ones count as our memory.
    pub fn touched(&self, bytes: usize) {
        if self.touched.fetch_add(bytes, Ordering::Relaxed) >= TOUCHED_BYTES {
            self.touched.store(0, Ordering::Relaxed);
            self.release();
        }
    }

    /// The unit that holds an offset of `.debug_info` which another one refers to, with where that
    /// is in it. Compilers refer to many units from one, so only the last ones are kept.
    pub(super) fn shared_unit(
        &self,
        part: Part,
        offset: usize,
    ) -> Option<(SharedUnit, UnitOffset)> {
        let index = self.unit_of(part, offset)?;
        let known = self.referred.lock().ok().and_then(|kept| {
            let mut kept = kept.iter();
            let found = kept.find(|(of, at, _)| (*of, *at) == (part, index));
            found.map(|(.., unit)| unit.clone())
        });
        let unit = match known {
            Some(unit) => unit,
            None => {
                let unit = self.sections.share(part, index)?;
                if let Ok(mut kept) = self.referred.lock() {
                    kept.truncate(REFERRED_KEPT - 1);
                    kept.push_front((part, index, unit.clone()));
                }
                unit
            }
        };
        let offset = UnitOffset(offset.checked_sub(unit.get().start())?);
        (offset.0 < unit.get().header.length_including_self()).then_some((unit, offset))
    }

    /// The index of the unit that holds an offset of `.debug_info`.
    pub(super) fn unit_of(&self, part: Part, offset: usize) -> Option<UnitIndex> {
        let split = unit::split_index(offset).filter(|_| part == Part::Main);
        split.or_else(|| self.sections.headers(part).index_of(offset))
    }

    /// Units that were looked at so far and are malformed.
    pub fn malformed_units(&self) -> usize {
        self.sections.malformed_units()
    }

    /// Bytes that it takes beside the mapped files.
    pub(super) fn bytes(&self) -> usize {
        let functions = self.functions.iter().filter_map(OnceLock::get);
        let lines = self.lines.iter().filter_map(OnceLock::get);
        let scopes = self.scopes.lock().map_or(0, |kept| {
            kept.values().map(|scopes| size_of::<Scopes>() + scopes.bytes()).sum()
        });
        let cells = size_of::<OnceLock<UnitFunctions>>()
            + size_of::<OnceLock<UnitLines>>()
            + size_of::<OnceLock<Option<SharedUnit>>>();
        self.headers().bytes()
            + self.sections.split_units().bytes()
            + self.supplementary_headers().bytes()
            + self
                .units
                .iter()
                .filter_map(|unit| unit.get()?.as_ref())
                .map(SharedUnit::bytes)
                .sum::<usize>()
            + self
                .referred
                .lock()
                .map_or(0, |kept| kept.iter().map(|(.., unit)| unit.bytes()).sum())
            + self.by_address.get().map_or(0, RangeMap::bytes)
            + self.unit_count() * cells
            + functions.map(UnitFunctions::bytes).sum::<usize>()
            + lines.map(UnitLines::bytes).sum::<usize>()
            + scopes
            + self.function_index.get().map_or(0, FunctionIndex::bytes)
            + self.source_index.get().map_or(0, SourceIndex::bytes)
            + self.type_index.get().map_or(0, TypeIndex::bytes)
            + self.vtables.get().map_or(0, Vtables::bytes)
            + self.namespaces.bytes(Namespaces::bytes)
            + self.sites.bytes(|sites| sites.len() * size_of::<(Svma, Option<UnitOffset>)>())
    }

    /// Gives the pages of the files back that were touched; they are read again when needed.
    pub fn release(&self) {
        self.sections.files().release();
        self.sections.split_units().release();
    }

    /// The index of a unit of this debug info.
    pub fn index_of(&self, unit: &Unit<'_>) -> Option<UnitIndex> {
        let here = || self.headers().index_of(unit.header.debug_info_offset()?.0);
        unit.split_index().or_else(here)
    }

    /// The address is in an executable segment. Functions that the linker dropped keep their
    /// debug info, at address 0 or -1.
    pub fn is_text(&self, svma: u64) -> bool {
        svma != 0 && self.text.iter().any(|range| range.contains(&svma))
    }

    /// The unit whose code contains an address, by `.debug_aranges` and, for units that have none
    /// there, by the ranges of the unit's DIE.
    pub fn unit_at(&self, svma: Svma) -> Option<(UnitIndex, &Unit<'_>)> {
        self.units_at(svma).next()
    }

    fn units_at(&self, svma: Svma) -> impl Iterator<Item = (UnitIndex, &Unit<'_>)> {
        let by_address = self.by_address.get_or_init(|| self.unit_ranges());
        let found = by_address.containing(svma.0).map(|(_, index)| *index as UnitIndex);
        found.filter_map(|index| Some((index, self.unit(index)?)))
    }

    /// The concrete subprogram that contains an address, with its unit.
    pub fn function_at(&self, svma: Svma) -> Option<Die<'_>> {
        self.units_at(svma).find_map(|(index, unit)| {
            let offset = self.functions(index)?.at(svma)?;
            Some(self.die(unit, offset))
        })
    }

    /// Where a concrete subprogram is entered: DW_AT_entry_pc, else the start of its first range.
    pub fn entry_of(&self, function: Die<'_>) -> Option<Svma> {
        functions::entry(self, function.unit, function.offset)
    }

    /// The DIE of the concrete subprogram of `unit` that contains an address.
    pub fn subprogram_at(&self, unit: &Unit<'_>, svma: Svma) -> Option<UnitOffset> {
        self.functions(self.index_of(unit)?)?.at(svma)
    }

    /// The concrete functions of a unit.
    pub fn functions(&self, index: UnitIndex) -> Option<&UnitFunctions> {
        let cell = self.functions.get(index)?;
        Some(cell.get_or_init(|| match self.unit(index) {
            Some(unit) => UnitFunctions::read(self, unit),
            None => UnitFunctions::default(),
        }))
    }

    /// What is inlined into the function whose DIE is at `offset`.
    pub fn scopes(&self, index: UnitIndex, offset: UnitOffset) -> Arc<Scopes> {
        let known = |kept: std::sync::MutexGuard<'_, HashMap<_, Arc<Scopes>>>| {
            kept.get(&(index, offset)).cloned()
        };
        if let Some(scopes) = self.scopes.lock().ok().and_then(known) {
            return scopes;
        }
        let scopes = match self.unit(index) {
            Some(unit) => Arc::new(Scopes::read(self, unit, offset)),
            None => Arc::default(),
        };
        if let Ok(mut kept) = self.scopes.lock() {
            if kept.len() >= SCOPES_KEPT {
                kept.clear();
            }
            kept.insert((index, offset), Arc::clone(&scopes));
        }
        scopes
    }

    /// Which namespaces and classes the functions and types of a unit are in.
    pub fn namespaces(&self, index: UnitIndex) -> Arc<Namespaces> {
        self.namespaces.answer(&index.to_string(), || match self.unit(index) {
            Some(unit) => Namespaces::read(self, unit),
            None => Namespaces::default(),
        })
    }

    /// The line table of a unit.
    pub fn lines(&self, index: UnitIndex) -> Option<&UnitLines> {
        let cell = self.lines.get(index)?;
        Some(cell.get_or_init(|| match self.unit(index) {
            Some(unit) => UnitLines::read(self, unit),
            None => UnitLines::default(),
        }))
    }

    /// All functions by name; reads all units the first time.
    pub fn function_index(&self) -> &FunctionIndex {
        self.function_index.get_or_init(|| self.stored(|| FunctionIndex::read(self)))
    }

    /// All source files; reads the headers of all line tables the first time.
    pub fn source_index(&self) -> &SourceIndex {
        self.source_index.get_or_init(|| self.stored(|| SourceIndex::read(self)))
    }

    /// The tables of methods of trait objects; reads all units the first time.
    pub fn vtables(&self) -> &Vtables {
        self.vtables.get_or_init(|| Vtables::read(self))
    }

    /// Where types are defined; reads all units the first time.
    pub fn type_index(&self) -> &TypeIndex {
        self.type_index.get_or_init(|| self.stored(|| TypeIndex::read(self)))
    }

    /// An index that is on disk already, or that is worth to be.
    fn stored<T: Stored>(&self, read: impl Fn() -> T) -> T {
        let fingerprint = self.store.as_ref().and_then(|_| self.sections.fingerprint());
        match self.store.as_ref().zip(fingerprint) {
            Some((store, fingerprint)) if store.pays_for(&fingerprint) => {
                store.get(&fingerprint, read, || self.damaged().is_none())
            }
            _ => read(),
        }
    }

    /// The sites of lines that were asked for.
    pub(super) fn sites(&self) -> &Memo<Sites> {
        &self.sites
    }

    /// A DIE of a unit of `.debug_info`.
    pub fn die<'d>(&'d self, unit: &'d Unit<'d>, offset: UnitOffset) -> Die<'d> {
        Die { part: Part::Main, unit, offset }
    }

    fn unit_ranges(&self) -> RangeMap<u32> {
        let mut ranges = Vec::new();
        let mut listed = vec![false; self.unit_count()];
        let mut headers = self.dwarf().debug_aranges.headers();
        while let Ok(Some(header)) = headers.next() {
            let offset = header.debug_info_offset().0;
            let Some(index) = self.headers().index_of(offset) else { continue };
            let Ok(number) = u32::try_from(index) else { continue };
            let mut entries = header.entries();
            while let Ok(Some(entry)) = entries.next() {
                let range = entry.range();
                if self.is_text(range.begin) {
                    ranges.push((range.begin..range.end, number));
                }
                if let Some(listed) = listed.get_mut(index) {
                    *listed = true;
                }
            }
        }
        let unlisted = (0..self.unit_count()).filter(|index| listed.get(*index) == Some(&false));
        let unlisted: Vec<UnitIndex> = unlisted.collect();
        type Found = Vec<(Range<u64>, u32)>;
        // Each list is one unit's, so there are no more entries than bytes.
        let section = |name| self.sections.files().debug_elf()?.section(name).ok()?;
        let lists = [".debug_ranges", ".debug_rnglists"].into_iter().filter_map(section);
        let bytes: usize = lists.map(<[u8]>::len).sum();
        let left = AtomicUsize::new(bytes + self.unit_count());
        let found = scan::units(self, &unlisted, Read::Root, |found: &mut Found, index, unit| {
            let Ok(number) = u32::try_from(index) else { return };
            let mut entries = unit.entries();
            let Ok(Some(root)) = entries.next_dfs() else { return };
            let value = |name| root.attr_value(name);
            let (low, high) = (value(gimli::DW_AT_low_pc), value(gimli::DW_AT_high_pc));
            let own = Cell::new(left.load(Ordering::Relaxed));
            let ranges = self.each_pc_range(unit, low, high, value(gimli::DW_AT_ranges), &own);
            let before = own.get();
            found.extend(ranges.take(RANGES_MAX).map(|range| (range, number)));
            let read = before - own.get();
            let less = |left: usize| Some(left.saturating_sub(read));
            let _before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        });
        RangeMap::new(ranges.into_iter().chain(found.into_iter().flatten()))
    }

    /// The ranges of code that DW_AT_low_pc, DW_AT_high_pc and DW_AT_ranges give (DWARF 5,
    /// 2.17), without those that the linker dropped.
    pub fn pc_ranges(
        &self,
        unit: &Unit<'_>,
        low: Option<Value<'_>>,
        high: Option<Value<'_>>,
        list: Option<Value<'_>>,
    ) -> Vec<Range<u64>> {
        self.each_pc_range(unit, low, high, list, &Cell::new(RANGES_MAX)).collect()
    }

    /// The same, one by one. What is read of a list is taken off `left`, and no more is read.
    pub(super) fn each_pc_range<'s>(
        &'s self,
        unit: &'s Unit<'s>,
        low: Option<Value<'s>>,
        high: Option<Value<'s>>,
        list: Option<Value<'s>>,
        left: &'s Cell<usize>,
    ) -> impl Iterator<Item = Range<u64>> + 's {
        let mut listed = None;
        let mut single = None;
        if let Some(list) = list {
            listed = unit.dwarf().attr_ranges(unit, list).ok().flatten();
        } else if let Some(Ok(Some(low))) = low.map(|low| unit.dwarf().attr_address(unit, low)) {
            let end = match high {
                Some(AttributeValue::Udata(length)) => low.checked_add(length),
                Some(high) => unit.dwarf().attr_address(unit, high).ok().flatten(),
                None => None,
            };
            single = end.map(|end| low..end);
        }
        let step = || {
            let less = left.get().checked_sub(1).ok_or(gimli::Error::UnsupportedOffset)?;
            left.set(less);
            Ok::<(), gimli::Error>(())
        };
        let listed = std::iter::from_fn(move || {
            let range = lists::next_range(listed.as_mut()?, step).ok().flatten()?;
            Some(range.begin..range.end)
        });
        let ranges = single.into_iter().chain(listed);
        ranges.filter(|range| !range.is_empty() && self.is_text(range.start))
    }
}
