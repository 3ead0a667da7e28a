//! DWARF sections of a file, and its units.

use super::elf::ElfFile;
use super::functions::{self, Scopes, UnitFunctions};
use super::line_header;
use super::lines::UnitLines;
use super::range_map::RangeMap;
use crate::model::address::Svma;
use crate::model::issue::{Issue, IssueKind};
use gimli::{AttributeValue, DebugInfoOffset, UnitOffset, UnitSectionOffset};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

/// How DWARF is read: slices of the mapped or decompressed sections, little-endian.
pub type Reader<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;
/// All sections of a file, with the supplementary (dwz) file's where there is one.
pub type Dwarf<'a> = gimli::Dwarf<Reader<'a>>;
/// A unit with its abbreviations and line program.
pub type Unit<'a> = gimli::Unit<Reader<'a>>;
/// The value of an attribute.
pub type Value<'a> = AttributeValue<Reader<'a>>;

/// Ranges of one DW_AT_ranges that are read, at most; a unit may have one for each function.
const RANGES_MAX: usize = 1 << 16;
/// Functions whose inlined copies are remembered.
const SCOPES_KEPT: usize = 4096;

/// Index of a unit in [`DebugInfo`].
pub type UnitIndex = usize;

/// The debug info of a file: all of it is read on demand and kept.
#[derive(Debug)]
pub struct DebugInfo<'a> {
    dwarf: Dwarf<'a>,
    units: Units<'a>,
    supplementary: Option<Units<'a>>,
    text: Vec<Range<u64>>,
    by_address: OnceLock<RangeMap<UnitIndex>>,
    functions: Box<[OnceLock<UnitFunctions>]>,
    lines: Box<[OnceLock<UnitLines>]>,
    scopes: Mutex<HashMap<(UnitIndex, UnitOffset), Arc<Scopes>>>,
}

/// A DIE and the unit it is in, which may be in the supplementary file.
#[derive(Clone, Copy, Debug)]
pub struct Die<'d, 'a> {
    /// The sections of the file that it is in.
    pub dwarf: &'d Dwarf<'a>,
    /// The units of that file.
    pub(super) units: &'d Units<'a>,
    /// Its unit.
    pub unit: &'d Unit<'a>,
    /// Where it is in the unit.
    pub offset: UnitOffset,
}

impl<'a> DebugInfo<'a> {
    /// Reads the unit headers of `debug`, whose addresses are those of `binary`.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`].
    pub fn load(
        debug: &'a ElfFile,
        supplementary: Option<&'a ElfFile>,
        binary: &ElfFile,
    ) -> Result<Self, Issue> {
        let mut dwarf = sections(debug)?;
        let units = Units::list(&dwarf, debug)?;
        let mut supplementary_units = None;
        if let Some(file) = supplementary {
            let sections = sections(file)?;
            supplementary_units = Some(Units::list(&sections, file)?);
            dwarf.set_sup(sections);
        }
        // Units of a file that dwz has worked on share their abbreviations.
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        let text = binary.segments().iter().filter(|segment| segment.execute);
        let count = units.headers.len();
        Ok(Self {
            dwarf,
            units,
            supplementary: supplementary_units,
            text: text.map(|segment| segment.file_range()).collect(),
            by_address: OnceLock::new(),
            functions: (0..count).map(|_| OnceLock::new()).collect(),
            lines: (0..count).map(|_| OnceLock::new()).collect(),
            scopes: Mutex::default(),
        })
    }

