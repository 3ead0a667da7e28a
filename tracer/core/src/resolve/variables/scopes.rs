//! The scopes that hold a pc, and the variables that are declared in them.

use crate::binary::lists;
use crate::model::address::Svma;
use crate::model::resolved::VariableKind;
use crate::resolve::dies::{self, Die, DieError, DieId, Dies, Entry, SourceUnit};
use gimli::{AttributeValue, UnitOffset};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

/// Variables of one function; what has more is not looked at.
const VARIABLES_MAX: usize = 20_000;
/// Nesting of blocks and inlined calls in a function; what is deeper is not looked at.
const NESTING_MAX: isize = 256;

/// A block, an inlined call or the function itself.
pub(super) struct Scope<'a> {
    /// The entry that opens it.
    pub(super) opener: Die<'a>,
    /// Inlined calls around its code: 0 in the function itself.
    pub(super) inlined_calls: u32,
    /// Its variables, in the order of debug info.
    pub(super) found: Vec<Found<'a>>,
}

/// A variable in scope.
pub(super) struct Found<'a> {
    /// The entry in the concrete tree, then those that it completes.
    pub(super) chain: Vec<Die<'a>>,
    /// Parameter or local.
    pub(super) kind: VariableKind,
}

/// The scopes that hold `pc`, outermost first; the function itself is the first one.
///
/// # Errors
///
/// When the function's tree is malformed.
pub(super) fn scopes_at<'a>(
    dies: &Dies<'a>,
    unit: &Rc<SourceUnit<'a>>,
    subprogram: UnitOffset,
    pc: Svma,
) -> Result<Vec<Scope<'a>>, DieError> {
    let function = dies.at(unit, subprogram)?;
    let mut scopes = vec![Scope { opener: function, inlined_calls: 0, found: Vec::new() }];
    let mut variables = 0;
    // Depth of the children, and the scope that they belong to.
    let mut open = vec![(1, 0)];
    walk(unit, subprogram, |entry| {
        open.retain(|(children, _)| *children <= entry.depth());
        let (_, current) = open.last().copied().unwrap_or((1, 0));
        let inlined = entry.tag() == gimli::DW_TAG_inlined_subroutine;
        let inside = match entry.tag() {
            gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable => {
                variables += 1;
                if variables > VARIABLES_MAX {
                    return Err(DieError::TooWide);
                }
                let found = found(dies, unit, entry)?;
                if let (Some(found), Some(scope)) = (found, scopes.get_mut(current)) {
                    scope.found.push(found);
                }
                return Ok(false);
            }
            gimli::DW_TAG_GNU_formal_parameter_pack => current,
            gimli::DW_TAG_inlined_subroutine
            | gimli::DW_TAG_lexical_block
            | gimli::DW_TAG_try_block
            | gimli::DW_TAG_catch_block => match covers(unit, entry, pc)? {
                // A block without code of its own: its variables are those around it.
                None if !inlined => current,
                Some(true) => {
                    let around = scopes.get(current).map_or(0, |scope| scope.inlined_calls);
                    scopes.push(Scope {
                        opener: Die { unit: Rc::clone(unit), entry: entry.clone() },
                        inlined_calls: around + u32::from(inlined),
                        found: Vec::new(),
                    });
                    scopes.len() - 1
                }
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        open.push((entry.depth() + 1, inside));
        Ok(true)
    })?;
    inherit(dies, &mut scopes)?;
    Ok(scopes)
}

/// Visits the entries below a function in order; the children of one only where `visit` says so.
/// Children of the function have depth 1.
///
/// # Errors
///
/// When the tree is malformed, and what `visit` returns.
pub(super) fn walk<'a>(
    unit: &SourceUnit<'a>,
    subprogram: UnitOffset,
    mut visit: impl FnMut(&Entry<'a>) -> Result<bool, DieError>,
) -> Result<(), DieError> {
    let mut cursor = unit.unit.entries_at_offset(subprogram)?;
    if !cursor.next_entry()? || !cursor.current().is_some_and(Entry::has_children) {
        return Ok(());
    }
    while cursor.next_entry()? {
        // Over what is not to be entered, up to the end of the list that it is in.
        while let Some(entry) = cursor.current() {
            let start = entry.offset();
            let enters = visit(entry)? && entry.has_children() && entry.depth() < NESTING_MAX;
            if enters {
                unit.steps.take(0)?;
                break;
            }
            cursor.next_sibling()?;
            unit.steps.take(cursor.offset().0.saturating_sub(start.0))?;
        }
        if cursor.current().is_none() && cursor.depth() <= 1 {
            break;
        }
    }
    Ok(())
}

/// The variable of an entry; `None` for a declaration of something that is defined elsewhere.
fn found<'a>(
    dies: &Dies<'a>,
    unit: &Rc<SourceUnit<'a>>,
    entry: &Entry<'a>,
) -> Result<Option<Found<'a>>, DieError> {
    if dies::flag(entry, gimli::DW_AT_declaration) {
        return Ok(None);
    }
    let die = Die { unit: Rc::clone(unit), entry: entry.clone() };
    let kind = if entry.tag() == gimli::DW_TAG_formal_parameter {
        VariableKind::Parameter
    } else {
        VariableKind::Local
    };
    Ok(Some(Found { chain: dies.origins(&die)?, kind }))
}

