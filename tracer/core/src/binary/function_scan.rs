//! Reads the functions of all units.

use super::dwarf::{DebugInfo, Unit, UnitIndex};
use super::entries::{Walk, walk};
use super::function_names::{Described, Elsewhere, Key, Reference, declared};
use super::functions::REFERENCES_MAX;
use super::scan::{self, Read};
use super::sections::Part;
use gimli::UnitOffset;
use std::collections::HashMap;

/// The DIEs with code, by name.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// In order.
    pub(super) keys: Vec<Key>,
    /// For each name, how many of `code` there are up to its last one.
    pub(super) ends: Vec<usize>,
    /// Where DIEs are among those of the file (see [`Unit::start`]), by name and place.
    pub(super) code: Vec<u64>,
}

/// Subprograms of one unit, and DIEs with code; a unit of more is hostile, and what it has more is
/// left out.
const NAMED_MAX: usize = 1 << 19;
const UNNAMED_MAX: usize = 1 << 22;

/// Reads all units.
pub(super) fn scan(info: &DebugInfo) -> Scanned {
    let all: Vec<UnitIndex> = (0..info.unit_count()).collect();
    let read = |found: &mut Found, _, unit: &Unit<'_>| found.read(info, unit);
    merge(info, scan::units(info, &all, Read::Bare, read))
}

/// What one thread has found.
#[derive(Debug, Default)]
struct Found {
    names: HashMap<(Key, Option<Reference>), u32>,
    /// Where each unit starts, and how many of `code` there are up to its last one.
    units: Vec<(usize, usize)>,
    /// The number of the name, and the offset in the unit.
    code: Vec<(u32, u32)>,
    /// Of the unit that is read: its subprograms, by offset.
    named: Vec<Named>,
    /// Of the unit that is read: its code, with what names it.
    unnamed: Vec<(u32, NamedBy)>,
}

#[derive(Debug)]
struct Named {
    offset: UnitOffset,
    described: Described,
    origin: Option<UnitOffset>,
    /// Of its name, once it was needed.
    number: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum NamedBy {
    Here(UnitOffset),
    Elsewhere(Reference),
}

impl Found {
    fn read(&mut self, info: &DebugInfo, unit: &Unit<'_>) {
        let (named, unnamed) = (&mut self.named, &mut self.unnamed);
        named.clear();
        unnamed.clear();
        // What follows a malformed entry is lost; what came before it is right.
        let _ended: Result<(), gimli::Error> = walk(unit, None, |entry| {
            if named.len() >= NAMED_MAX || unnamed.len() >= UNNAMED_MAX {
                return Walk::Over;
            }
            let is_subprogram = entry.tag == gimli::DW_TAG_subprogram;
            // An inlined copy of which no code is left can't be told from what is around it.
            let has_code = entry.first_address(info).is_some();
            if is_subprogram || has_code {
                let (described, origin) = declared(info, Part::Main, unit, entry);
                let elsewhere = described.rest.map(NamedBy::Elsewhere);
                let mut by = origin.map(NamedBy::Here).or(elsewhere);
                if is_subprogram {
                    by = Some(NamedBy::Here(entry.offset));
                    named.push(Named { offset: entry.offset, described, origin, number: None });
                }
                let offset = u32::try_from(entry.offset.0).ok();
                unnamed.extend(offset.zip(by).filter(|_| has_code));
            }
            Walk::Into
        });
        let unnamed = std::mem::take(unnamed);
        for (offset, by) in &unnamed {
            if let Some(number) = self.number(*by) {
                self.code.push((number, *offset));
            }
        }
        self.unnamed = unnamed;
        self.units.push((unit.start(), self.code.len()));
    }

    fn number(&mut self, by: NamedBy) -> Option<u32> {
        let first = match by {
            NamedBy::Elsewhere(reference) => return self.known(Key::NONE, Some(reference)),
            NamedBy::Here(offset) => self.find(offset)?,
        };
        if let Some(number) = self.named.get(first)?.number {
            return Some(number);
        }
        let mut described = Described::NOTHING;
        let mut next = Some(first);
        for _ in 0..REFERENCES_MAX {
            let Some(named) = next.and_then(|index| self.named.get(index)) else { break };
            described = described.or(named.described);
            next = named.origin.and_then(|origin| self.find(origin));
        }
        let number = self.known(described.key, described.rest);
        self.named.get_mut(first)?.number = number;
        number
    }

    fn find(&self, offset: UnitOffset) -> Option<usize> {
        self.named.binary_search_by_key(&offset, |named| named.offset).ok()
    }