    /// The sections.
    pub fn dwarf(&self) -> &Dwarf<'a> {
        &self.dwarf
    }

    #[cfg(test)]
    pub(crate) fn into_dwarf(self) -> Dwarf<'a> {
        self.dwarf
    }

    /// How many units there are in `.debug_info`.
    pub fn unit_count(&self) -> usize {
        self.units.headers.len()
    }

    /// A unit; `None` where it is malformed.
    pub fn unit(&self, index: UnitIndex) -> Option<&Unit<'a>> {
        self.units.get(&self.dwarf, index)
    }

    /// All well-formed units.
    pub fn units(&self) -> impl Iterator<Item = (UnitIndex, &Unit<'a>)> {
        (0..self.unit_count()).filter_map(|index| Some((index, self.unit(index)?)))
    }

    /// Units that were looked at so far and are malformed.
    pub fn malformed_units(&self) -> usize {
        let units = [Some(&self.units), self.supplementary.as_ref()];
        let cells = units.into_iter().flatten().flat_map(|units| &units.cells);
        cells.filter(|cell| matches!(cell.get(), Some(None))).count()
    }

    /// The units of the supplementary file, with its sections.
    pub fn supplementary_units(&self) -> impl Iterator<Item = (&Dwarf<'a>, &Unit<'a>)> {
        let file = self.dwarf.sup().zip(self.supplementary.as_ref());
        file.into_iter().flat_map(|(dwarf, units)| {
            (0..units.headers.len())
                .filter_map(move |index| Some((dwarf, units.get(dwarf, index)?)))
        })
    }

    /// The index of a unit of this debug info.
    pub fn index_of(&self, unit: &Unit<'a>) -> Option<UnitIndex> {
        self.units.index_of(unit.header.debug_info_offset()?)
    }

    /// The address is in an executable segment. Functions that the linker dropped keep their
    /// debug info, at address 0 or -1.
    pub fn is_text(&self, svma: u64) -> bool {
        svma != 0 && self.text.iter().any(|range| range.contains(&svma))
    }

    /// The unit whose code contains an address, by `.debug_aranges` and, for units that have none
    /// there, by the ranges of the unit's DIE.
    pub fn unit_at(&self, svma: Svma) -> Option<(UnitIndex, &Unit<'a>)> {
        self.units_at(svma).next()
    }

    fn units_at(&self, svma: Svma) -> impl Iterator<Item = (UnitIndex, &Unit<'a>)> {
        let by_address = self.by_address.get_or_init(|| self.unit_ranges());
        let found = by_address.containing(svma.0);
        found.filter_map(|(_, index)| Some((*index, self.unit(*index)?)))
    }

    /// The concrete subprogram that contains an address, with its unit.
    pub fn function_at(&self, svma: Svma) -> Option<Die<'_, 'a>> {
        self.units_at(svma).find_map(|(index, unit)| {
            let offset = self.functions(index)?.at(svma)?;
            Some(self.die(unit, offset))
        })
    }

    /// Where a concrete subprogram is entered: DW_AT_entry_pc, else the start of its first range.
    pub fn entry_of(&self, function: Die<'_, 'a>) -> Option<Svma> {
        functions::entry(self, function.unit, function.offset)
    }

    /// The DIE of the concrete subprogram of `unit` that contains an address.
    pub fn subprogram_at(&self, unit: &Unit<'a>, svma: Svma) -> Option<UnitOffset> {
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

    /// The line table of a unit.
    pub fn lines(&self, index: UnitIndex) -> Option<&UnitLines> {
        let cell = self.lines.get(index)?;
        Some(cell.get_or_init(|| match self.unit(index) {
            Some(unit) => UnitLines::read(self, unit),
            None => UnitLines::default(),
        }))
    }

    /// A DIE of a unit of `.debug_info`.
    pub fn die<'d>(&'d self, unit: &'d Unit<'a>, offset: UnitOffset) -> Die<'d, 'a> {
        Die { dwarf: &self.dwarf, units: &self.units, unit, offset }
    }

    /// The DIE that an attribute of `from` refers to, in this unit, in another one, or in the
    /// supplementary file.
    pub fn follow<'d>(&'d self, from: Die<'d, 'a>, value: Value<'a>) -> Option<Die<'d, 'a>> {
        match value {
            AttributeValue::UnitRef(offset) => Some(Die { offset, ..from }),
            AttributeValue::DebugInfoRef(offset) => Self::die_in(from.dwarf, from.units, offset),
            AttributeValue::DebugInfoRefSup(offset) => {
                Self::die_in(self.dwarf.sup()?, self.supplementary.as_ref()?, offset)
            }
            _ => None,
        }
    }

    fn die_in<'d>(
        dwarf: &'d Dwarf<'a>,
        units: &'d Units<'a>,
        offset: DebugInfoOffset,
    ) -> Option<Die<'d, 'a>> {
        let unit = units.get(dwarf, units.index_of(offset)?)?;
        let offset = UnitSectionOffset(offset.0).to_unit_offset(&unit.header)?;
        Some(Die { dwarf, units, unit, offset })
    }

    fn unit_ranges(&self) -> RangeMap<UnitIndex> {
        let mut ranges = Vec::new();
        let mut listed = vec![false; self.unit_count()];
        let mut headers = self.dwarf.debug_aranges.headers();
        while let Ok(Some(header)) = headers.next() {
            let Some(index) = self.units.index_of(header.debug_info_offset()) else { continue };
            let mut entries = header.entries();
            while let Ok(Some(entry)) = entries.next() {
                ranges.push((entry.range().begin..entry.range().end, index));
                if let Some(listed) = listed.get_mut(index) {
                    *listed = true;
                }
            }
        }
        let unlisted = listed.iter().enumerate().filter(|(_, listed)| !**listed);
        for (index, _) in unlisted {
            let Some(unit) = self.unit(index) else { continue };
            let Ok(mut iter) = self.dwarf.unit_ranges(unit) else { continue };
            for _ in 0..RANGES_MAX {
                let Ok(Some(range)) = iter.next() else { break };
                ranges.push((range.begin..range.end, index));
            }
        }
        RangeMap::new(ranges.into_iter().filter(|(range, _)| self.is_text(range.start)))
    }

    /// The ranges of code that DW_AT_low_pc, DW_AT_high_pc and DW_AT_ranges give (DWARF 5,
    /// 2.17), without those that the linker dropped.
    pub fn pc_ranges(
        &self,
        unit: &Unit<'a>,
        low: Option<Value<'a>>,
        high: Option<Value<'a>>,
        list: Option<Value<'a>>,
    ) -> Vec<Range<u64>> {
        let mut ranges = Vec::new();
        if let Some(list) = list {
            let Ok(Some(mut iter)) = self.dwarf.attr_ranges(unit, list) else { return ranges };
            while ranges.len() < RANGES_MAX {
                let Ok(Some(range)) = iter.next() else { break };
                ranges.push(range.begin..range.end);
            }
        } else if let Some(Ok(Some(low))) = low.map(|low| self.dwarf.attr_address(unit, low)) {
            let end = match high {
                Some(AttributeValue::Udata(length)) => low.checked_add(length),
                Some(high) => self.dwarf.attr_address(unit, high).ok().flatten(),
                None => None,
            };
            ranges.extend(end.map(|end| low..end));
        }
        ranges.retain(|range| !range.is_empty() && self.is_text(range.start));
        ranges
    }
}

