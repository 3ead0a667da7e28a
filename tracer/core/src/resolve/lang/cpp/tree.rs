//! `std::map`, `std::set` and those with equal keys.

use super::{container, node, shaped, stored, with_bases};
use crate::model::container::Walk;
use crate::model::types::Shape;
use crate::resolve::lang::class::Class;

/// Keys with values.
pub(super) fn map(class: &mut Class<'_, '_>) -> Option<Shape> {
    tree(class, true)
}

/// Keys alone.
pub(super) fn set(class: &mut Class<'_, '_>) -> Option<Shape> {
    tree(class, false)
}

/// The members of one library: what the allocator is in, the leftmost node, the size; then those of
/// a node.
struct Names {
    owner: &'static str,
    first: &'static str,
    count: &'static str,
    element: &'static [&'static str],
    left: &'static str,
    right: &'static str,
    parent: &'static str,
}

const GNU: Names = Names {
    owner: "_M_t._M_impl",
    first: "_M_t._M_impl._M_header._M_left",
    count: "_M_t._M_impl._M_node_count",
    element: &["_M_storage", "_M_value_field"],
    left: "_M_left",
    right: "_M_right",
    parent: "_M_parent",
};

const LLVM: Names = Names {
    owner: "__tree_.__pair1_",
    first: "__tree_.__begin_node_",
    count: "__tree_.__pair3_.__value_",
    element: &["__value_"],
    left: "__left_",
    right: "__right_",
    parent: "__parent_",
};

fn tree(class: &mut Class<'_, '_>, are_pairs: bool) -> Option<Shape> {
    [GNU, LLVM].iter().find_map(|names| {
        let (pointer, count) = (class.pointer(names.first)?, class.number(names.count)?);
        let owner = class.field(names.owner)?.die;
        let carriers = with_bases(class, owner);
        let (die, element) = node(class, carriers, names.element)?;
        let content = stored(class, &die, are_pairs)?;
        let mut node = class.of(&die);
        let walk = Walk::Tree {
            pointer,
            left: node.at(names.left)?,
            right: node.at(names.right)?,
            parent: node.at(names.parent)?,
            element,
        };
        shaped(container(walk, content, Some(count)))
    })
}
