//! Shared ownership: `Rc` and `Arc` with their counts, `Weak` with what became of its object.

use super::cell::note;
use super::part::Part;
use crate::model::container::{Arithmetic, Note, Number, Wrapper};
use crate::model::types::{Encoding, Member, Scalar, Shape, Type, TypeId, VariantArm};
use crate::resolve::dies::Die;
use crate::resolve::types::TypeBuilder;

/// What a `Weak` that never had an object holds: `usize::MAX`.
const DANGLING: u128 = u64::MAX as u128;

/// `Rc<T>`, `Arc<T>` of a sized `T`.
pub(super) fn strong<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let pointer = whole.member(builder, "ptr")?.bare(builder);
    let (at, target) = pointer.pointer(builder)?;
    let notes = counts(builder, at, &target)?;
    let inner = pointer.as_member(builder);
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
    let Number::Field { offset, size: 8 } = strong else { return None };
    let type_id = word(builder);
    let value = whole.member(builder, "value").or_else(|| whole.member(builder, "data"))?;
    let value = value.as_member(builder);
    Some(Shape::Variant {
        discriminant: Some(Member { name: None, offset, type_id, bits: None }),
        variants: vec![
            VariantArm {
                discriminants: vec![(0, 0)],
                name: Some("no owner".to_owned()),
                members: Vec::new(),
            },
            VariantArm { discriminants: Vec::new(), name: None, members: vec![value] },
        ],
        common: Vec::new(),
    })
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

fn word(builder: &mut TypeBuilder<'_>) -> TypeId {
    let shape = Shape::Scalar(Scalar { encoding: Encoding::Unsigned, size: 8 });
    builder.made(Type { name: "usize".to_owned(), size: Some(8), shape })
}
