//! All functions of a file's debug info, with their inlined copies, by name.
//!
//! Inlined copies can only be found by reading every unit, so that is done once, in parallel, and
//! only the names and addresses are kept.

use super::dwarf::{DebugInfo, Unit, UnitIndex};
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
    /// The offset in `.debug_info` of the DIE that names it: DW_AT_abstract_origin or
    /// DW_AT_specification; `None` where it names itself.
    origin: Option<usize>,
    /// Index in `names`, where it names itself.
    own: Option<usize>,
}

/// The functions of a file.
#[derive(Debug, Default)]
pub struct FunctionIndex<'a> {
    /// Every subprogram DIE by offset in `.debug_info`.
    names: Vec<Named<'a>>,
    code: Vec<FunctionCode>,
}

#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    offset: usize,
    name: FunctionName<'a>,
    /// Line and column of the declaration.
    place: Option<(u64, u64)>,
    origin: Option<usize>,
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
            let base = all.names.len();
            let moved = part.code.into_iter().map(|mut code| {
                code.own = code.own.map(|own| own + base);
                code
            });
            all.code.extend(moved);
            all.names.extend(part.names);
        }
        let mut code = std::mem::take(&mut all.code);
        code.retain(|code| !all.is_rest(code));
        all.code = code;
        all
    }

    fn read_unit(info: &DebugInfo<'a>, unit: &Unit<'a>, index: UnitIndex) -> Self {
        let mut part = Self::default();
        let base = unit.header.offset().0;
        // What follows a malformed entry is lost; what came before it is right.
        let _ended: Result<(), gimli::Error> = functions::walk(unit, None, |entry| {
            let inlined = entry.tag == gimli::DW_TAG_inlined_subroutine;
            let origin = origin(entry, base);
            let own = (!inlined).then_some(part.names.len());
            if !inlined {
                let text = |name| entry.text(info.dwarf(), name);
                let linkage = text(gimli::DW_AT_linkage_name);
                part.names.push(Named {
                    offset: base.saturating_add(entry.offset.0),
                    name: FunctionName {
                        linkage: linkage.or_else(|| text(gimli::DW_AT_MIPS_linkage_name)),
                        plain: text(gimli::DW_AT_name),
                    },
                    place: place(entry, gimli::DW_AT_decl_line, gimli::DW_AT_decl_column),
                    origin,
                });
            }
            // An inlined copy of which no code is left can't be told from what is around it.
            if let Some(first) = entry.ranges(info).first() {
                let start = entry.entry_pc(info).filter(|pc| info.is_text(*pc));
                part.code.push(FunctionCode {
                    unit: index,
                    offset: entry.offset,
                    entry: Svma(start.unwrap_or(first.start)),
                    inlined,
                    call: place(entry, gimli::DW_AT_call_line, gimli::DW_AT_call_column),
                    origin,
                    own,
                });
            }
            Walk::Into
        });
        part
    }

    /// GCC may inline the beginning of a function and then the rest of it as if called from where
    /// the function is declared. That rest is not entered by calls.
    fn is_rest(&self, code: &FunctionCode) -> bool {
        let mut next = code.origin.and_then(|origin| self.named(origin));
        for _ in 0..functions::REFERENCES_MAX {
            let Some(named) = next.filter(|_| code.inlined && code.call.is_some()) else { break };
            if named.place.is_some() {
                return named.place == code.call;
            }
            next = named.origin.and_then(|origin| self.named(origin));
        }
        false
    }

    /// All code with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&FunctionCode, FunctionName<'a>)> {
        self.code.iter().map(|code| (code, self.name_of(code)))
    }

    fn name_of(&self, code: &FunctionCode) -> FunctionName<'a> {
        let mut name = FunctionName::default();
        let mut next = code.own.and_then(|own| self.names.get(own));
        if next.is_none() {
            next = code.origin.and_then(|origin| self.named(origin));
        }
        for _ in 0..functions::REFERENCES_MAX {
            let Some(named) = next else { break };
            name.linkage = name.linkage.or(named.name.linkage);
            name.plain = name.plain.or(named.name.plain);
            next = named.origin.and_then(|origin| self.named(origin));
        }
        name
    }

    fn named(&self, offset: usize) -> Option<&Named<'a>> {
        let index = self.names.binary_search_by_key(&offset, |named| named.offset).ok()?;
        self.names.get(index)
    }
}

/// The offset in `.debug_info` of the DIE that an entry takes its name from.
fn origin(entry: &Entry<'_, '_>, base: usize) -> Option<usize> {
    let reference = entry.value(gimli::DW_AT_abstract_origin);
    match reference.or_else(|| entry.value(gimli::DW_AT_specification))? {
        AttributeValue::UnitRef(offset) => base.checked_add(offset.0),
        AttributeValue::DebugInfoRef(offset) => Some(offset.0),
        _ => None,
    }
}

/// A line and a column, where both are known.
fn place(entry: &Entry<'_, '_>, line: gimli::DwAt, column: gimli::DwAt) -> Option<(u64, u64)> {
    entry.udata(line).zip(entry.udata(column))
}
