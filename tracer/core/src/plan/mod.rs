//! Site + types + limits → capture plan. Pure.

mod layouts;
mod pointers;
mod roots;
mod walks;

use crate::model::limits::Limits;
use crate::model::plan::Plan;
use crate::model::resolved::Site;
use crate::model::types::TypeGraph;
use layouts::Layouts;
use tracer_common::code::{Code, Op};

/// Compiles the plan of a site: a root for each variable that has a location, and a layout for
/// each type that the chase can reach within the depth limit.
///
/// The same site, types and limits give the same plan.
pub fn compile(site: &Site, types: &TypeGraph, limits: Limits) -> Plan {
    let mut layouts = Layouts::new(types, limits);
    let mut ops = Vec::new();
    roots::keep_entry(&mut ops, site);
    for variable in &site.variables {
        // What is known from the caller alone may have parts that are here.
        let moved = variable.moved.as_ref().map(|moved| &moved.location);
        let here = variable.location.as_ref().ok();
        for location in here.or(variable.at_entry.as_ref()).into_iter().chain(moved) {
            let location = roots::by_entry(location, site);
            roots::compile(&mut ops, &mut layouts, variable.type_id, &location);
        }
    }
    ops.push(Op::new(Code::End, 0, 0));
    let (layouts, edges) = layouts.finish();
    Plan { ops, layouts, edges, limits }
}

#[cfg(test)]
mod tests;
