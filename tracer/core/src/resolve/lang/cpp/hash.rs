//! `std::unordered_map` and its kin: all elements are in one chain.

use super::{container, node, shaped, stored, with_bases};
use crate::model::container::Walk;
use crate::model::types::Shape;
use crate::resolve::lang::class::Class;

/// Keys with values.
pub(super) fn map(class: &mut Class<'_, '_>) -> Option<Shape> {
    table(class, true)
}

/// Keys alone.
pub(super) fn set(class: &mut Class<'_, '_>) -> Option<Shape> {
    table(class, false)
}

fn table(class: &mut Class<'_, '_>, are_pairs: bool) -> Option<Shape> {
    let gnu =
        ["_M_h", "_M_h._M_before_begin._M_nxt", "_M_h._M_element_count", "_M_storage", "_M_nxt"];
    let llvm = [
        "__table_.__p1_",
        "__table_.__p1_.__value_.__next_",
        "__table_.__p2_.__value_",
        "__value_",
        "__next_",
    ];
    [gnu, llvm].iter().find_map(|[owner, first, count, element, next]| {
        let (pointer, count) = (class.at(first)?, class.number(count)?);
        let owner = class.field(owner)?.die;
        let carriers = with_bases(class, owner);
        let (die, element) = node(class, carriers, &[element])?;
        let next = class.of(&die).at(next)?;
        let content = stored(class, &die, are_pairs)?;
        let walk = Walk::Chain { pointer, next, previous: None, element };
        shaped(container(walk, content, Some(count)))
    })
}