/// The units of a file.
#[derive(Debug)]
pub(super) struct Units<'a> {
    headers: Vec<gimli::UnitHeader<Reader<'a>>>,
    cells: Box<[OnceLock<Option<Unit<'a>>>]>,
}

impl<'a> Units<'a> {
    fn list(dwarf: &Dwarf<'a>, file: &ElfFile) -> Result<Self, Issue> {
        let mut iter = dwarf.units();
        let mut headers = Vec::new();
        loop {
            match iter.next() {
                Ok(Some(header)) => headers.push(header),
                Ok(None) => break,
                Err(error) => {
                    return Err(malformed(file, format!("unit {}: {error}", headers.len())));
                }
            }
        }
        let cells = headers.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { headers, cells })
    }

    fn get(&self, dwarf: &Dwarf<'a>, index: UnitIndex) -> Option<&Unit<'a>> {
        let header = self.headers.get(index)?;
        let read = || line_header::is_bounded(dwarf, header).then(|| dwarf.unit(*header).ok())?;
        self.cells.get(index)?.get_or_init(read).as_ref()
    }

    /// The unit that holds an offset of `.debug_info`.
    fn index_of(&self, offset: DebugInfoOffset) -> Option<UnitIndex> {
        let after = self.headers.partition_point(|header| header.offset().0 <= offset.0);
        let index = after.checked_sub(1)?;
        let header = self.headers.get(index)?;
        let end = header.offset().0.checked_add(header.length_including_self())?;
        (offset.0 < end).then_some(index)
    }
}

fn sections<'a>(file: &'a ElfFile) -> Result<Dwarf<'a>, Issue> {
    gimli::Dwarf::load(|id| {
        let bytes = file.section(id.name()).map_err(|why| malformed(file, why))?;
        Ok(gimli::EndianSlice::new(bytes.unwrap_or_default(), gimli::LittleEndian))
    })
}

fn malformed(file: &ElfFile, detail: String) -> Issue {
    Issue::new(IssueKind::MalformedFile, file.path().display().to_string(), detail)
}
