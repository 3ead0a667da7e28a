//! A record → a capture: the memory image, the stack, and the values of variables in it.
//!
//! Pure: bytes and debug info in, values out. What can't be shown carries the reason.

mod bits;
mod entry;
mod evaluate;
mod image;
mod kept;
pub mod record;
mod registers;
mod source;
mod stack;
mod unwind;
mod value;

#[cfg(test)]
mod fake;

use self::entry::Entries;
use self::image::Image;
use self::registers::Registers;
use self::source::Source;
use self::value::{Root, World};
use crate::binary::code_map::CodeMap;
use crate::model::capture::{Capture, Frame, Provenance, Variable};
use crate::model::limits::Limits;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::record::Record;
use crate::model::resolved::{Moved, ScopedVariable, Site};
use crate::model::types::TypeGraph;
use crate::model::value::{Typed, Value};

/// Works a capture out of a record of `site`, which is number `site_index` of its resolution and
/// has its types in `types`. `limits` are those of the plan, `code` is the code of the process,
/// `time_unix_ns` is the record's boot time as nanoseconds since the epoch.
pub fn decode(
    record: &Record,
    site_index: usize,
    site: &Site,
    types: &TypeGraph,
    limits: &Limits,
    code: &dyn CodeMap,
    time_unix_ns: i128,
) -> Capture {
    let image = Image::new(record);
    let registers = Registers::known(&record.registers);
    let world = World { image: &image, types, code, limits };
    let (physical, end) = unwind::walk(registers.clone(), &image, code);
    let kept = kept::kept(record, site, physical.get(1));
    let entries = Entries::new(&physical, &image, code).of_which_kept(site, kept);
    let variables = variables(&world, &registers, &entries, site);
    let mut stack = stack::name(&physical, end, code);
    assign(stack.frames.get_mut(..stack.at_hit).unwrap_or(&mut []), variables);
    Capture {
        site: site_index,
        hit: record.hit,
        time_boot_ns: record.time_boot_ns,
        time_unix_ns,
        start_boot_ns: record.start_boot_ns,
        pid: record.pid,
        tid: record.tid,
        cpu: record.cpu,
        comm: record.comm.clone(),
        frames: stack.frames,
        stack_end: stack.end,
        flags: record.flags,
        registers: record.registers.to_vec(),
    }
}

/// The site's variables with the number of the frame that each belongs to.
fn variables(
    world: &World<'_>,
    registers: &Registers,
    entries: &Entries<'_>,
    site: &Site,
) -> Vec<(u32, Variable)> {
    // Where variables are is known for the site's pc only.
    let is_here = registers.pc() == Some(site.pc.0);
    // An inlined function has no entry of its own: what is known is that of the function around it.
    let at_entry = |number| entries.register(0, number);
    let locate = |variable: &ScopedVariable| match (&variable.location, &variable.at_entry) {
        _ if !is_here => Source::Missing(ReasonCode::CodeMoved.into()),
        (Ok(location), _) => evaluate::locate(location, registers, world.image, &at_entry),
        (Err(reason), None) => Source::Missing(reason.clone()),
        (Err(reason), Some(location)) => {
            match evaluate::locate(location, registers, world.image, &at_entry) {
                Source::Missing(why) => Source::Missing(without_entry_value(reason, &why)),
                source => source,
            }
        }
    };
    let located = site.variables.iter().map(|variable| {
        let mut source = locate(variable);
        // What it is at another pc, if nothing tells what it is here or what it was passed as.
        let is_missing = matches!(source, Source::Missing(_));
        let mut moved = variable.moved.as_ref().filter(|_| is_missing && is_here);
        if let Some(found) = moved {
            match evaluate::locate(&found.location, registers, world.image, &at_entry) {
                Source::Missing(_) => moved = None,
                there => source = there,
            }
        }
        (Root { name: &variable.name, type_id: variable.type_id, source }, moved)
    });
    let (roots, moved): (Vec<Root<'_>>, Vec<Option<&Moved>>) = located.unzip();
    let values = value::values(world, &roots);
    let all = site.variables.iter().zip(&roots).zip(moved).zip(values);
    all.map(|(((variable, root), moved), value)| {
        let is_there = !matches!(value.value, Value::Unavailable(_));
        let moved = moved.filter(|_| is_there).map(|moved| moved.other.clone());
        let provenance = match provenance(world, variable, root, &value) {
            _ if moved.is_some() => Provenance::MovedPc,
            Provenance::EntryValue if entries.are_kept() => Provenance::EntryProbe,
            other => other,
        };
        let ScopedVariable { name, kind, inline_depth, .. } = variable;
        (*inline_depth, Variable { name: name.clone(), kind: *kind, value, provenance, moved })
    })
    .collect()
}

fn provenance(
    world: &World<'_>,
    variable: &ScopedVariable,
    root: &Root<'_>,
    value: &Typed,
) -> Provenance {
    match variable.location.as_ref().ok().or(variable.at_entry.as_ref()) {
        _ if matches!(value.value, Value::Unavailable(_)) => Provenance::None,
        Some(location) if evaluate::is_constant(location) => Provenance::Constant,
        Some(_) => {
            let size = world.types.get(root.type_id).size.unwrap_or(0);
            root.source.provenance(world.image, 0, size)
        }
        None => Provenance::None,
    }
}

/// Why a variable is missing whose caller could have helped.
fn without_entry_value(here: &Reason, caller: &Reason) -> Reason {
    let detail = match (here.detail.as_str(), caller.detail.as_str()) {
        (_, "") => here.detail.clone(),
        ("", caller) => format!("its value at entry: {caller}"),
        (here, caller) => format!("{here}; its value at entry: {caller}"),
    };
    Reason::new(here.code, detail)
}

/// Gives variables to the frames at the hit's pc. Where debug info for lines knows fewer inlined
/// calls than that for variables, the outermost of these frames takes the rest.
fn assign(at_hit: &mut [Frame], variables: Vec<(u32, Variable)>) {
    let outermost = at_hit.len().saturating_sub(1);
    for (depth, variable) in variables {
        let index = usize::try_from(depth).map_or(outermost, |depth| depth.min(outermost));
        if let Some(frame) = at_hit.get_mut(index) {
            frame.variables.push(variable);
        }
    }
}

#[cfg(test)]
mod tests;
