//! The variables in scope at a pc of a function, with where they are and of which type.
//!
//! Scopes come from the tree of the concrete function (blocks and inlined calls by their ranges),
//! names and types from the abstract one, locations from expressions or location lists at the pc.

mod declaration;
mod globals;
mod location;
mod meaning;
mod moved;
mod passed;
mod scopes;
mod stated;

#[cfg(test)]
mod tests;

pub use self::globals::globals;
pub use self::meaning::{Meaning, is_unoptimised, meaning_at};

use self::location::{Frame, at_entry, location_of};
use self::passed::are_passed;
use self::scopes::{Found, Scope, scopes_at};
use super::dies::{DieError, DieId, Dies};
use super::lang::Language;
use super::site::Paths;
use super::types::TypeBuilder;
use crate::binary::dwarf::Unit;
use crate::model::address::Svma;
use crate::model::location::{Expression, Location, Piece};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::{ScopedVariable, SourceLine};
use gimli::UnitOffset;

/// A pc in a function, and what is known about its frame there.
#[derive(Clone, Copy)]
pub struct FrameAt<'f> {
    /// The concrete function: a DW_TAG_subprogram with code.
    pub subprogram: UnitOffset,
    /// The pc.
    pub pc: Svma,
    /// Where the function is entered.
    pub entry: Option<Svma>,
    /// The canonical frame address at the pc, by CFI.
    pub cfa: Option<&'f Expression>,
    /// The canonical frame address where the function's body begins, by CFI. A frame base that is
    /// the stack pointer holds only where the two are equal.
    pub body_cfa: Option<&'f Expression>,
    /// What to add to an address stated in the file to get one in the process.
    pub bias: u64,
    /// What to add to the fs base to get the module's thread-local storage, where that is known.
    pub thread_storage: Option<u64>,
    /// `None` where the prologue has ended. Before: whether the parameter at this offset from the
    /// CFA, negative, is proven to be stored there already.
    pub home_stored: Option<&'f dyn Fn(i64) -> bool>,
    /// The function's code as a graph, where variables that are gone are looked for on the way to
    /// the pc and behind it.
    pub paths: Option<&'f Paths>,
    /// Where in the source each frame at the pc is, innermost inlined function first.
    pub lines: &'f [LineAt],
}

/// Where in the source a frame is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineAt {
    /// The line.
    pub line: SourceLine,
    /// No code of this line has been executed yet, as far as the order of the code tells.
    pub starts: bool,
}

/// A variable in scope with what it is in the source: the same for each inlined copy.
#[derive(Clone, PartialEq, Debug)]
pub struct Declared {
    /// The entry that declares it.
    pub id: DieId,
    /// The entry that declares the function that it belongs to.
    pub function: DieId,
    /// The variable.
    pub variable: ScopedVariable,
}

/// The variables in scope at a pc, innermost scope first, and in a scope as debug info has them.
/// A name that is hidden by an inner one is listed after it.
///
/// The types' contents are there after [`TypeBuilder::finish`].
///
/// # Errors
///
/// When the function's tree is malformed. A single variable that is malformed has its reason.
pub fn variables_at<'a>(
    builder: &mut TypeBuilder<'a>,
    unit: &Unit<'_>,
    at: &FrameAt<'_>,
) -> Result<Vec<Declared>, DieError> {
    let dies = builder.dies();
    let unit = dies.unit(unit)?;
    let scopes = scopes_at(&dies, &unit, at.subprogram, at.pc)?;
    let functions = functions(&dies, &scopes)?;
    let innermost = scopes.iter().map(|scope| scope.inlined_calls).max().unwrap_or(0);
    let frame = Frame::new(&dies, &unit, at);
    let mut variables = Vec::new();
    let function = scopes.first().map_or(&[][..], |scope| &scope.found);
    let are_passed = are_passed(function, &frame);
    for (nesting, scope) in scopes.iter().enumerate().rev() {
        for found in &scope.found {
            let language = unit.language.unwrap_or(Language::Other);
            let own = scope.inlined_calls == 0 && are_passed;
            let variable = variable(builder, found, &frame, language, own);
            let Some(mut variable) = variable else { continue };
            variable.inline_depth = innermost - scope.inlined_calls;
            let here = at.lines.get(variable.inline_depth as usize);
            if here.is_some_and(|here| declaration::is_ahead(found, here)) {
                variable.location = Err(ReasonCode::NotDeclaredYet.into());
                variable.at_entry = None;
            }
            if let (0, Err(reason)) = (nesting, &variable.location) {
                variable.moved = moved::moved(builder, found, &frame, reason);
            }
            let function = functions.get(scope.inlined_calls as usize);
            let declared = found.chain.last().zip(function);
            variables.extend(declared.map(|(die, function)| Declared {
                id: die.id(),
                function: *function,
                variable,
            }));
        }
    }
    Ok(variables)
}