/// Adds the variables that only the abstract instance of a scope has: compilers leave them out of
/// the concrete one where nothing is left of them.
fn inherit<'a>(dies: &Dies<'a>, scopes: &mut [Scope<'a>]) -> Result<(), DieError> {
    let seen: HashSet<(u32, DieId)> = scopes
        .iter()
        .flat_map(|scope| scope.found.iter().map(|found| (scope.inlined_calls, found)))
        .flat_map(|(calls, found)| found.chain.iter().map(move |die| (calls, die.id())))
        .collect();
    for scope in scopes {
        let origin = dies.reference(&scope.opener, gimli::DW_AT_abstract_origin)?;
        let Some(origin) = origin else { continue };
        for entry in dies.children(&origin)? {
            if !matches!(entry.tag(), gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable) {
                continue;
            }
            let Some(found) = found(dies, &origin.unit, &entry)? else { continue };
            let known =
                found.chain.iter().any(|die| seen.contains(&(scope.inlined_calls, die.id())));
            if !known {
                scope.found.push(found);
            }
        }
    }
    Ok(())
}

/// Whether an entry's code holds `pc`; `None` where it states no code.
///
/// # Errors
///
/// When its ranges are malformed.
pub(super) fn covers<'a>(
    source: &SourceUnit<'a>,
    entry: &Entry<'a>,
    pc: Svma,
) -> Result<Option<bool>, DieError> {
    let mut covers = false;
    let any = code_of(source, entry, |range| {
        covers = range.contains(&pc.0);
        !covers
    })?;
    Ok(any.then_some(covers))
}

/// Visits the ranges of an entry's code, until `visit` has enough; false where it states none.
///
/// # Errors
///
/// When they are malformed.
pub(super) fn code_of<'a>(
    source: &SourceUnit<'a>,
    entry: &Entry<'a>,
    mut visit: impl FnMut(Range<u64>) -> bool,
) -> Result<bool, DieError> {
    let (dwarf, unit) = (source.dwarf, &source.unit);
    if let Some(value) = entry.attr_value(gimli::DW_AT_ranges)
        && let Some(mut ranges) = dwarf.attr_ranges(unit, value)?
    {
        while let Some(range) = lists::next_range(&mut ranges, || source.steps.take(0))? {
            if !visit(range.begin..range.end) {
                break;
            }
        }
        return Ok(true);
    }
    let low = match entry.attr_value(gimli::DW_AT_low_pc) {
        Some(value) => dwarf.attr_address(unit, value)?,
        None => None,
    };
    let Some(low) = low else { return Ok(false) };
    let end = match entry.attr_value(gimli::DW_AT_high_pc) {
        // A length, which in a malformed file leads beyond the last address.
        Some(AttributeValue::Udata(length)) => low.checked_add(length).unwrap_or(low),
        Some(value) => dwarf.attr_address(unit, value)?.unwrap_or(low),
        None => low.saturating_add(1),
    };
    visit(low..end);
    Ok(true)
}
