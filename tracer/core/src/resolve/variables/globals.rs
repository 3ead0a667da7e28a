//! The variables of a unit at file scope: of C's static and global ones, and those in namespaces.

use super::location::Frame;
use super::scopes::{Found, walk};
use super::{FrameAt, variable};
use crate::binary::dwarf::Unit;
use crate::model::location::Location;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::{ScopedVariable, VariableKind};
use crate::resolve::dies::{self, Die, DieError, Entry};
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;
use std::rc::Rc;
use tracer_common::code::Op;

/// No variable is in the first page of a file: that is where its headers are. Linkers leave such an
/// address to what they dropped.
const HEADERS: u64 = 4096;

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
    is_library: bool,
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
            if let Some(reason) = not_this_one(&found, &global, at.bias, is_library) {
                global.location = Err(reason);
            }
            // They are shown with the function whose code it is.
            global.inline_depth = u32::MAX;
            globals.push(global);
        }
        Ok(false)
    })?;
    Ok(globals)
}

/// Why the place that debug info gives is not the variable's.
fn not_this_one(
    found: &Found<'_>,
    global: &ScopedVariable,
    bias: u64,
    is_library: bool,
) -> Option<Reason> {
    let Ok(Location::Memory(address)) = &global.location else { return None };
    let [Op { imm, .. }] = address.as_slice() else { return None };
    if imm.wrapping_sub(bias) < HEADERS {
        return Some(Reason::new(ReasonCode::OptimizedOut, "the linker left it out"));
    }
    let is_external = found.chain.iter().any(|die| dies::flag(&die.entry, gimli::DW_AT_external));
    let detail = "another module may have a variable of this name, which is used instead";
    (is_library && is_external).then(|| Reason::new(ReasonCode::UnsupportedLocation, detail))
}

/// It has a place or a value in this unit.
fn is_defined(entry: &Entry<'_>) -> bool {
    entry.has_attr(gimli::DW_AT_location) || entry.has_attr(gimli::DW_AT_const_value)
}
