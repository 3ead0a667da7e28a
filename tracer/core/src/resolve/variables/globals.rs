//! The variables of a unit at file scope: of C's static and global ones, and those in namespaces.

use super::location::Frame;
use super::scopes::{Found, walk};
use super::{FrameAt, variable};
use crate::binary::dwarf::Unit;
use crate::model::resolved::{ScopedVariable, VariableKind};
use crate::resolve::dies::{self, Die, DieError, Entry};
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;
use std::rc::Rc;

/// At most `most` variables that the unit defines, in the order of debug info, named with the
/// namespaces that they are in.
///
/// # Errors
///
/// When the unit is malformed.
pub fn globals<'a>(
    builder: &mut TypeBuilder<'a>,
    unit: &Unit<'_>,
    at: &FrameAt<'_>,
    most: usize,
) -> Result<Vec<ScopedVariable>, DieError> {
    let dies = builder.dies();
    let unit = dies.unit(unit)?;
    let frame = Frame::new(&dies, &unit, at);
    let language = unit.language.unwrap_or(Language::Other);
    let mut globals = Vec::new();
    // The namespaces around the next entry, each with its depth.
    let mut spaces: Vec<(isize, Option<String>)> = Vec::new();
    walk(&unit, unit.unit.header.root_offset(), |entry| {
        let depth = entry.depth();
        spaces.retain(|(outer, _)| *outer < depth);
        match entry.tag() {
            gimli::DW_TAG_namespace => {
                spaces.push((depth, dies::name(&unit, entry)));
                return Ok(globals.len() < most);
            }
            gimli::DW_TAG_variable if is_defined(entry) && globals.len() < most => {}
            _ => return Ok(false),
        }
        let die = Die { unit: Rc::clone(&unit), entry: entry.clone() };
        let found = Found { chain: dies.origins(&die)?, kind: VariableKind::Global };
        if let Some(mut global) = variable(builder, &found, &frame, language, false) {
            let names = spaces.iter().filter_map(|(_, name)| name.as_deref());
            global.name = names.chain([global.name.as_str()]).collect::<Vec<_>>().join("::");
            // They are shown with the function whose code it is.
            global.inline_depth = u32::MAX;
            globals.push(global);
        }
        Ok(false)
    })?;
    Ok(globals)
}

/// It has a place or a value in this unit.
fn is_defined(entry: &Entry<'_>) -> bool {
    entry.has_attr(gimli::DW_AT_location) || entry.has_attr(gimli::DW_AT_const_value)
}
