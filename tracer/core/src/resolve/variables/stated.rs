//! What debug info states of where a variable is at a pc: its attributes and location lists.

use super::scopes::Found;
use crate::binary::dwarf::Reader;
use crate::model::address::Svma;
use crate::resolve::dies::{Attribute, DieError, SourceUnit};
use gimli::{AttributeValue, RawLocListEntry};
use std::rc::Rc;

/// A byte of an expression may be an operation of its own: it counts as so many bytes that are only
/// passed over.
const EXPRESSION_BYTE: usize = 16;
/// So does an entry of a list of locations.
const LIST_ENTRY: usize = 80;

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
