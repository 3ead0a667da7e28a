//! What debug info states of where a variable is at a pc: its attributes and location lists.

use super::scopes::Found;
use crate::binary::dwarf::Reader;
use crate::model::address::Svma;
use crate::resolve::dies::{Attribute, Die, DieError, SourceUnit};
use gimli::{AttributeValue, RawLocListEntry};
use std::ops::Range;
use std::rc::Rc;

/// A byte of an expression may be an operation of its own: it counts as so many bytes that are only
/// passed over.
const EXPRESSION_BYTE: usize = 16;
/// So does an entry of a list of locations.
const LIST_ENTRY: usize = 80;

/// Locations by ranges of addresses, and the unit that states them.
pub(super) type Ranges<'a, 'f> =
    (Vec<(Range<u64>, gimli::Expression<Reader<'a>>)>, &'f Rc<SourceUnit<'a>>);

/// What debug info says about where a variable is at a pc.
pub(super) enum Stated<'a> {
    /// For the whole life of the variable.
    Single(gimli::Expression<Reader<'a>>),
    /// At this pc; where there are several, each of them holds (DWARF 5, 2.6.2).
    Listed(Vec<gimli::Expression<Reader<'a>>>),
    /// Not at this pc, but at others.
    Elsewhere,
    /// Its value.
    Constant(Attribute<'a>),
    /// Nothing.
    Nothing,
}

/// What `found` has for a location at `pc`, and the unit that says so. Where that is `entry`, the
/// function's, it is what the function is called with: a view of the entry alone (an empty range)
/// comes before what statements without an instruction make of it.
///
/// # Errors
///
/// When its location list is malformed.
pub(super) fn stated<'a, 'f>(
    found: &'f Found<'a>,
    pc: Svma,
    entry: Option<Svma>,
) -> Result<Option<(Stated<'a>, &'f Rc<SourceUnit<'a>>)>, DieError> {
    for die in &found.chain {
        if let Some(value) = die.entry.attr_value(gimli::DW_AT_location) {
            return Ok(Some((listed(&die.unit, value, pc, entry == Some(pc))?, &die.unit)));
        }
        if let Some(value) = die.entry.attr_value(gimli::DW_AT_const_value) {
            return Ok(Some((Stated::Constant(value), &die.unit)));
        }
    }
    Ok(None)
}

/// An expression, or what a location list has at `pc`.
pub(super) fn listed<'a>(
    unit: &SourceUnit<'a>,
    value: Attribute<'a>,
    pc: Svma,
    is_entry: bool,
) -> Result<Stated<'a>, DieError> {
    if let AttributeValue::Exprloc(expression) = value {
        unit.steps.take(expression.0.len() * EXPRESSION_BYTE)?;
        return Ok(Stated::Single(expression));
    }
    let Some(mut entries) = unit.dwarf.attr_locations(&unit.unit, value)? else {
        return Ok(Stated::Nothing);
    };
    let (mut here, mut default, mut any) = (Vec::new(), Vec::new(), false);
    while let Some(raw) = entries.next_raw()? {
        unit.steps.take(LIST_ENTRY)?;
        if is_entry
            && let Some(view) = view(&raw)
            && let Some(entry) = entries.convert_raw(view)?
            && entry.range.begin == pc.0
        {
            return Ok(Stated::Listed(vec![entry.data]));
        }
        let Some(entry) = entries.convert_raw(raw)? else { continue };
        any = true;
        if entry.range.begin == 0 && entry.range.end == u64::MAX {
            default.push(entry.data);
        } else if (entry.range.begin..entry.range.end).contains(&pc.0) {
            unit.steps.take(entry.data.0.len() * EXPRESSION_BYTE)?;
            here.push(entry.data);
        }
    }
    Ok(match (here.is_empty(), default.is_empty()) {
        (false, _) => Stated::Listed(here),
        (true, false) => Stated::Listed(default),
        _ if any => Stated::Elsewhere,
        _ => Stated::Nothing,
    })
}

/// What a list has for the ranges of addresses for which it gives locations of their own; nothing
/// where it is no list. The unit is the one that says so.
///
/// # Errors
///
/// When the list is malformed.
pub(super) fn ranges<'a, 'f>(found: &'f Found<'a>) -> Result<Option<Ranges<'a, 'f>>, DieError> {
    let stated = |die: &'f Die<'a>| Some((die, die.entry.attr_value(gimli::DW_AT_location)?));
    let Some((die, value)) = found.chain.iter().find_map(stated) else { return Ok(None) };
    if matches!(value, AttributeValue::Exprloc(_)) {
        return Ok(None);
    }
    let unit = &die.unit;
    let Some(mut entries) = unit.dwarf.attr_locations(&unit.unit, value)? else { return Ok(None) };
    let mut ranges = Vec::new();
    while let Some(raw) = entries.next_raw()? {
        unit.steps.take(LIST_ENTRY)?;
        let Some(entry) = entries.convert_raw(raw)? else { continue };
        unit.steps.take(entry.data.0.len() * EXPRESSION_BYTE)?;
        ranges.push((entry.range.begin..entry.range.end, entry.data));
    }
    Ok(Some((ranges, unit)))
}

/// An entry with an empty range, which speaks of one view of an address only (DW_AT_GNU_locviews);
/// a byte long, for gimli leaves out the empty ones.
fn view<'a>(raw: &RawLocListEntry<Reader<'a>>) -> Option<RawLocListEntry<Reader<'a>>> {
    use RawLocListEntry as Raw;
    Some(match *raw {
        Raw::AddressOrOffsetPair { begin, end, data } if begin == end => {
            Raw::AddressOrOffsetPair { begin, end: end.wrapping_add(1), data }
        }
        Raw::OffsetPair { begin, end, data } if begin == end => {
            Raw::OffsetPair { begin, end: end.wrapping_add(1), data }
        }
        Raw::StartEnd { begin, end, data } if begin == end => {
            Raw::StartEnd { begin, end: end.wrapping_add(1), data }
        }
        Raw::StartLength { begin, length: 0, data } => Raw::StartLength { begin, length: 1, data },
        Raw::StartxLength { begin, length: 0, data } => {
            Raw::StartxLength { begin, length: 1, data }
        }
        _ => return None,
    })
}
