//! `std::list` and `std::forward_list`.

use super::{container, content, node, shaped, with_bases};
use crate::model::container::Walk;
use crate::model::types::Shape;
use crate::resolve::lang::class::Class;

/// `std::list`.
pub(super) fn list(class: &mut Class<'_, '_>) -> Option<Shape> {
    gnu(class).or_else(|| llvm(class))
}

fn gnu(class: &mut Class<'_, '_>) -> Option<Shape> {
    let pointer = class.pointer("_M_impl._M_node._M_next")?;
    // Before GCC 5 a list did not know its size.
    let count = class.number("_M_impl._M_node._M_size");
    let owner = class.field("_M_impl")?.die;
    let carriers = with_bases(class, owner);
    let (die, element) = node(class, carriers, &["_M_storage", "_M_data"])?;
    let (next, previous) = (class.of(&die).at("_M_next")?, class.of(&die).at("_M_prev")?);
    let of = class.argument(0)?;
    let content = content(class, &of, false)?;
    let walk = Walk::Chain { pointer, next, previous: Some(previous), element };
    shaped(container(walk, content, count))
}

fn llvm(class: &mut Class<'_, '_>) -> Option<Shape> {
    let pointer = class.pointer("__end_.__next_")?;
    let size = class.field("__size_alloc_")?.die;
    let count = class.number("__size_alloc_.__value_")?;
    let carriers = with_bases(class, size);
    let (die, element) = node(class, carriers, &["__value_"])?;
    let (next, previous) = (class.of(&die).at("__next_")?, class.of(&die).at("__prev_")?);
    let of = class.argument(0)?;
    let content = content(class, &of, false)?;
    let walk = Walk::Chain { pointer, next, previous: Some(previous), element };
    shaped(container(walk, content, Some(count)))
}

/// `std::forward_list`, which does not know its size.
pub(super) fn forward_list(class: &mut Class<'_, '_>) -> Option<Shape> {
    let gnu = ["_M_impl", "_M_impl._M_head._M_next", "_M_storage", "_M_next"];
    let llvm = ["__before_begin_", "__before_begin_.__value_.__next_", "__value_", "__next_"];
    [gnu, llvm].iter().find_map(|[owner, first, element, next]| {
        let pointer = class.at(first)?;
        let owner = class.field(owner)?.die;
        let carriers = with_bases(class, owner);
        let (die, element) = node(class, carriers, &[element])?;
        let next = class.of(&die).at(next)?;
        let of = class.argument(0)?;
        let content = content(class, &of, false)?;
        shaped(container(Walk::Chain { pointer, next, previous: None, element }, content, None))
    })
}
