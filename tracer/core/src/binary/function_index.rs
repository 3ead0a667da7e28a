//! All functions of a file's debug info, with their inlined copies, by name.
//!
//! Inlined copies can only be found by reading every unit, so that is done once, in parallel, and
//! only the names and addresses are kept.

use super::dwarf::{DebugInfo, Dwarf, Unit, UnitIndex};
use super::functions::{self, Entry, FunctionName, Walk};
use crate::model::address::Svma;
use gimli::{AttributeValue, UnitOffset};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that read at once.
const THREADS_MAX: usize = 8;

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
    /// Line and column of the call that was inlined.
    call: Option<(u64, u64)>,
    /// The subprogram that names it: itself, or the one that was inlined.
    subprogram: Option<Reference>,
}

/// The offset of a DIE in `.debug_info`, with [`SUPPLEMENTARY`] for that of the supplementary
/// file.
type Reference = u64;

/// Marks offsets in the supplementary file; no section is as large.
const SUPPLEMENTARY: u64 = 1 << 63;

/// The functions of a file.
#[derive(Debug, Default)]
pub struct FunctionIndex<'a> {
    /// Every subprogram DIE by reference.
    names: Vec<Named<'a>>,
    code: Vec<FunctionCode>,
}

#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    reference: Reference,
    name: FunctionName<'a>,
    /// Line and column of the declaration.
    place: Option<(u64, u64)>,
    /// What it refers to for the rest: DW_AT_abstract_origin or DW_AT_specification.
    origin: Option<Reference>,
}

impl<'a> FunctionIndex<'a> {
    /// Reads all units.
    pub fn read(info: &DebugInfo<'a>) -> Self {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(UnitIndex, Self)>> = Mutex::default();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= info.unit_count() {
                    break;
                }
                let Some(unit) = info.unit(index) else { continue };
                let part = Self::read_unit(info, unit, index);
                if let Ok(mut done) = done.lock() {
                    done.push((index, part));
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut parts = done.into_inner().unwrap_or_default();
        parts.sort_by_key(|(index, _)| *index);
        let mut all = Self::default();
        for (_, part) in parts {
            all.names.extend(part.names);
            all.code.extend(part.code);
        }
        for (dwarf, unit) in info.supplementary_units() {
            let _ended: Result<(), gimli::Error> = functions::walk(unit, None, |entry| {
                all.names.extend(Named::read(dwarf, unit, entry, SUPPLEMENTARY));
                Walk::Into
            });
        }
        let mut code = std::mem::take(&mut all.code);
        code.retain(|code| !all.is_rest(code));
        all.code = code;
        all
    }

    fn read_unit(info: &DebugInfo<'a>, unit: &Unit<'a>, index: UnitIndex) -> Self {
        let mut part = Self::default();
        // What follows a malformed entry is lost; what came before it is right.
        let _ended: Result<(), gimli::Error> = functions::walk(unit, None, |entry| {
            let inlined = entry.tag == gimli::DW_TAG_inlined_subroutine;
            let named = Named::read(info.dwarf(), unit, entry, 0);
            let own = named.map(|named| named.reference);
            part.names.extend(named);
            // An inlined copy of which no code is left can't be told from what is around it.
            if let Some(first) = entry.ranges(info).first() {
                let start = entry.entry_pc(info).filter(|pc| info.is_text(*pc));
                part.code.push(FunctionCode {
                    unit: index,
                    offset: entry.offset,
                    entry: Svma(start.unwrap_or(first.start)),
                    inlined,
                    call: place(entry, gimli::DW_AT_call_line, gimli::DW_AT_call_column),
                    subprogram: own.or_else(|| origin(unit, entry, 0)),
                });
            }
            Walk::Into
        });
        part
    }

    /// GCC may inline the beginning of a function and then the rest of it as if called from where
    /// the function is declared. That rest is not entered by calls.
    fn is_rest(&self, code: &FunctionCode) -> bool {
        let place = self.chain(code).find_map(|named| named.place);
        code.inlined && place.is_some() && place == code.call
    }

    /// All code with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&FunctionCode, FunctionName<'a>)> {
        self.code.iter().map(|code| (code, self.name_of(code)))
    }

    fn name_of(&self, code: &FunctionCode) -> FunctionName<'a> {
        let mut name = FunctionName::default();
        for named in self.chain(code) {
            name.linkage = name.linkage.or(named.name.linkage);
            name.plain = name.plain.or(named.name.plain);
        }
        name
    }

    /// The subprogram DIEs that describe a function, the nearest first.
    fn chain(&self, code: &FunctionCode) -> impl Iterator<Item = &Named<'a>> {
        let named = |reference: Reference| {
            let index = self.names.binary_search_by_key(&reference, |named| named.reference);
            self.names.get(index.ok()?)
        };
        let first = code.subprogram.and_then(named);
        std::iter::successors(first, move |last| last.origin.and_then(named))
            .take(functions::REFERENCES_MAX)
    }
}

impl<'a> Named<'a> {
    /// What a subprogram DIE says itself; `None` for another entry. `space` is
    /// [`SUPPLEMENTARY`] or 0.
    fn read(
        dwarf: &Dwarf<'a>,
        unit: &Unit<'a>,
        entry: &Entry<'_, 'a>,
        space: Reference,
    ) -> Option<Self> {
        let text = |name| entry.text(dwarf, name);
        let linkage = || text(gimli::DW_AT_linkage_name);
        (entry.tag == gimli::DW_TAG_subprogram).then(|| Self {
            reference: in_space(unit.header.offset().0.saturating_add(entry.offset.0), space),
            name: FunctionName {
                linkage: linkage().or_else(|| text(gimli::DW_AT_MIPS_linkage_name)),
                plain: text(gimli::DW_AT_name),
            },
            place: place(entry, gimli::DW_AT_decl_line, gimli::DW_AT_decl_column),
            origin: origin(unit, entry, space),
        })
    }
}

fn in_space(offset: usize, space: Reference) -> Reference {
    offset as u64 | space
}

/// The DIE that an entry takes the rest of its description from.
fn origin(unit: &Unit<'_>, entry: &Entry<'_, '_>, space: Reference) -> Option<Reference> {
    let reference = entry.value(gimli::DW_AT_abstract_origin);
    match reference.or_else(|| entry.value(gimli::DW_AT_specification))? {
        AttributeValue::UnitRef(offset) => {
            let offset = unit.header.offset().0.checked_add(offset.0)?;
            Some(in_space(offset, space))
        }
        AttributeValue::DebugInfoRef(offset) => Some(in_space(offset.0, space)),
        AttributeValue::DebugInfoRefSup(offset) => Some(in_space(offset.0, SUPPLEMENTARY)),
        _ => None,
    }
}

/// A line and a column, where both are known.
fn place(entry: &Entry<'_, '_>, line: gimli::DwAt, column: gimli::DwAt) -> Option<(u64, u64)> {
    entry.udata(line).zip(entry.udata(column))
}
