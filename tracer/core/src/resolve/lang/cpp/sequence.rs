//! Elements in a row, or in rows: `std::vector`, `std::array`, `std::span`, `std::deque`.

use super::{container, shaped};
use crate::model::container::{Arithmetic, Container, Content, Number, Walk, Wrapper};
use crate::model::types::Shape;
use crate::resolve::lang::class::Class;

/// Bits of a byte.
const BITS: u64 = 8;
/// Bytes of a block of libstdc++'s deque; only how much is copied depends on it.
const BLOCK_BYTES: u64 = 512;

/// `std::vector`.
pub(super) fn vector(class: &mut Class<'_, '_>) -> Option<Shape> {
    let argument = class.argument(0)?;
    if argument.name().as_deref() == Some("bool") {
        return bits(class);
    }
    let size = class.size_of(&argument)?;
    let names = [
        ["_M_impl._M_start", "_M_impl._M_finish", "_M_impl._M_end_of_storage"],
        ["__begin_", "__end_", "__end_cap_.__value_"],
        ["__begin_", "__end_", "__cap_"],
    ];
    let [begin, end, room] = names.iter().find_map(|names| {
        Some([class.pointer(names[0])?, class.at(names[1])?, class.at(names[2])?])
    })?;
    let element = class.arguments().into_iter().next()?;
    let content = Content::Elements(class.type_id(&element));
    let count = Number::between(begin, end, size);
    shaped(Container {
        capacity: Some(Number::between(begin, room, size)),
        ..container(Walk::Run { pointer: begin }, content, Some(count))
    })
}

/// `std::vector<bool>`.
fn bits(class: &mut Class<'_, '_>) -> Option<Shape> {
    let element = class.arguments().into_iter().next()?;
    let content = Content::Elements(class.type_id(&element));
    if let (Some(pointer), Some(count)) = (class.pointer("__begin_"), class.number("__size_")) {
        let walk = Walk::Bits { pointer, skip: Number::Fixed(0) };
        return shaped(container(walk, content, Some(count)));
    }
    let pointer = class.pointer("_M_impl._M_start._M_p")?;
    let skip = class.number("_M_impl._M_start._M_offset")?;
    let finish = class.at("_M_impl._M_finish._M_p")?;
    let over = class.number("_M_impl._M_finish._M_offset")?;
    let whole = Number::between(pointer, finish, 1).with(Arithmetic::Mul, Number::Fixed(BITS));
    let count = whole.with(Arithmetic::Add, over).with(Arithmetic::Sub, skip.clone());
    shaped(container(Walk::Bits { pointer, skip }, content, Some(count)))
}

/// `std::array`.
pub(super) fn array(class: &mut Class<'_, '_>) -> Option<Shape> {
    let inner = class.member("_M_elems").or_else(|| class.member("__elems_"))?;
    Some(Shape::Wrapper(Box::new(Wrapper { inner, alive: None, notes: Vec::new() })))
}

/// `std::span`.
pub(super) fn span(class: &mut Class<'_, '_>) -> Option<Shape> {
    let names =
        [("_M_ptr", "_M_extent._M_extent_value"), ("__data", "__size"), ("__data_", "__size_")];
    let (pointer, count) =
        names.iter().find_map(|(data, size)| Some((class.at(data)?, class.number(size)?)))?;
    let element = class.arguments().into_iter().next()?;
    let content = Content::Elements(class.type_id(&element));
    shaped(container(Walk::Run { pointer }, content, Some(count)))
}

/// `std::deque`.
pub(super) fn deque(class: &mut Class<'_, '_>) -> Option<Shape> {
    gnu_deque(class).or_else(|| llvm_deque(class))
}

fn gnu_deque(class: &mut Class<'_, '_>) -> Option<Shape> {
    let element = class.argument(0)?;
    let size = class.size_of(&element).filter(|size| *size > 0)?;
    let mut at = |name: &str| class.at(&format!("_M_impl.{name}"));
    let (first, last) = (at("_M_start._M_first")?, at("_M_start._M_last")?);
    let (start, start_node) = (at("_M_start._M_cur")?, at("_M_start._M_node")?);
    let (finish, finish_node) = (at("_M_finish._M_cur")?, at("_M_finish._M_node")?);
    let finish_first = at("_M_finish._M_first")?;
    let room = Number::between(first, last, size);
    let skip = Number::between(first, start, size);
    let before = Number::between(start_node, finish_node, 8);
    let whole = before.clone().with(Arithmetic::Mul, room.clone());
    let over = Number::between(finish_first, finish, size);
    let count = whole.with(Arithmetic::Add, over).with(Arithmetic::Sub, skip.clone());
    let blocks = before.with(Arithmetic::Add, Number::Fixed(1));
    let copied = (BLOCK_BYTES / size).max(1);
    let walk = Walk::Blocks { pointer: start_node, blocks, room, skip, copied };
    let element = class.arguments().into_iter().next()?;
    let content = Content::Elements(class.type_id(&element));
    shaped(container(walk, content, Some(count)))
}

/// libc++ does not say the room of a block anywhere in debug info: it follows from the elements' size
/// by a rule that is a part of its ABI (`__deque_block_size`).
fn llvm_deque(class: &mut Class<'_, '_>) -> Option<Shape> {
    let pointer = class.pointer("__map_.__begin_")?;
    let end = class.at("__map_.__end_")?;
    let skip = class.number("__start_")?;
    let count = class.number("__size_.__value_").or_else(|| class.number("__size_"))?;
    let element = class.argument(0)?;
    let room = match class.size_of(&element)? {
        size @ 1..256 => 4096 / size,
        _ => 16,
    };
    let blocks = Number::between(pointer, end, 8);
    let walk = Walk::Blocks { pointer, blocks, room: Number::Fixed(room), skip, copied: room };
    let element = class.arguments().into_iter().next()?;
    let content = Content::Elements(class.type_id(&element));
    shaped(container(walk, content, Some(count)))
}
