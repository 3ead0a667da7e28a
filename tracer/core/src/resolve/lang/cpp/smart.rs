//! Pointers that own, and other wrappers of one value.

use super::unnamed;
use crate::model::container::{Arithmetic, Note, Number, Says, Wrapper};
use crate::model::types::{Member, Shape, VariantArm};
use crate::resolve::lang::class::Class;

fn wrapper(inner: Member, alive: Option<Number>, notes: Vec<Note>) -> Option<Shape> {
    Some(Shape::Wrapper(Box::new(Wrapper { inner, alive, notes })))
}

/// The first member of these names.
fn one_of(class: &mut Class<'_, '_>, names: &[&str]) -> Option<Member> {
    names.iter().find_map(|name| class.member(name)).map(unnamed)
}

/// `std::unique_ptr`.
pub(super) fn unique(class: &mut Class<'_, '_>) -> Option<Shape> {
    let names = ["_M_t._M_t._M_head_impl", "_M_t._M_head_impl", "__ptr_.__value_", "__ptr_"];
    wrapper(one_of(class, &names)?, None, Vec::new())
}

/// `std::shared_ptr`: the counts are those of owners, as `use_count()` gives them.
pub(super) fn shared(class: &mut Class<'_, '_>) -> Option<Shape> {
    let inner = one_of(class, &["_M_ptr", "__ptr_"])?;
    let notes = counts(class).map_or_else(Vec::new, |(_, notes)| notes);
    wrapper(inner, None, notes)
}

/// `std::weak_ptr`: what it points to is there only while others own it.
pub(super) fn weak(class: &mut Class<'_, '_>) -> Option<Shape> {
    let inner = one_of(class, &["_M_ptr", "__ptr_"])?;
    if let Some((owners, notes)) = counts(class) {
        return wrapper(inner, Some(owners), notes);
    }
    // Without the count it may lead to what is gone.
    let nothing = class.made("void", 0, Shape::Nothing);
    let type_id = class.made("void *", 8, Shape::Pointer(nothing));
    let why = "unknown: debug info does not describe the control block".to_owned();
    let notes = vec![Note { name: "owners".to_owned(), says: Says::Text(why) }];
    wrapper(Member { type_id, ..inner }, None, notes)
}

/// The number of owners, and what is said of them and of those that only watch.
fn counts(class: &mut Class<'_, '_>) -> Option<(Number, Vec<Note>)> {
    let (pointer, owners, watchers) = gnu_counts(class).or_else(|| llvm_counts(class))?;
    let behind = |number| Number::Behind { pointer, number: Box::new(number) };
    let note = |name: &str, number| Note {
        name: name.to_owned(),
        says: Says::Number(behind(number), Vec::new()),
    };
    let notes = vec![note("owners", owners.clone()), note("weak", watchers)];
    Some((behind(owners), notes))
}

fn gnu_counts(class: &mut Class<'_, '_>) -> Option<(u64, Number, Number)> {
    let pointer = class.pointer("_M_refcount._M_pi")?;
    let block = class.behind("_M_refcount._M_pi")?;
    let mut block = class.of(&block);
    let (owners, weak) = (block.number("_M_use_count")?, block.number("_M_weak_count")?);
    // All owners together watch once.
    let is_owned = owners.clone().with(Arithmetic::Above, Number::Fixed(0));
    Some((pointer, owners, weak.with(Arithmetic::Sub, is_owned)))
}

/// libc++ counts owners from minus one on, and watchers, all owners together among them, too.
fn llvm_counts(class: &mut Class<'_, '_>) -> Option<(u64, Number, Number)> {
    let pointer = class.pointer("__cntrl_")?;
    let block = class.behind("__cntrl_")?;
    let mut block = class.of(&block);
    let (owners, weak) =
        (block.number("__shared_owners_")?, block.number("__shared_weak_owners_")?);
    let owners = owners.with(Arithmetic::Wrap, Number::Fixed(1));
    let is_owned = owners.clone().with(Arithmetic::Above, Number::Fixed(0));
    let weak = weak.with(Arithmetic::Wrap, Number::Fixed(1));
    Some((pointer, owners, weak.with(Arithmetic::Sub, is_owned)))
}

/// `std::atomic`.
pub(super) fn atomic(class: &mut Class<'_, '_>) -> Option<Shape> {
    let names = ["_M_i", "_M_base._M_i", "_M_b._M_p", "_M_fp", "__a_.__a_value"];
    wrapper(one_of(class, &names)?, None, Vec::new())
}

/// `std::function`: what calls the target, whose name has the target's type in it. Without a target
/// it may hold what was there before.
pub(super) fn function(class: &mut Class<'_, '_>) -> Option<Shape> {
    let (invoker, offset) = (one_of(class, &["_M_invoker"])?, class.pointer("_M_manager")?);
    let manager = Member { name: None, offset, type_id: class.unsigned(8), bits: None };
    let none = VariantArm {
        discriminants: vec![(0, 0)],
        name: Some("empty".to_owned()),
        members: Vec::new(),
    };
    let some = VariantArm { discriminants: Vec::new(), name: None, members: vec![invoker] };
    let variants = vec![none, some];
    Some(Shape::Variant { discriminant: Some(manager), variants, common: Vec::new() })
}

/// `std::any`: what manages the value, whose name has the value's type in it.
pub(super) fn any(class: &mut Class<'_, '_>) -> Option<Shape> {
    wrapper(one_of(class, &["_M_manager", "__h"])?, None, Vec::new())
}
