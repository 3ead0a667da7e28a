//! `std::tuple`: each member is in a base of its own.

use crate::model::types::{Member, Shape};
use crate::resolve::lang::class::Class;

/// Members of a tuple: debug info may say that one is its own base.
const MEMBERS_MAX: usize = 1024;

/// `std::tuple`.
pub(super) fn tuple(class: &mut Class<'_, '_>) -> Option<Shape> {
    gnu(class).or_else(|| llvm(class))
}

fn numbered(members: Vec<(u64, crate::model::types::TypeId)>) -> Shape {
    let member = |(index, (offset, type_id))| Member {
        name: Some(format!("__{index}")),
        offset,
        type_id,
        bits: None,
    };
    Shape::Record(members.into_iter().enumerate().map(member).collect())
}

/// `_Tuple_impl<0, …>` has the first member as one base and `_Tuple_impl<1, …>` as another. A member
/// without members of its own may be a base itself.
fn gnu(class: &mut Class<'_, '_>) -> Option<Shape> {
    let mut members = Vec::new();
    let mut next = class.base("_Tuple_impl<");
    if next.is_none() && !class.name_of(&class.die().clone()).ends_with("tuple<>") {
        return None;
    }
    let mut at = 0u64;
    while let Some((offset, part)) = next {
        at = at.checked_add(offset)?;
        let (head_at, head) = class.of(&part).base("_Head_base<")?;
        let (inner, type_id) = match class.of(&head).field("_M_head_impl") {
            Some(field) => (field.offset, class.type_of(&field)),
            None => {
                let (offset, base) = class.of(&head).bases().into_iter().next()?;
                (offset, class.type_id(&base))
            }
        };
        if members.len() >= MEMBERS_MAX {
            return None;
        }
        members.push((at.checked_add(head_at)?.checked_add(inner)?, type_id));
        next = class.of(&part).base("_Tuple_impl<");
    }
    Some(numbered(members))
}

/// `__tuple_impl` has a `__tuple_leaf` for each as a base.
fn llvm(class: &mut Class<'_, '_>) -> Option<Shape> {
    let types = class.arguments();
    let base = class.field("__base_")?;
    let leaves = class.of(&base.die).bases();
    let mut members = Vec::new();
    let leaves: Vec<_> = leaves.iter().filter(|(_, leaf)| is_leaf(leaf)).collect();
    if leaves.len() != types.len() {
        return None;
    }
    for (leaf, of) in leaves.into_iter().zip(&types) {
        let (offset, leaf) = leaf;
        let inner = class.of(leaf).at("__value_").unwrap_or(0);
        let offset = base.offset.checked_add(*offset)?.checked_add(inner)?;
        members.push((offset, class.type_id(of)));
    }
    Some(numbered(members))
}

fn is_leaf(die: &crate::resolve::dies::Die<'_>) -> bool {
    die.name().is_some_and(|name| name.starts_with("__tuple_leaf<"))
}
