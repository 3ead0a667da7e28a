//! The registers in which parameters are passed, by what debug info has for the function's entry.

use super::location::Frame;
use super::scopes::Found;
use super::stated::{Stated, stated};
use crate::binary::expression::{Context, translate};
use crate::model::location::{Location, Piece, Step};
use crate::model::resolved::VariableKind;

/// The registers in which a parameter of the function itself is passed, as debug info has them for
/// its entry.
pub(super) fn passed(found: &Found<'_>, frame: &Frame<'_>) -> Option<Location> {
    let entry = frame.at.entry.filter(|_| found.kind == VariableKind::Parameter)?;
    let (Stated::Listed(expressions), unit) = stated(found, entry, Some(entry)).ok()?? else {
        return None;
    };
    let context =
        Context { bias: frame.at.bias, unit: Some((unit.dwarf, &unit.unit)), ..Context::default() };
    let passed = |expression| {
        passed_in_registers(translate(expression, unit.unit.encoding(), context).ok()?)
    };
    expressions.into_iter().find_map(passed)
}

/// Whether the registers that debug info names for parameters at the entry are those in which they
/// are passed. LLVM names for one that is assigned to at once, without an instruction, what it is
/// assigned: then another parameter has the register too, or they are not in order (psABI, 3.2.3).
pub(super) fn are_passed(parameters: &[Found<'_>], frame: &Frame<'_>) -> bool {
    const ORDER: [u8; 6] = [5, 4, 1, 2, 8, 9];
    let registers = parameters.iter().filter_map(|found| passed(found, frame)).flat_map(numbers);
    let places: Option<Vec<usize>> =
        registers.map(|number| ORDER.iter().position(|it| *it == number)).collect();
    places.is_some_and(|places| places.is_sorted_by(|a, b| a < b))
}

/// The registers of a location that [`passed_in_registers`] made.
fn numbers(location: Location) -> Vec<u8> {
    match location {
        Location::Derived(steps) => {
            let number = |step: &Step| match step {
                Step::Entry(number) => Some(*number),
                _ => None,
            };
            steps.iter().filter_map(number).collect()
        }
        Location::Pieces(pieces) => {
            pieces.into_iter().filter_map(|piece| piece.location).flat_map(numbers).collect()
        }
        _ => Vec::new(),
    }
}

/// What is in registers where the function is entered, as what they held there.
fn passed_in_registers(location: Location) -> Option<Location> {
    match location {
        Location::Register(number) => Some(Location::Derived(vec![Step::Entry(number)])),
        Location::Pieces(pieces) => {
            let passed = |Piece { size, location }: Piece| match location {
                Some(location @ Location::Register(_)) => {
                    Some(Piece { size, location: passed_in_registers(location) })
                }
                _ => None,
            };
            pieces.into_iter().map(passed).collect::<Option<_>>().map(Location::Pieces)
        }
        _ => None,
    }
}
