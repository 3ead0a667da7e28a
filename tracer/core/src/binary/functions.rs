//! Functions in DWARF: where their code is, what they are called, what is inlined into them.

use super::demangle;
use super::dwarf::{DebugInfo, Die, Unit, Value};
use super::entries::{Walk, walk};
use super::lines;
use super::range_map::RangeMap;
use super::sections::{Part, SharedUnit};
use super::strings::{self, Text};
use crate::model::address::Svma;
use crate::model::resolved::SourceLine;
use gimli::{AttributeValue, DebugInfoOffset, UnitOffset};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of the file that are mapped for the names of a function.
const NAME_PAGES_BYTES: usize = 32 << 10;
/// References that are followed in a row (DW_AT_abstract_origin, DW_AT_specification).
pub(super) const REFERENCES_MAX: usize = 64;
/// Scopes of one function, at most; more only in a hostile file.
const SCOPES_MAX: usize = 1 << 16;
/// Ranges of a unit's functions, or of one function's scopes, at most.
const RANGES_MAX: usize = 1 << 20;

/// The functions of a unit that have code.
#[derive(Debug)]
pub struct UnitFunctions {
    by_address: RangeMap<UnitOffset>,
}

impl Default for UnitFunctions {
    fn default() -> Self {
        Self { by_address: RangeMap::new([]) }
    }
}

impl UnitFunctions {
    pub(super) fn read(info: &DebugInfo, unit: &Unit<'_>) -> Self {
        let mut ranges = Vec::new();
        // What follows a malformed entry is lost; what came before it is right.
        let _ended: Result<(), gimli::Error> = walk(unit, None, |entry| {
            if entry.tag == gimli::DW_TAG_subprogram {
                let offset = entry.offset;
                ranges.extend(entry.ranges(info).into_iter().map(|range| (range, offset)));
                ranges.truncate(RANGES_MAX);
            }
            Walk::Into
        });
        Self { by_address: RangeMap::new(ranges) }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.by_address.bytes()
    }

    /// The DIEs of the functions.
    pub fn offsets(&self) -> BTreeSet<UnitOffset> {
        self.by_address.iter().map(|(_, offset)| *offset).collect()
    }

    /// The innermost function that contains an address.
    pub fn at(&self, svma: Svma) -> Option<UnitOffset> {
        self.by_address.containing(svma.0).next().map(|(_, offset)| *offset)
    }

    /// The part of a function that contains an address: functions may be split into hot and cold
    /// parts.
    pub fn part_at(&self, svma: Svma) -> Option<Range<Svma>> {
        let (range, _) = self.by_address.containing(svma.0).next()?;
        Some(Svma(range.start)..Svma(range.end))
    }
}

/// What a function is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FunctionName<'a> {
    /// DW_AT_linkage_name: mangled.
    pub linkage: Option<&'a [u8]>,
    /// DW_AT_name: without its scope.
    pub plain: Option<&'a [u8]>,
}

impl<'a> FunctionName<'a> {
    /// The name that people ask for it by: mangled, else plain. (GCC also gives names such as
    /// `f.isra.0` as linkage names.)
    pub fn searched(&self) -> Option<&'a [u8]> {
        self.linkage.filter(|name| demangle::is_mangled(name)).or(self.plain).or(self.linkage)
    }

    /// The name for people: demangled, else plain.
    pub fn display(&self) -> Option<String> {
        let demangled = self.linkage.and_then(demangle::demangle);
        let raw = || self.plain.or(self.linkage);
        demangled.or_else(|| raw().map(|name| String::from_utf8_lossy(name).into_owned()))
    }
}

/// What a function's DIE says of its source, itself or where it refers to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Declaration<'a> {
    /// Its name.
    pub name: FunctionName<'a>,
    /// Where it is declared.
    pub line: Option<SourceLine>,
    /// The column of that, from 1; 0 where the compiler gives none.
    pub column: u64,
    /// The namespaces and classes that it is in, where its name does not say so.
    pub path: Option<Arc<str>>,
}

impl Declaration<'_> {
    /// The name for people: demangled, else plain with what it is in.
    pub fn display(&self) -> Option<String> {
        let name = self.name.display()?;
        Some(match &self.path {
            Some(path) => format!("{path}::{name}"),
            None => name,
        })
    }
}