/// The declaration of the innermost function, inlined or not, that holds a pc.
///
/// # Errors
///
/// When the function's tree is malformed.
pub fn innermost_function(
    dies: &Dies<'_>,
    unit: &Unit<'_>,
    subprogram: UnitOffset,
    pc: Svma,
) -> Result<Option<DieId>, DieError> {
    let scopes = scopes_at(dies, &dies.unit(unit)?, subprogram, pc)?;
    Ok(functions(dies, &scopes)?.pop())
}

/// The declarations of the functions that scopes belong to, by the inlined calls around them.
fn functions<'a>(dies: &Dies<'a>, scopes: &[Scope<'a>]) -> Result<Vec<DieId>, DieError> {
    let mut functions = Vec::new();
    for scope in scopes {
        // A block is in the function of the scope before it.
        if scope.inlined_calls as usize == functions.len() {
            let declaration = dies.origins(&scope.opener)?.pop();
            functions.push(declaration.map_or_else(|| scope.opener.id(), |die| die.id()));
        }
    }
    Ok(functions)
}

/// One variable; `None` where it has no name, so that nobody can ask for it.
fn variable<'a>(
    builder: &mut TypeBuilder<'a>,
    found: &Found<'a>,
    frame: &Frame<'_>,
    language: Language,
    own: bool,
) -> Option<ScopedVariable> {
    let name = found.chain.iter().find_map(|die| die.name())?;
    let typed = found.chain.iter().find(|die| die.entry.has_attr(gimli::DW_AT_type));
    let (type_id, size) = match typed {
        Some(die) => (builder.type_at(die, language), builder.size_at(die)),
        None => (builder.opaque("?".to_owned(), "debug info gives no type".to_owned()), None),
    };
    let location = match size {
        Some(0) => Ok(Location::Bytes(Vec::new())),
        _ => location_of(builder, found, frame, size).and_then(|location| fitted(location, size)),
    };
    let at_entry = match location {
        Ok(_) => None,
        Err(_) => at_entry(builder, found, frame, size, own).and_then(|it| fitted(it, size).ok()),
    };
    Some(ScopedVariable {
        name,
        kind: found.kind,
        type_id,
        location,
        at_entry,
        moved: None,
        inline_depth: 0,
    })
}

/// Refuses a location that has fewer bytes than the type; the rest would be made up.
fn fitted(location: Location, size: Option<u64>) -> Result<Location, Reason> {
    let Some(size) = size else { return Ok(location) };
    let unsupported = |detail: &str| Err(Reason::new(ReasonCode::UnsupportedLocation, detail));
    match location {
        Location::Register(_)
        | Location::Value(_)
        | Location::Derived(_)
        | Location::Points { .. }
            if size > 8 =>
        {
            unsupported("its type is wider than its register or computed value")
        }
        Location::Bytes(bytes) if (bytes.len() as u64) < size => {
            unsupported("its constant is shorter than its type")
        }
        Location::Pieces(mut pieces) => {
            let known: u64 = pieces.iter().map(|piece| u64::from(piece.size)).sum();
            if let Ok(missing @ 1..) = u32::try_from(size.saturating_sub(known)) {
                pieces.push(Piece { size: missing, location: None });
            }
            Ok(Location::Pieces(pieces))
        }
        location => Ok(location),
    }
}
