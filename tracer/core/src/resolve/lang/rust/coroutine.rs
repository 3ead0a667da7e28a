//! What the compiler makes of `async` and of closures: the states in which a future can be, with the
//! variables that are alive there, and names of captured variables.

use super::variant;
use crate::binary::lines;
use crate::model::types::VariantArm;
use crate::resolve::dies::Die;
use crate::resolve::types::TypeBuilder;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

/// How the compiler names what a closure refers to but does not own.
const BORROWED: &str = "_ref__";
/// States that hold no variables any more, though debug info lists what was captured.
const ENDED: [&str; 2] = ["Returned", "Panicked"];
/// States that a future waits in: `Suspend0`.
const SUSPENDED: &str = "Suspend";

/// Whether a type holds what a closure captured.
pub fn is_closure(die: &Die<'_>) -> bool {
    die.name().is_some_and(|name| name.starts_with("{closure_env#"))
}

/// The name of a variable that a closure captured, of the member that holds it.
pub fn capture_name(name: &str) -> &str {
    name.strip_prefix(BORROWED).unwrap_or(name)
}

/// The state of a future that a DW_TAG_variant stands for: its name with the line at which it waits,
/// and what is alive in it. `None` for a variant of anything else.
pub(super) fn state<'a>(builder: &mut TypeBuilder<'a>, arm: &Die<'a>) -> Option<VariantArm> {
    if builder.is_raw() {
        return None;
    }
    let dies = builder.dies();
    let mut children = dies.children(arm).ok()?.into_iter();
    let entry = children.find(|child| child.tag() == gimli::DW_TAG_member)?;
    let member = Die { unit: Rc::clone(&arm.unit), entry };
    // The states of a future have numbers for names; those of an enum have words.
    member.name()?.parse::<u32>().ok()?;
    let state = dies.reference(&member, gimli::DW_AT_type).ok()??;
    let name = state.name()?;
    if ENDED.contains(&name.as_str()) {
        return Some(VariantArm {
            discriminants: Vec::new(),
            name: Some(name),
            members: Vec::new(),
        });
    }
    let mut members: Vec<_> = variant::members(builder, &state).ok()?;
    let offset = member.number(gimli::DW_AT_data_member_location).unwrap_or(0);
    for member in &mut members {
        member.offset = member.offset.checked_add(offset)?;
        member.name = member.name.as_deref().map(|name| capture_name(name).to_owned());
    }
    // What was captured is listed again among the variables that it became.
    let mut known = HashSet::new();
    members.retain(|member| known.insert((member.name.clone(), member.offset, member.type_id)));
    let waits = name.starts_with(SUSPENDED);
    let place = waits.then(|| line(&member)).flatten();
    let name = place.map_or_else(|| name.clone(), |place| format!("{name} at {place}"));
    Some(VariantArm { discriminants: Vec::new(), name: Some(name), members })
}

/// Where an entry is declared: `file.rs:12`.
fn line(die: &Die<'_>) -> Option<String> {
    let line = die.number(gimli::DW_AT_decl_line)?;
    let file = match die.entry.attr_value(gimli::DW_AT_decl_file)? {
        gimli::AttributeValue::FileIndex(file) => file,
        value => value.udata_value()?,
    };
    let path = lines::path_of(&die.unit.unit, file)?;
    let name = Path::new(&path).file_name()?.to_string_lossy().into_owned();
    Some(format!("{name}:{line}"))
}
