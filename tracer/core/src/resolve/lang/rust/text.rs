//! Owned text: `String`, and what wraps the same bytes (`OsString`, `PathBuf`, `CString`).

use super::part::Part;
use super::vec;
use crate::model::container::{Arithmetic, Container, Content, Number, Walk};
use crate::model::types::Shape;
use crate::resolve::types::TypeBuilder;

/// A type that is nothing but a `Vec<u8>`.
pub(super) fn owned<'a>(builder: &mut TypeBuilder<'a>, text: &Part<'a>) -> Option<Shape> {
    let vector = text.bare(builder);
    let byte = vector.parameter(builder, "T")?;
    if !vector.is_named("Vec") || byte.name().as_deref() != Some("u8") {
        return None;
    }
    let run = vec::run(builder, &vector)?;
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Run { pointer: run.buffer.pointer },
        content: Content::Text,
        count: Some(run.length),
        capacity: Some(run.buffer.capacity),
        notes: Vec::new(),
    })))
}

/// `CString`: a boxed slice of bytes of which the last one is NUL.
pub(super) fn c_string<'a>(builder: &mut TypeBuilder<'a>, text: &Part<'a>) -> Option<Shape> {
    let bytes = text.member(builder, "inner")?;
    if !bytes.die.name()?.starts_with("alloc::boxed::Box<[u8]") {
        return None;
    }
    let (pointer, _) = bytes.member(builder, "data_ptr")?.pointer(builder)?;
    let length = bytes.member(builder, "length")?.number(builder)?;
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Run { pointer },
        content: Content::Text,
        count: Some(length.with(Arithmetic::Sub, Number::Fixed(1))),
        capacity: None,
        notes: Vec::new(),
    })))
}