/// Reads the name and place of a subprogram or inlined subroutine through
/// DW_AT_abstract_origin and DW_AT_specification.
pub fn declaration<'a>(info: &'a DebugInfo, die: Die<'_>) -> Declaration<'a> {
    let mut said = Said::default();
    let mut elsewhere: Option<SharedUnit> = None;
    let (mut part, mut offset) = (die.part, die.offset);
    for _ in 0..REFERENCES_MAX {
        let unit = elsewhere.as_ref().map_or(die.unit, SharedUnit::get);
        match said.add(info, part, unit, offset) {
            Some(AttributeValue::UnitRef(next)) => offset = next,
            Some(AttributeValue::DebugInfoRef(next)) => {
                let place = unit.place_of(next);
                let Some((unit, next)) = place.and_then(|at| info.shared_unit(part, at)) else {
                    break;
                };
                (elsewhere, offset) = (Some(unit), next);
            }
            Some(AttributeValue::DebugInfoRefSup(DebugInfoOffset(next))) => {
                let Some((unit, next)) = info.shared_unit(Part::Supplementary, next) else { break };
                (elsewhere, part, offset) = (Some(unit), Part::Supplementary, next);
            }
            _ => break,
        }
    }
    info.touched(NAME_PAGES_BYTES);
    let path = said.path(info);
    let text = |text: Option<Text>| strings::read(info, text?);
    Declaration {
        name: FunctionName { linkage: text(said.linkage), plain: text(said.plain) },
        line: said.file.flatten().zip(said.line).map(|(file, line)| SourceLine { file, line }),
        column: said.column.unwrap_or(0),
        path,
    }
}

/// What DIEs say of a function, the nearest first.
#[derive(Default)]
struct Said {
    linkage: Option<Text>,
    plain: Option<Text>,
    /// The path, where it can be told.
    file: Option<Option<String>>,
    line: Option<u64>,
    column: Option<u64>,
    /// Which DIE of the file itself has the plain name: its unit by its offset in the section.
    named: Option<(usize, UnitOffset)>,
}

impl Said {
    fn path(&self, info: &DebugInfo) -> Option<Arc<str>> {
        let linkage = self.linkage.and_then(|linkage| strings::read(info, linkage));
        let (unit, offset) = self.named.filter(|_| !linkage.is_some_and(demangle::is_mangled))?;
        info.namespaces(info.unit_of(Part::Main, unit)?).path(offset).cloned()
    }

    /// Adds what one DIE says; gives what it refers to for the rest.
    fn add<'u>(
        &mut self,
        info: &DebugInfo,
        part: Part,
        unit: &Unit<'u>,
        offset: UnitOffset,
    ) -> Option<Value<'u>> {
        let entry = unit.entry(offset).ok()?;
        let mut reference = None;
        for attribute in entry.attrs() {
            let value = attribute.value();
            let text = || strings::of(info, part, unit, Some(value)).some();
            match (attribute.name(), value) {
                (gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name, _) => {
                    self.linkage = self.linkage.or_else(text);
                }
                (gimli::DW_AT_name, _) if self.plain.is_none() => {
                    self.plain = text();
                    let here = (unit.start(), offset);
                    self.named = Some(here).filter(|_| part == Part::Main);
                }
                (gimli::DW_AT_decl_file, AttributeValue::FileIndex(index)) => {
                    let path = || Some(lines::path_of(unit, index));
                    self.file = self.file.take().or_else(path);
                }
                (gimli::DW_AT_decl_line, _) => self.line = self.line.or(attribute.udata_value()),
                (gimli::DW_AT_decl_column, _) => {
                    self.column = self.column.or(attribute.udata_value());
                }
                (gimli::DW_AT_abstract_origin | gimli::DW_AT_specification, value) => {
                    reference = Some(value);
                }
                _ => {}
            }
        }
        reference
    }
}

/// A function or a function inlined into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// Its DIE.
    pub offset: UnitOffset,
    /// The scope it is inlined into; `None` for the function itself, which is the first scope.
    pub parent: Option<usize>,
    /// Where its code is.
    pub ranges: Vec<Range<u64>>,
    /// File (index in the unit's line table) and line of the call that was inlined.
    pub call: Option<(u64, u64)>,
    /// DW_AT_entry_pc, else the start of the first range.
    pub entry: Option<u64>,
    /// The entry is DW_AT_entry_pc.
    pub is_stated: bool,
}

/// A function and what is inlined into it.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    /// Outer scopes before inner ones; the first is the function itself.
    pub list: Vec<Scope>,
    /// From each address on, the innermost scope.
    innermost: Vec<(u64, Option<usize>)>,
}

impl Scopes {
    /// Reads the function whose DIE is at `offset`.
    pub fn read(info: &DebugInfo, unit: &Unit<'_>, offset: UnitOffset) -> Self {
        let list = scopes(info, unit, offset);
        let innermost = innermost(&list);
        Self { list, innermost }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let ranges: usize = self.list.iter().map(|scope| scope.ranges.capacity()).sum();
        self.list.capacity() * size_of::<Scope>()
            + ranges * size_of::<Range<u64>>()
            + self.innermost.capacity() * size_of::<(u64, Option<usize>)>()
    }

