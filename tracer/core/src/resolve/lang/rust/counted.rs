//! Shared ownership: `Rc` and `Arc` with their counts, `Weak` with what became of its object.

use super::cell::note;
use super::dynamic;
use super::part::Part;
use crate::model::container::{Arithmetic, Container, Content, Note, Number, Walk, Wrapper};
use crate::model::types::{Encoding, Member, Scalar, Shape, Type, TypeId, VariantArm};
use crate::resolve::dies::Die;
use crate::resolve::types::TypeBuilder;

/// What a `Weak` that never had an object holds: `usize::MAX`.
const DANGLING: u128 = u64::MAX as u128;

/// `Rc<T>`, `Arc<T>`.
pub(super) fn strong<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let pointer = whole.member(builder, "ptr")?.bare(builder);
    if pointer.die.tag() != gimli::DW_TAG_pointer_type {
        return elements(builder, &pointer).or_else(|| object(builder, &pointer));
    }
    let (at, target) = pointer.pointer(builder)?;
    let notes = counts(builder, at, &target)?;
    let inner = pointer.as_member(builder);
    Some(Shape::Wrapper(Box::new(Wrapper { inner, alive: None, notes })))
}

/// `Rc<[T]>`, `Rc<str>`: the number of elements is beside the pointer to the counts.
fn elements<'a>(builder: &mut TypeBuilder<'a>, pointer: &Part<'a>) -> Option<Shape> {
    let (at, target) = pointer.member(builder, "data_ptr")?.pointer(builder)?;
    let count = pointer.member(builder, "length")?.number(builder)?;
    let notes = counts(builder, at, &target)?;
    let first = value(builder, &Part::whole(&target))?;
    let kind = target.name()?;
    let of_inner = kind.get(kind.find('<')? + 1..)?;
    let content = match of_inner {
        "str>" => Content::Text,
        slice if slice.starts_with('[') => Content::Elements(first.type_id(builder)),
        _ => return None,
    };
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Headed { pointer: at, header: first.offset },
        content,
        count: Some(count),
        capacity: None,
        notes,
    })))
}

/// `Rc<dyn Trait>`: the table of methods is beside the pointer to the counts.
fn object<'a>(builder: &mut TypeBuilder<'a>, pointer: &Part<'a>) -> Option<Shape> {
    let (at, target) = pointer.member(builder, "pointer")?.pointer(builder)?;
    let notes = counts(builder, at, &target)?;
    let inner = Part::whole(&target);
    let (strong, _) = header(builder, &target)?;
    let header = dynamic::Header { bytes: value(builder, &inner)?.offset, alive: strong };
    let shape = dynamic::object(builder, pointer, &target.name()?, Some(&header))?;
    let size = pointer.size(builder);
    let type_id = builder.made(Type { name: pointer.die.name()?, size, shape });
    // The shape has its own offsets from the start of the value.
    let inner = Member { name: None, offset: 0, type_id, bits: None };
    Some(Shape::Wrapper(Box::new(Wrapper { inner, alive: None, notes })))
}

/// `Weak<T>` of a sized `T`.
pub(super) fn weak<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let pointer = whole.member(builder, "ptr")?.bare(builder);
    let (_, target) = pointer.pointer(builder)?;
    header(builder, &target)?;
    let address = Member { type_id: word(builder), ..pointer.as_member(builder) };
    let followed = pointer.as_member(builder);
    Some(Shape::Variant {
        discriminant: Some(address),
        variants: vec![
            VariantArm {
                discriminants: vec![(DANGLING, DANGLING)],
                name: Some("dangling".to_owned()),
                members: Vec::new(),
            },
            VariantArm { discriminants: Vec::new(), name: None, members: vec![followed] },
        ],
        common: Vec::new(),
    })
}

/// `RcInner`, `ArcInner`: what is counted, which is gone when nobody owns it any more.
pub(super) fn counted<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let (strong, _) = header(builder, &whole.die)?;
    let inner = value(builder, whole)?.as_member(builder);
    Some(Shape::Wrapper(Box::new(Wrapper { inner, alive: Some(strong), notes: Vec::new() })))
}

/// What is counted.
fn value<'a>(builder: &TypeBuilder<'a>, inner: &Part<'a>) -> Option<Part<'a>> {
    inner.member(builder, "value").or_else(|| inner.member(builder, "data"))
}

/// The two counts of what a pointer at `at` leads to. All strong ones together count as a weak one.
fn counts<'a>(builder: &TypeBuilder<'a>, at: u64, target: &Die<'a>) -> Option<Vec<Note>> {
    let (strong, weak) = header(builder, target)?;
    let behind = |number| Number::Behind { pointer: at, number: Box::new(number) };
    let weak = behind(weak).with(Arithmetic::Sub, Number::Fixed(1));
    // `Arc::get_mut` locks the weak count while it looks.
    let locked = vec![(-2, "locked".to_owned())];
    Some(vec![note("strong", behind(strong), Vec::new()), note("weak", weak, locked)])
}

/// Where the counts are in what is counted.
fn header<'a>(builder: &TypeBuilder<'a>, target: &Die<'a>) -> Option<(Number, Number)> {
    let inner = Part::whole(target);
    let is_header = ["RcInner", "RcBox", "ArcInner"].iter().any(|name| inner.is_named(name));
    let count = |name| inner.member(builder, name)?.number(builder);
    is_header.then(|| Some((count("strong")?, count("weak")?)))?
}

pub(super) fn word(builder: &mut TypeBuilder<'_>) -> TypeId {
    let shape = Shape::Scalar(Scalar { encoding: Encoding::Unsigned, size: 8 });
    builder.made(Type { name: "usize".to_owned(), size: Some(8), shape })
}