    fn known(&mut self, key: Key, rest: Option<Reference>) -> Option<u32> {
        if key == Key::NONE && rest.is_none() {
            return None;
        }
        let next = u32::try_from(self.names.len()).ok()?;
        Some(*self.names.entry((key, rest)).or_insert(next))
    }
}

/// The name of no DIE.
const UNNAMED: u32 = u32::MAX;

fn merge(info: &DebugInfo, mut found: Vec<Found>) -> Scanned {
    let mut numbers: Vec<Vec<u32>> =
        found.iter().map(|found| vec![UNNAMED; found.names.len()]).collect();
    // What is needed no longer goes at once: there may be millions of each.
    let mut partial: Vec<(Key, Option<Reference>, u32, u32)> = Vec::new();
    for (thread, found) in (0..).zip(&mut found) {
        let names = std::mem::take(&mut found.names).into_iter();
        partial.extend(names.map(|((key, rest), number)| (key, rest, thread, number)));
        found.code.shrink_to_fit();
    }
    let elsewhere = Elsewhere::read(info, partial.iter().filter_map(|(_, rest, ..)| *rest));
    let named = partial.into_iter().map(|(key, rest, thread, number)| {
        let own = Described { key, rest, ..Described::NOTHING };
        (elsewhere.complete(own).key, thread, number)
    });
    let mut names: Vec<(Key, u32, u32)> = named.collect();
    drop(elsewhere);
    names.sort_unstable();
    let mut keys: Vec<Key> = Vec::new();
    for (key, thread, local) in names.into_iter().filter(|(key, ..)| *key != Key::NONE) {
        if keys.last() != Some(&key) {
            keys.push(key);
        }
        let slot = numbers.get_mut(thread as usize).and_then(|of| of.get_mut(local as usize));
        if let (Some(slot), Ok(number)) = (slot, u32::try_from(keys.len() - 1)) {
            *slot = number;
        }
    }
    let (ends, code) = by_name(keys.len(), &found, &numbers);
    Scanned { keys, ends, code }
}

/// Sorts by counting: how many DIEs each name has tells where its list is.
fn by_name(names: usize, found: &[Found], numbers: &[Vec<u32>]) -> (Vec<usize>, Vec<u64>) {
    let number = |thread: usize, local: u32| {
        let number = *numbers.get(thread)?.get(local as usize)?;
        (number != UNNAMED).then_some(number as usize)
    };
    let mut ends = vec![0; names];
    for (thread, found) in found.iter().enumerate() {
        let counted = found.code.iter().filter_map(|(local, _)| number(thread, *local));
        counted.for_each(|number| {
            if let Some(end) = ends.get_mut(number) {
                *end += 1;
            }
        });
    }
    let mut total = 0;
    for end in &mut ends {
        total += std::mem::replace(end, total);
    }
    let mut code = vec![0; total];
    for (thread, start, of_unit) in in_order(found) {
        for (local, offset) in of_unit {
            let end = number(thread, *local).and_then(|number| ends.get_mut(number));
            let Some(end) = end else { continue };
            if let Some(slot) = code.get_mut(*end) {
                *slot = start as u64 + u64::from(*offset);
            }
            *end += 1;
        }
    }
    (ends, code)
}

/// The thread that read a unit, where the unit starts, and its code.
type OfUnit<'f> = (usize, usize, &'f [(u32, u32)]);

/// What was found, in the order of the units: threads take them as they come.
fn in_order(found: &[Found]) -> Vec<OfUnit<'_>> {
    let mut units = Vec::new();
    for (thread, found) in found.iter().enumerate() {
        let mut first = 0;
        for (start, end) in &found.units {
            units.push((thread, *start, found.code.get(first..*end).unwrap_or_default()));
            first = *end;
        }
    }
    units.sort_unstable_by_key(|(_, start, _)| *start);
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::cache::Cache;
    use crate::binary::module::Module;

    #[test]
    fn the_order_in_which_units_are_read_makes_no_difference() {
        let exe = std::env::current_exe().unwrap();
        let module = Module::from_path(&exe, &Cache::default()).unwrap();
        let info = module.code().debug_info().unwrap();
        // As `threads` would share them, each taking every so manieth.
        let shared = |threads: usize| {
            let of_thread = |first| {
                let mut found = Found::default();
                for index in (first..info.unit_count()).step_by(threads) {
                    if let Some(unit) = info.read_bare_unit(Part::Main, index) {
                        found.read(info, &unit);
                    }
                }
                found
            };
            merge(info, (0..threads).map(of_thread).collect())
        };
        let one = shared(1);
        assert!(one.keys.len() > 1000 && one.code.len() > one.keys.len());
        for threads in [2, 3, 4] {
            let some = shared(threads);
            assert!(some.keys == one.keys && some.ends == one.ends && some.code == one.code);
        }
    }
}
