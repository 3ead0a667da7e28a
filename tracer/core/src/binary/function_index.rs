//! All functions of a file's debug info, with their inlined copies, by name.
//!
//! Inlined copies can only be found by reading every unit. Of that no more is kept than, for each
//! name, where its DIEs are: the rest is read from there when it is asked for, and what does not
//! bear the name after all is left out.

use super::demangle;
use super::dwarf::{DebugInfo, Unit, UnitIndex};
use super::entries::{Walk, walk};
use super::function_names::{Described, Elsewhere, Key, Place, Reference, place};
use super::function_scan::{Scanned, scan};
use super::functions::FunctionName;
use super::index_file::{IndexFile, Kind, Table};
use super::index_store::Stored;
use super::memo::Memo;
use super::scan;
use super::sections::Part;
use super::strings;
use crate::model::address::Svma;
use gimli::UnitOffset;
use std::collections::HashMap;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Names that a thread compares at once.
const NAMES_AT_ONCE: usize = 4096;
/// Bytes of the file that are mapped for each linkage name, in whose order names are.
const NAME_BYTES: usize = 1024;
/// The same for the plain names, which may be anywhere.
const PLAIN_NAME_BYTES: usize = 32 << 10;

/// Code of a function, its own or inlined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionCode {
    /// Its unit.
    pub unit: UnitIndex,
    /// Its DIE: DW_TAG_subprogram or DW_TAG_inlined_subroutine.
    pub offset: UnitOffset,
    /// Where it is entered.
    pub entry: Svma,
    /// It is a copy inlined into another function.
    pub inlined: bool,
}

/// A name in a [`FunctionIndex`].
pub type NameIndex = usize;

/// The functions of a file.
#[derive(Debug)]
pub struct FunctionIndex {
    names: Table<Name>,
    /// Offsets of DIEs in `.debug_info`, by name and offset; each as the distance from the one
    /// before, as ULEB128.
    code: Table<u8>,
    questions: Memo<Vec<NameIndex>>,
}

/// A name of functions.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Name {
    key: Key,
    /// Where the list of its code ends; it starts where that of the name before ends.
    end: u64,
}

impl FunctionIndex {
    /// Reads all units.
    pub(super) fn read(info: &DebugInfo) -> Self {
        let Scanned { keys, ends, code: offsets } = scan(info);
        let (mut names, mut code) = (Vec::with_capacity(keys.len()), Vec::new());
        let mut start = 0;
        for (key, end) in keys.into_iter().zip(ends) {
            let mut last = 0;
            for offset in offsets.get(start..end).unwrap_or_default() {
                write_uleb128(&mut code, offset - last);
                last = *offset;
            }
            start = end;
            names.push(Name { key, end: code.len() as u64 });
        }
        code.shrink_to_fit();
        Self { names: Table::Built(names), code: Table::Built(code), questions: Memo::default() }
    }

    /// All names.
    pub fn names<'i>(
        &'i self,
        info: &'i DebugInfo,
    ) -> impl Iterator<Item = (NameIndex, FunctionName<'i>)> {
        self.names.iter().enumerate().map(|(index, name)| {
            info.touched(PLAIN_NAME_BYTES);
            (index, read_name(info, name.key))
        })
    }

    /// All names as they are searched for.
    pub fn searched<'i>(&'i self, info: &'i DebugInfo) -> impl Iterator<Item = &'i [u8]> {
        self.names.iter().filter_map(|name| {
            info.touched(NAME_BYTES);
            searched(info, name.key)
        })
    }

    /// The name of an index.
    pub fn name<'i>(&self, info: &'i DebugInfo, index: NameIndex) -> FunctionName<'i> {
        self.names.get(index).map(|name| read_name(info, name.key)).unwrap_or_default()
    }

    /// The names that `fits`, as they are searched for; it only depends on `question` and the
    /// name, and if asked again it is not called again.
    pub fn matching(
        &self,
        info: &DebugInfo,
        question: &str,
        fits: impl Fn(&[u8]) -> bool + Sync,
    ) -> Arc<Vec<NameIndex>> {
        self.questions.answer(question, || {
            let starts: Vec<NameIndex> = (0..self.names.len()).step_by(NAMES_AT_ONCE).collect();
            let found = scan::each(&starts, |found: &mut Vec<NameIndex>, start| {
                let names = self.names.iter().enumerate().skip(*start).take(NAMES_AT_ONCE);
                let fitting = names.filter(|(_, name)| searched(info, name.key).is_some_and(&fits));
                found.extend(fitting.map(|(index, _)| index));
                info.touched(NAMES_AT_ONCE * NAME_BYTES);
            });
            let mut found = found.concat();
            found.sort_unstable();
            self.names.release();
            found
        })
    }

    /// The code of the functions of a name, by DIE.
    pub fn code(&self, info: &DebugInfo, index: NameIndex) -> Vec<FunctionCode> {
        let Some(name) = self.names.get(index) else { return Vec::new() };
        let before = index.checked_sub(1).and_then(|before| self.names.get(before));
        let start = before.map_or(0, |before| before.end);
        let list = usize::try_from(start).ok().zip(usize::try_from(name.end).ok());
        let wanted = read_name(info, name.key);
        let mut reader = CodeReader { info, unit: None, elsewhere: HashMap::new() };
        let list = list.and_then(|(start, end)| self.code.get(start..end));
        let mut code = list.unwrap_or_default();
        let mut offset = 0_usize;
        let mut found = Vec::new();
        while let Some(distance) = read_uleb128(&mut code) {
            let Some(next) = usize::try_from(distance).ok().and_then(|d| offset.checked_add(d))
            else {
                break;
            };
            offset = next;
            found.extend(reader.at(offset, wanted));
        }
        found
    }

    /// All code with its name.
    pub fn iter<'i>(
        &'i self,
        info: &'i DebugInfo,
    ) -> impl Iterator<Item = (FunctionCode, FunctionName<'i>)> {
        self.names(info).flat_map(move |(index, name)| {
            self.code(info, index).into_iter().map(move |code| (code, name))
        })
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.names.bytes()
            + self.code.bytes()
            + self.questions.bytes(|names| names.capacity() * size_of::<NameIndex>())
    }
}

