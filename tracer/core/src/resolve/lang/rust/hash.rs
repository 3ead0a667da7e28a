//! `HashMap` and `HashSet`: the standard library's are those of the crate hashbrown.

use super::part::Part;
use crate::model::container::{Container, Content, Walk};
use crate::model::types::Shape;
use crate::resolve::types::TypeBuilder;

/// `HashMap<K, V>`.
pub(super) fn map<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let map = whole.member(builder, "base").unwrap_or_else(|| whole.clone());
    table(builder, &map.member(builder, "table")?)
}

/// `HashSet<T>`: a map whose values take no bytes.
pub(super) fn set<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let set = whole.member(builder, "base").unwrap_or_else(|| whole.clone());
    table(builder, &set.at(builder, &["map", "table"])?)
}

fn table<'a>(builder: &mut TypeBuilder<'a>, raw: &Part<'a>) -> Option<Shape> {
    let pair = Part::whole(&raw.parameter(builder, "T")?);
    let size = pair.size(builder).filter(|size| *size > 0)?;
    let inner = raw.member(builder, "table")?;
    let (pointer, _) = inner.member(builder, "ctrl")?.pointer(builder)?;
    let mask = inner.member(builder, "bucket_mask")?.number(builder)?;
    let count = inner.member(builder, "items")?.number(builder)?;
    let (key, value) = (pair.member(builder, "__0")?, pair.member(builder, "__1")?);
    let is_set = value.die.name().as_deref() == Some("()")
        && (key.offset, key.size(builder)) == (0, Some(size));
    let content = if is_set {
        Content::Elements(key.type_id(builder))
    } else {
        let (key, value) = (key.as_member(builder), value.as_member(builder));
        Content::Pairs { size, key, value }
    };
    let crate::model::container::Number::Field { offset: mask, size: 8 } = mask else {
        return None;
    };
    Some(Shape::Container(Box::new(Container {
        walk: Walk::Table { pointer, mask },
        content,
        count: Some(count),
        capacity: None,
        notes: Vec::new(),
    })))
}
