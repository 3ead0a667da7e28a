//! Owned elements one behind another: `Vec`, `BinaryHeap`, `VecDeque`.

use super::part::Part;
use super::variant;
use crate::model::container::{Arithmetic, Container, Content, Number, Walk};
use crate::model::types::Shape;
use crate::resolve::dies::Die;
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;

/// The buffer of a vector: `RawVec`.
pub(super) struct Buffer {
    /// Where the pointer to it is.
    pub(super) pointer: u64,
    /// Elements that have room in it.
    pub(super) capacity: Number,
}

/// What a vector owns, before it is said what its elements are.
pub(super) struct Run {
    /// Where they are.
    pub(super) buffer: Buffer,
    /// How many there are.
    pub(super) length: Number,
}

/// `RawVec`, and `RawVecInner` in it from 1.84 on.
fn buffer<'a>(builder: &TypeBuilder<'a>, raw: &Part<'a>) -> Option<Buffer> {
    let raw = raw.member(builder, "inner").unwrap_or_else(|| raw.clone());
    let (pointer, _) = raw.member(builder, "ptr")?.pointer(builder)?;
    let capacity = raw.member(builder, "cap")?.number(builder)?;
    Some(Buffer { pointer, capacity })
}

/// The parts of a `Vec`.
pub(super) fn run<'a>(builder: &TypeBuilder<'a>, vec: &Part<'a>) -> Option<Run> {
    let buffer = buffer(builder, &vec.member(builder, "buf")?)?;
    let length = vec.member(builder, "len")?.number(builder)?;
    Some(Run { buffer, length })
}

/// `Vec<T>`.
pub(super) fn vec<'a>(builder: &mut TypeBuilder<'a>, vec: &Part<'a>) -> Option<Shape> {
    let run = run(builder, vec)?;
    let element = vec.parameter(builder, "T")?;
    Some(elements(builder, element, run))
}

fn elements<'a>(builder: &mut TypeBuilder<'a>, element: Die<'a>, run: Run) -> Shape {
    // Elements without bytes need no room, and of them no capacity is stored.
    let has_bytes = builder.size_of(&element) != Some(0);
    Shape::Container(Box::new(Container {
        walk: Walk::Run { pointer: run.buffer.pointer },
        content: Content::Elements(builder.type_of_die(element, Language::Rust)),
        count: Some(run.length),
        capacity: has_bytes.then_some(run.buffer.capacity),
        notes: Vec::new(),
    }))
}

/// `BinaryHeap<T>`: a vector in the heap's order.
pub(super) fn heap<'a>(builder: &mut TypeBuilder<'a>, heap: &Part<'a>) -> Option<Shape> {
    let data = heap.member(builder, "data").filter(|data| data.is_named("Vec"))?;
    vec(builder, &data)
}

/// `VecDeque<T>`: from 1.67 on a first index and a length; before, two indices into a buffer whose
/// size is a power of two.
pub(super) fn deque<'a>(builder: &mut TypeBuilder<'a>, deque: &Part<'a>) -> Option<Shape> {
    let buffer = buffer(builder, &deque.member(builder, "buf")?)?;
    let element = deque.parameter(builder, "T")?;
    if builder.size_of(&element)? == 0 {
        return None;
    }
    let number = |name| deque.member(builder, name)?.number(builder);
    let (head, count, capacity) = match number("len") {
        Some(length) => (number("head")?, length, buffer.capacity.clone()),
        None => {
            let (tail, head) = (number("tail")?, number("head")?);
            let last = buffer.capacity.clone().with(Arithmetic::Sub, Number::Fixed(1));
            (tail.clone(), between(tail, head, &buffer.capacity, &last), last)
        }
    };
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Ring { pointer: buffer.pointer, room: buffer.capacity.clone(), head },
        content: Content::Elements(builder.type_of_die(element, Language::Rust)),
        count: Some(count),
        capacity: Some(capacity),
        notes: Vec::new(),
    })))
}

/// Elements from the index `tail` on to the one before `head`, which may be in front of it; none of
/// both may be above `last`.
fn between(tail: Number, head: Number, room: &Number, last: &Number) -> Number {
    let wraps = tail.clone().with(Arithmetic::Above, head.clone());
    let beyond = room.clone().with(Arithmetic::Mul, wraps);
    // Zero, or a contradiction.
    let fits = last.clone().with(Arithmetic::Sub, head.clone());
    let fits = fits.with(Arithmetic::And, Number::Fixed(0));
    let end = head.with(Arithmetic::Add, beyond).with(Arithmetic::Add, fits);
    end.with(Arithmetic::Sub, tail)
}

/// `Bytes` and `BytesMut` of the crate of that name: a part of bytes that may be shared.
pub(super) fn bytes<'a>(builder: &mut TypeBuilder<'a>, bytes: &Part<'a>) -> Option<Shape> {
    let (pointer, byte) = bytes.member(builder, "ptr")?.pointer(builder)?;
    if byte.name().as_deref() != Some("u8") {
        return None;
    }
    let capacity = bytes.member(builder, "cap").and_then(|capacity| capacity.number(builder));
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Run { pointer },
        content: Content::Elements(builder.type_of_die(byte, Language::Rust)),
        count: Some(bytes.member(builder, "len")?.number(builder)?),
        capacity,
        notes: Vec::new(),
    })))
}

/// `LinkedList<T>`.
pub(super) fn list<'a>(builder: &mut TypeBuilder<'a>, list: &Part<'a>) -> Option<Shape> {
    let (pointer, node) =
        variant::some(builder, &list.member(builder, "head")?)?.pointer(builder)?;
    let node = Part::whole(&node);
    let link =
        |name| Some(variant::some(builder, &node.member(builder, name)?)?.pointer(builder)?.0);
    let (next, previous) = (link("next")?, link("prev"));
    let element = node.member(builder, "element")?;
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Chain { pointer, next, previous, element: element.offset },
        count: Some(list.member(builder, "len")?.number(builder)?),
        content: Content::Elements(element.type_id(builder)),
        capacity: None,
        notes: Vec::new(),
    })))
}
