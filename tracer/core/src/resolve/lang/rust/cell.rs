//! Types that stand for another one: cells, locks with their state, numbers with a promise.

use super::part::Part;
use super::{family, is_of_library};
use crate::model::container::{Arithmetic, Note, Number, Says, Wrapper};
use crate::model::types::{Encoding, Member, Scalar, Shape, Type};
use crate::resolve::types::TypeBuilder;

/// `std::sys`'s futex lock of readers and a writer: the bits that count readers; all of them are a
/// writer. The others say who waits.
const READERS: u64 = (1 << 30) - 1;

/// A type that is nothing but another one: `Cell`, `UnsafeCell`, `NonZero`, `Pin`, atomics. What may
/// be uninitialised stays a union, for only the program knows whether it is.
pub(super) fn transparent<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let mut inner = whole.inside(builder)?;
    loop {
        if inner.die.tag() == gimli::DW_TAG_union_type {
            return None;
        }
        // What has a meaning of its own, or is not the library's, is what is shown.
        let is_wrapper = is_of_library(builder, &inner.die) && family(&inner.die).is_none();
        match inner.inside(builder).filter(|_| is_wrapper) {
            Some(next) => inner = next,
            None => return Some(wrapper(builder, &inner, Vec::new())),
        }
    }
}

/// `AtomicBool`, whose byte is stored as a number.
pub(super) fn atomic_bool<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let Number::Field { offset, size: 1 } = whole.number(builder)? else { return None };
    let shape = Shape::Scalar(Scalar { encoding: Encoding::Bool, size: 1 });
    let type_id = builder.made(Type { name: "bool".to_owned(), size: Some(1), shape });
    let inner = Member { name: None, offset, type_id, bits: None };
    Some(Shape::Wrapper(Box::new(Wrapper { inner, alive: None, notes: Vec::new() })))
}

/// `RefCell`.
pub(super) fn ref_cell<'a>(builder: &mut TypeBuilder<'a>, cell: &Part<'a>) -> Option<Shape> {
    let borrow = cell.member(builder, "borrow")?.number(builder)?;
    let value = cell.at(builder, &["value", "value"])?;
    let words = vec![(0, "no".to_owned()), (-1, "mutably".to_owned())];
    Some(wrapper(builder, &value, vec![note("borrowed", borrow, words)]))
}

/// `Mutex` over a futex.
pub(super) fn mutex<'a>(builder: &mut TypeBuilder<'a>, mutex: &Part<'a>) -> Option<Shape> {
    let inner = mutex.member(builder, "inner")?;
    let futex = inner.member(builder, "futex").or_else(|| inner.at(builder, &["__0", "futex"]))?;
    let words = [(0, "no"), (1, "yes"), (2, "yes, and waited for")];
    let locked = note("locked", futex.number(builder)?, named(&words));
    lock(builder, mutex, locked)
}

/// `RwLock` over a futex.
pub(super) fn rw_lock<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let inner = whole.member(builder, "inner")?;
    let state = inner.member(builder, "state").or_else(|| inner.at(builder, &["__0", "state"]))?;
    let readers = state.number(builder)?.with(Arithmetic::And, Number::Fixed(READERS));
    let words = [(0, "none"), (READERS as i64, "a writer instead")];
    let readers = note("readers", readers, named(&words));
    lock(builder, whole, readers)
}

fn lock<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>, state: Note) -> Option<Shape> {
    let failed = whole.at(builder, &["poison", "failed"])?.number(builder)?;
    let poisoned = note("poisoned", failed, named(&[(0, "no"), (1, "yes")]));
    let value = whole.at(builder, &["data", "value"])?;
    Some(wrapper(builder, &value, vec![state, poisoned]))
}

fn wrapper<'a>(builder: &mut TypeBuilder<'a>, inner: &Part<'a>, notes: Vec<Note>) -> Shape {
    let inner = inner.as_member(builder);
    Shape::Wrapper(Box::new(Wrapper { inner, alive: None, notes }))
}

/// A note of a number, of which some values have words.
pub(super) fn note(name: &str, number: Number, words: Vec<(i64, String)>) -> Note {
    Note { name: name.to_owned(), says: Says::Number(number, words) }
}

fn named(words: &[(i64, &str)]) -> Vec<(i64, String)> {
    words.iter().map(|(number, word)| (*number, (*word).to_owned())).collect()
}