impl Stored for FunctionIndex {
    const KIND: Kind = Kind::Functions;

    fn tables(&self) -> [&[u8]; 3] {
        [self.names.as_bytes(), &self.code, &[]]
    }

    fn parse(file: &Arc<IndexFile>) -> Option<Self> {
        let (names, code) = (Table::<Name>::on_disk(file, 0)?, Table::on_disk(file, 1)?);
        let fits = names.is_sorted_by_key(|name| name.end)
            && names.last().map_or(0, |last| last.end) == code.len() as u64;
        names.release();
        fits.then_some(Self { names, code, questions: Memo::default() })
    }
}

fn read_name(info: &DebugInfo, key: Key) -> FunctionName<'_> {
    FunctionName {
        linkage: strings::read(info, key.linkage),
        plain: strings::read(info, key.plain),
    }
}

/// [`FunctionName::searched`], with no look at a name that does not count.
fn searched(info: &DebugInfo, key: Key) -> Option<&[u8]> {
    let linkage = strings::read(info, key.linkage);
    let plain = || strings::read(info, key.plain);
    linkage.filter(|name| demangle::is_mangled(name)).or_else(plain).or(linkage)
}

/// Reads the DIEs of an index.
struct CodeReader<'d> {
    info: &'d DebugInfo,
    /// The last one.
    unit: Option<(UnitIndex, Unit<'d>)>,
    /// What other units say.
    elsewhere: HashMap<Reference, Elsewhere>,
}

impl CodeReader<'_> {
    /// The DIE at an offset of `.debug_info`, if it is code that bears the name.
    fn at(&mut self, offset: usize, wanted: FunctionName<'_>) -> Option<FunctionCode> {
        let info = self.info;
        let index = info.unit_of(Part::Main, offset)?;
        if self.unit.as_ref().is_none_or(|(last, _)| *last != index) {
            self.unit = info.read_bare_unit(Part::Main, index).map(|unit| (index, unit));
        }
        let (_, unit) = self.unit.as_ref()?;
        let offset = UnitOffset(offset.checked_sub(unit.start())?);
        let mut found = None;
        let _ended: Result<(), gimli::Error> = walk(unit, Some(offset), |entry| {
            if entry.offset == offset
                && let Some(first) = entry.first_address(info)
            {
                let start = entry.entry_pc().filter(|pc| info.is_text(*pc));
                let inlined = entry.tag == gimli::DW_TAG_inlined_subroutine;
                let entry_pc = Svma(start.unwrap_or(first));
                let call = place(entry, gimli::DW_AT_call_line, gimli::DW_AT_call_column);
                let code = FunctionCode { unit: index, offset, entry: entry_pc, inlined };
                found = Some((code, call));
            }
            Walk::Over
        });
        let (code, call) = found?;
        let mut described = Described::of(info, Part::Main, unit, offset);
        if let Some(rest) = described.rest {
            let elsewhere = self.elsewhere.entry(rest);
            let elsewhere = elsewhere.or_insert_with(|| Elsewhere::read(info, [rest]));
            described = elsewhere.complete(described);
        }
        let is_rest = code.inlined && is_rest(described.place, call);
        (read_name(info, described.key) == wanted && !is_rest).then_some(code)
    }
}

/// GCC may inline the beginning of a function and then the rest of it as if called from where the
/// function is declared. That rest is not entered by calls.
fn is_rest(declared: Option<Place>, call: Option<Place>) -> bool {
    declared.is_some() && declared == call
}

fn write_uleb128(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

/// Takes a number off the front; `None` at the end, and for one that has none or is too large.
fn read_uleb128(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
