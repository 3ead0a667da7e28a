//! Whether a local variable has been declared when the pc is reached.
//!
//! Debug info of unoptimised code states one location for a variable's whole block, but before its
//! declaration the variable is not in scope of the language, and what lies there is garbage.

use super::LineAt;
use super::scopes::Found;
use crate::binary::expression::next_operation;
use crate::binary::lines::path_of;
use crate::model::resolved::VariableKind;
use crate::resolve::dies::number;
use gimli::AttributeValue;
use tracer_common::wire::{RBP, RSP};

/// The variable lives in the frame, in one place for its whole block, and its declaration comes
/// behind `here`. False where debug info does not tell.
pub(super) fn is_ahead(found: &Found<'_>, here: &LineAt) -> bool {
    lives_in_frame(found) && comes_later(found, here)
}

/// The variable's declaration comes behind `here`. False where debug info does not tell.
pub(super) fn comes_later(found: &Found<'_>, here: &LineAt) -> bool {
    if found.kind != VariableKind::Local {
        return false;
    }
    let Some((file, line)) = declared(found) else { return false };
    let ahead = if here.starts { line >= here.line.line } else { line > here.line.line };
    ahead && file == here.line.file
}

fn lives_in_frame(found: &Found<'_>) -> bool {
    let stated = found
        .chain
        .iter()
        .find_map(|die| Some((die, die.entry.attr_value(gimli::DW_AT_location)?)));
    let Some((die, AttributeValue::Exprloc(expression))) = stated else { return false };
    let mut bytes = expression.0;
    match next_operation(&mut bytes, die.unit.unit.encoding()) {
        Ok(gimli::Operation::FrameOffset { .. }) => true,
        Ok(gimli::Operation::RegisterOffset { register, .. }) => {
            matches!(usize::from(register.0), RBP | RSP)
        }
        _ => false,
    }
}

/// File and line of the declaration.
fn declared(found: &Found<'_>) -> Option<(String, u64)> {
    found.chain.iter().find_map(|die| {
        let line = number(&die.entry, gimli::DW_AT_decl_line)?;
        let file = match die.entry.attr_value(gimli::DW_AT_decl_file)? {
            AttributeValue::FileIndex(file) | AttributeValue::Udata(file) => file,
            AttributeValue::Data1(file) => u64::from(file),
            _ => return None,
        };
        Some((path_of(&die.unit.unit, file)?, line))
    })
}
