//! All functions of a file's debug info, with their inlined copies, by name.
//!
//! Inlined copies can only be found by reading every unit, so that is done once, in parallel, and
//! only the names and addresses are kept.

use super::dwarf::{DebugInfo, Unit, UnitIndex};
use super::functions::{self, FunctionName, Walk};
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
        all
    }

    fn read_unit(info: &DebugInfo<'a>, unit: &Unit<'a>, index: UnitIndex) -> Self {
        let mut part = Self::default();
        let base = unit.header.offset().0;
        // What follows a malformed entry is lost; what came before it is right.
        let _ended: Result<(), gimli::Error> = functions::walk(unit, None, |entry| {
            let reference = entry
                .value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.value(gimli::DW_AT_specification));
            let origin = match reference {
                Some(AttributeValue::UnitRef(offset)) => base.checked_add(offset.0),
                Some(AttributeValue::DebugInfoRef(offset)) => Some(offset.0),
                _ => None,
            };
            let inlined = entry.tag == gimli::DW_TAG_inlined_subroutine;
            let mut own = None;
            if !inlined {
                let linkage = entry
                    .text(info.dwarf(), gimli::DW_AT_linkage_name)
                    .or_else(|| entry.text(info.dwarf(), gimli::DW_AT_MIPS_linkage_name));
                let plain = entry.text(info.dwarf(), gimli::DW_AT_name);
                own = Some(part.names.len());
                part.names.push(Named {
                    offset: base.saturating_add(entry.offset.0),
                    name: FunctionName { linkage, plain },
                    origin,
                });
            }
            let first = || entry.ranges(info).first().map(|range| range.start);
            let start =
                if inlined { entry.entry_pc(info).filter(|pc| info.is_text(*pc)) } else { None };
            if let Some(entry_svma) = start.or_else(first) {
                let entry_svma = Svma(entry_svma);
                let offset = entry.offset;
                part.code.push(FunctionCode {
                    unit: index,
                    offset,
                    entry: entry_svma,
                    inlined,
                    origin,
                    own,
                });
            }
            Walk::Into
        });
        part
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
