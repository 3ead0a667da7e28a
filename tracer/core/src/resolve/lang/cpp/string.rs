//! Text: `std::string` and its kin.

use super::{container, shaped, unnamed};
use crate::model::container::{Arithmetic, Container, Content, Number, Walk};
use crate::model::types::{Member, Shape, VariantArm};
use crate::resolve::dies::Die;
use crate::resolve::lang::class::Class;

/// `std::basic_string`.
pub(super) fn owned(class: &mut Class<'_, '_>) -> Option<Shape> {
    gnu(class).or_else(|| llvm(class))
}

/// `std::basic_string_view`.
pub(super) fn view(class: &mut Class<'_, '_>) -> Option<Shape> {
    let character = class.argument(0)?;
    let names = [("_M_str", "_M_len"), ("__data_", "__size_"), ("__data", "__size")];
    let (pointer, count) =
        names.iter().find_map(|(data, size)| Some((class.pointer(data)?, class.number(size)?)))?;
    let content = characters(class, &character)?;
    shaped(container(Walk::Run { pointer }, content, Some(count)))
}

/// What a string is made of: bytes are text, wider characters are shown one by one.
fn characters<'a>(class: &mut Class<'_, 'a>, character: &Die<'a>) -> Option<Content> {
    Some(match class.size_of(character)? {
        1 => Content::Text,
        _ => Content::Elements(class.type_id(character)),
    })
}

/// libstdc++ since GCC 5. The one before has its length in front of the characters, and is shown as
/// its members.
fn gnu(class: &mut Class<'_, '_>) -> Option<Shape> {
    let pointer = class.pointer("_M_dataplus._M_p")?;
    let length = class.number("_M_string_length")?;
    let character = class.argument(0)?;
    let buffer = class.field("_M_local_buf")?;
    let inner = class.size_of(&buffer.die)?.checked_div(class.size_of(&character)?)?;
    let outer = class.number("_M_allocated_capacity")?;
    let then_or_else = Box::new([Number::Fixed(inner.checked_sub(1)?), outer]);
    let capacity = Some(Number::IfInside { pointer, then_or_else });
    let content = characters(class, &character)?;
    shaped(Container { capacity, ..container(Walk::Run { pointer }, content, Some(length)) })
}

/// libc++: short text in the string itself, told by the lowest bit of the first byte, which is also
/// the lowest one of the capacity.
fn llvm(class: &mut Class<'_, '_>) -> Option<Shape> {
    let start = "__r_.__value_";
    class.pointer(&format!("{start}.__l.__data_"))?;
    let mut at = |member: &str| class.at(&format!("{start}.{member}"));
    let (pointer, size, cap) = (at("__l.__data_")?, at("__l.__size_")?, at("__l.__cap_"));
    let data = at("__s.__data_")?;
    let rep = at("__l")?;
    // The other layout has its flag at the end.
    if cap.is_some_and(|cap| cap != rep) || pointer <= size || data <= rep {
        return None;
    }
    let character = class.argument(0)?;
    let content = characters(class, &character)?;
    let bits = Number::Field { offset: rep, size: 1 };
    let short = bits.with(Arithmetic::Shr, Number::Fixed(1));
    let room = class.size()?.checked_sub(data)?.checked_div(class.size_of(&character)?)?;
    let inner = Container {
        capacity: Some(Number::Fixed(room.checked_sub(1)?)),
        ..container(Walk::Inside { offset: data }, content.clone(), Some(short))
    };
    let capacity = Number::word(rep).with(Arithmetic::And, Number::Fixed(!1));
    let outer = Container {
        capacity: Some(capacity.with(Arithmetic::Sub, Number::Fixed(1))),
        ..container(Walk::Run { pointer }, content, Some(Number::word(size)))
    };
    let bytes = class.size()?;
    let mut arm = |of: Container, is_long: u128| {
        let type_id = class.made("std::string", bytes, Shape::Container(Box::new(of)));
        let member = unnamed(Member { name: None, offset: 0, type_id, bits: None });
        VariantArm { discriminants: vec![(is_long, is_long)], name: None, members: vec![member] }
    };
    let variants = vec![arm(inner, 0), arm(outer, 1)];
    let byte = class.unsigned(1);
    let flag = Member { name: None, offset: rep, type_id: byte, bits: Some((0, 1)) };
    Some(Shape::Variant { discriminant: Some(flag), variants, common: Vec::new() })
}