    /// The scopes that an address is in, innermost first; indices into `list`.
    pub fn at(&self, svma: Svma) -> Vec<usize> {
        let after = self.innermost.partition_point(|(start, _)| *start <= svma.0);
        let last = after.checked_sub(1).and_then(|index| self.innermost.get(index));
        let mut next = last.and_then(|(_, scope)| *scope);
        let mut chain = Vec::new();
        // A parent comes before its children, so this ends.
        while let Some(index) = next {
            chain.push(index);
            next = self.list.get(index).and_then(|scope| scope.parent).filter(|p| *p < index);
        }
        chain
    }
}

/// Where a function is entered: DW_AT_entry_pc, else the start of its first range.
pub(super) fn entry(info: &DebugInfo, unit: &Unit<'_>, offset: UnitOffset) -> Option<Svma> {
    let mut found = None;
    let _ended: Result<(), gimli::Error> = walk(unit, Some(offset), |entry| {
        if entry.offset == offset {
            let first = || entry.ranges(info).first().map(|range| range.start);
            found = entry.entry_pc().or_else(first).map(Svma);
        }
        Walk::Over
    });
    found
}

fn scopes(info: &DebugInfo, unit: &Unit<'_>, offset: UnitOffset) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut range_count = 0;
    // What follows a malformed entry is lost; what came before it is right.
    let _ended: Result<(), gimli::Error> = walk(unit, Some(offset), |entry| {
        // A function inside a function has its own code.
        let is_root = scopes.is_empty();
        let is_full = scopes.len() >= SCOPES_MAX || range_count >= RANGES_MAX;
        if is_root != (entry.tag == gimli::DW_TAG_subprogram) || is_full {
            return Walk::Over;
        }
        open.truncate(entry.nesting);
        let parent = open.last().copied();
        open.push(scopes.len());
        let ranges = entry.ranges(info);
        let first = ranges.first().map(|range| range.start);
        let stated = entry.entry_pc().filter(|pc| info.is_text(*pc));
        range_count += ranges.len();
        scopes.push(Scope {
            offset: entry.offset,
            parent,
            call: entry.call_line(),
            entry: stated.or(first),
            is_stated: stated.is_some(),
            ranges,
        });
        Walk::Into
    });
    scopes
}

/// The subprograms into which a call is inlined whose place, file (index in the unit's line table)
/// and line, is one of some.
pub(super) fn calling(
    unit: &Unit<'_>,
    is_place: &dyn Fn((u64, u64)) -> bool,
) -> BTreeSet<UnitOffset> {
    let mut found = BTreeSet::new();
    // For each entry around the next one, the subprogram that it is or is in.
    let mut open: Vec<Option<UnitOffset>> = Vec::new();
    // What follows a malformed entry is lost; what came before it is right.
    let _ended: Result<(), gimli::Error> = walk(unit, None, |entry| {
        open.truncate(entry.nesting);
        let mut subprogram = open.last().copied().flatten();
        if entry.tag == gimli::DW_TAG_subprogram {
            subprogram = Some(entry.offset);
        } else if entry.call_line().is_some_and(is_place) {
            found.extend(subprogram);
        }
        open.push(subprogram);
        Walk::Into
    });
    found
}

/// Flattens nested ranges: inner scopes come later in the list, so the highest index wins.
fn innermost(scopes: &[Scope]) -> Vec<(u64, Option<usize>)> {
    let mut edges = Vec::new();
    for (index, scope) in scopes.iter().enumerate() {
        for range in &scope.ranges {
            edges.push((range.start, true, index));
            edges.push((range.end, false, index));
        }
    }
    edges.sort_unstable();
    let mut open: BTreeMap<usize, u32> = BTreeMap::new();
    let mut flat: Vec<(u64, Option<usize>)> = Vec::new();
    for (address, opens, index) in edges {
        let count = open.entry(index).or_insert(0);
        if opens {
            *count += 1;
        } else if *count > 1 {
            *count -= 1;
        } else {
            open.remove(&index);
        }
        let top = open.last_key_value().map(|(index, _)| *index);
        match flat.last_mut() {
            Some((last, scope)) if *last == address => *scope = top,
            _ => flat.push((address, top)),
        }
    }
    flat
}

/// The unit's DIE is DW_TAG_compile_unit, the only kind that has code, or stands for one that is
/// split.
pub fn is_compile_unit(unit: &Unit<'_>) -> bool {
    let root = unit.entries_raw(None).and_then(|mut entries| entries.read_abbreviation());
    let kinds = [gimli::DW_TAG_compile_unit, gimli::DW_TAG_skeleton_unit];
    root.is_ok_and(|root| root.is_some_and(|root| kinds.contains(&root.tag())))
}
