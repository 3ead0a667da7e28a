//! Fat pointers: to elements with their number, and to text.

use crate::model::types::Shape;
use crate::resolve::dies::{self, Die, Entry};
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;

/// References to `[T]` and their owner; the names go on with the element and more.
const SLICES: [&str; 5] = ["&[", "&mut [", "*const [", "*mut [", "alloc::boxed::Box<["];
/// References to `str`, whole names.
const TEXTS: [&str; 4] = ["&str", "&mut str", "*const str", "*mut str"];
/// The owner of `str`; an allocator may follow.
const TEXT_OWNER: &str = "alloc::boxed::Box<str";

/// A fat pointer to elements: a record of just `data_ptr` and `length`, named as one. Others of
/// the same form (`&Wrapper<[T]>`, `Rc<[T]>`) have a header before the elements, so they stay
/// records.
pub(super) fn slice<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
    children: &[Entry<'a>],
) -> Option<Shape> {
    let name = die.name()?;
    let text = TEXTS.contains(&name.as_str())
        || name.strip_prefix(TEXT_OWNER).is_some_and(|rest| rest.starts_with(['>', ',']));
    if !text && !SLICES.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let mut members = children.iter().filter(|child| child.tag() == gimli::DW_TAG_member);
    let (first, second) = (members.next()?, members.next()?);
    if members.next().is_some() {
        return None;
    }
    let named = |wanted: &str| {
        [first, second]
            .into_iter()
            .find(|child| dies::name(&die.unit, child).as_deref() == Some(wanted))
    };
    let (pointer, length) = (named("data_ptr")?, named("length")?);
    let target = builder.dies().follow(&die.unit, pointer.attr_value(gimli::DW_AT_type)?).ok()?;
    if target.tag() != gimli::DW_TAG_pointer_type {
        return None;
    }
    let element = target.entry.attr_value(gimli::DW_AT_type)?;
    Some(Shape::Slice {
        pointer_offset: dies::number(pointer, gimli::DW_AT_data_member_location)?,
        length_offset: dies::number(length, gimli::DW_AT_data_member_location)?,
        element: builder.type_of(&target.unit, element, Language::Rust),
        text,
    })
}
