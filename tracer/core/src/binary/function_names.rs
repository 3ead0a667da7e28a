//! Which name the DIE of a function bears.
//!
//! It may take it from another one, mostly in its own unit. What other units say is looked up for
//! many DIEs at once, so that no unit is kept for it.

use super::dwarf::{DebugInfo, Unit};
use super::entries::{Entry, Walk, walk};
use super::functions::REFERENCES_MAX;
use super::scan;
use super::sections::Part;
use super::strings::{self, Text};
use gimli::{AttributeValue, UnitOffset};
use std::num::NonZeroU64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A name of functions.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
#[repr(C)]
pub(super) struct Key {
    pub(super) linkage: Text,
    pub(super) plain: Text,
}

impl Key {
    pub(super) const NONE: Self = Self { linkage: Text::NONE, plain: Text::NONE };

    /// What this one leaves open is taken from another.
    fn or(self, other: Self) -> Self {
        Self { linkage: self.linkage.or(other.linkage), plain: self.plain.or(other.plain) }
    }
}

/// Line and column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(NonZeroU64);

/// A line and a column, where both are known.
pub(super) fn place(
    entry: &Entry<'_, '_>,
    line: gimli::DwAt,
    column: gimli::DwAt,
) -> Option<Place> {
    let line = u32::try_from(entry.udata(line)?).ok()?;
    let column = u32::try_from(entry.udata(column)?).ok()?;
    NonZeroU64::new(u64::from(line) << 32 | u64::from(column)).map(Place)
}

/// Marks DIEs of the supplementary file; no section is as large.
const SUPPLEMENTARY: u64 = 1 << 63;

/// A DIE by its file and its offset in `.debug_info`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Reference(NonZeroU64);

impl Reference {
    /// `None` for offset 0, where no DIE is.
    fn new(part: Part, offset: usize) -> Option<Self> {
        let offset = offset as u64;
        let value = match part {
            Part::Main => offset & !SUPPLEMENTARY,
            Part::Supplementary => offset | SUPPLEMENTARY,
        };
        NonZeroU64::new(value).map(Self)
    }

    fn part(self) -> Part {
        if self.0.get() & SUPPLEMENTARY == 0 { Part::Main } else { Part::Supplementary }
    }

    fn offset(self) -> usize {
        usize::try_from(self.0.get() & !SUPPLEMENTARY).unwrap_or(usize::MAX)
    }
}

/// What subprograms of one unit say of a function, the nearest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) key: Key,
    /// Of the declaration.
    pub(super) place: Option<Place>,
    /// What another unit says counts for the rest.
    pub(super) rest: Option<Reference>,
}

impl Described {
    pub(super) const NOTHING: Self = Self { key: Key::NONE, place: None, rest: None };

    pub(super) fn or(self, other: Self) -> Self {
        Self { key: self.key.or(other.key), place: self.place.or(other.place), rest: other.rest }
    }

    /// What the DIE at `offset` of a unit says, and those that it refers to there.
    pub(super) fn of(info: &DebugInfo, part: Part, unit: &Unit<'_>, offset: UnitOffset) -> Self {
        let mut described = Self::NOTHING;
        let mut next = Some(offset);
        for _ in 0..REFERENCES_MAX {
            let Some(offset) = next.take() else { break };
            let _ended: Result<(), gimli::Error> = walk(unit, Some(offset), |entry| {
                if entry.offset == offset {
                    let (own, origin) = declared(info, part, unit, entry);
                    described = described.or(own);
                    next = origin;
                }
                Walk::Over
            });
        }
        described
    }
}

/// What an entry says itself, and which of its unit counts for the rest.
pub(super) fn declared(
    info: &DebugInfo,
    part: Part,
    unit: &Unit<'_>,
    entry: &Entry<'_, '_>,
) -> (Described, Option<UnitOffset>) {
    let mut described = Described::NOTHING;
    if entry.tag == gimli::DW_TAG_subprogram {
        let text = |name| strings::of(info, part, unit, entry.value(name));
        let linkage = text(gimli::DW_AT_linkage_name).or(text(gimli::DW_AT_MIPS_linkage_name));
        described.key = Key { linkage, plain: text(gimli::DW_AT_name) };
        described.place = place(entry, gimli::DW_AT_decl_line, gimli::DW_AT_decl_column);
    }
    let reference = entry.value(gimli::DW_AT_abstract_origin);
    let mut here = None;
    match reference.or_else(|| entry.value(gimli::DW_AT_specification)) {
        Some(AttributeValue::UnitRef(offset)) => here = Some(offset),
        Some(AttributeValue::DebugInfoRef(offset)) => {
            described.rest = unit.place_of(offset).and_then(|at| Reference::new(part, at));
        }
        Some(AttributeValue::DebugInfoRefSup(offset)) => {
            described.rest = Reference::new(Part::Supplementary, offset.0);
        }
        _ => {}
    }
    (described, here)
}

/// What DIEs say that those of other units refer to, by reference.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Vec<(Reference, Described)>);

impl Elsewhere {
    /// Reads some DIEs and those that they refer to.
    pub(super) fn read(info: &DebugInfo, wanted: impl IntoIterator<Item = Reference>) -> Self {
        let mut known = Self::default();
        let mut open: Vec<Reference> = wanted.into_iter().collect();
        for _ in 0..REFERENCES_MAX {
            open.sort_unstable();
            open.dedup();
            open.retain(|reference| known.get(*reference).is_none());
            if open.is_empty() {
                break;
            }
            let unit_of = |at: &Reference| info.unit_of(at.part(), at.offset());
            let units: Vec<&[Reference]> =
                open.chunk_by(|a, b| a.part() == b.part() && unit_of(a) == unit_of(b)).collect();
            let found = scan::each(&units, |found: &mut Vec<_>, of_unit| {
                // A DIE in no unit says nothing.
                let _none = read_some(info, of_unit, found);
            });
            let found = found.concat();
            open = found.iter().filter_map(|(_, described)| described.rest).collect();
            known.0.extend(found);
            known.0.sort_unstable_by_key(|(reference, _)| *reference);
        }
        known
    }

    fn get(&self, reference: Reference) -> Option<&Described> {
        let at = self.0.binary_search_by_key(&reference, |(known, _)| *known).ok()?;
        self.0.get(at).map(|(_, described)| described)
    }

    /// What all that a DIE refers to says, with that of other units.
    pub(super) fn complete(&self, first: Described) -> Described {
        let mut described = first;
        for _ in 0..REFERENCES_MAX {
            let Some(rest) = described.rest.and_then(|rest| self.get(rest)) else { break };
            described = described.or(*rest);
        }
        described
    }
}

/// Reads DIEs of one unit; `None` where there is none.
fn read_some(
    info: &DebugInfo,
    wanted: &[Reference],
    found: &mut Vec<(Reference, Described)>,
) -> Option<()> {
    let first = wanted.first()?;
    let index = info.unit_of(first.part(), first.offset())?;
    let unit = info.read_bare_unit(first.part(), index)?;
    let start = unit.start();
    for reference in wanted {
        let offset = UnitOffset(reference.offset().checked_sub(start)?);
        found.push((*reference, Described::of(info, first.part(), &unit, offset)));
    }
    Some(())
}
