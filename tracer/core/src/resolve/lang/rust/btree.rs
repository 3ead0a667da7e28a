//! `BTreeMap` and `BTreeSet`: nodes with several elements, whose leaves are all of one height.

use super::part::Part;
use super::variant;
use crate::model::container::{BTree, Container, Content, Walk};
use crate::model::types::{Member, Shape};
use crate::resolve::dies::Die;
use crate::resolve::lang::Language;
use crate::resolve::types::{TypeBuilder, array};

/// Elements of a node: it has room for 11.
const ROOM_MAX: u64 = 64;

/// `BTreeMap<K, V>`.
pub(super) fn map<'a>(builder: &mut TypeBuilder<'a>, map: &Part<'a>) -> Option<Shape> {
    tree(builder, map, false)
}

/// `BTreeSet<T>`: a map whose values take no bytes.
pub(super) fn set<'a>(builder: &mut TypeBuilder<'a>, set: &Part<'a>) -> Option<Shape> {
    tree(builder, &set.member(builder, "map")?, true)
}

fn tree<'a>(builder: &mut TypeBuilder<'a>, map: &Part<'a>, is_set: bool) -> Option<Shape> {
    let root = variant::some(builder, &map.member(builder, "root")?)?;
    let count = map.member(builder, "length")?.number(builder)?;
    let height = root.member(builder, "height")?.number(builder)?;
    let (pointer, leaf) = root.member(builder, "node")?.pointer(builder)?;
    let leaf = Part::whole(&leaf);
    let parent = variant::some(builder, &leaf.member(builder, "parent")?)?;
    let (parent, inner) = parent.pointer(builder)?;
    let inner = Part::whole(&inner);
    // A leaf begins every node.
    if inner.member(builder, "data")?.offset != 0 {
        return None;
    }
    let keys = leaf.member(builder, "keys")?;
    let values = leaf.member(builder, "vals")?;
    let room = count_of(builder, &keys.die).filter(|room| *room <= ROOM_MAX)?;
    let tree = BTree {
        pointer,
        height,
        length: leaf.member(builder, "len")?.number(builder)?,
        room,
        elements: keys.offset,
        below: inner.member(builder, "edges")?.offset,
        parent,
        index: leaf.member(builder, "parent_idx")?.number(builder)?,
        leaf_size: leaf.size(builder)?,
        inner_size: inner.size(builder)?,
    };
    if count_of(builder, &values.die)? != room
        || count_of(builder, &inner.member(builder, "edges")?.die)? != room + 1
    {
        return None;
    }
    let element = |builder: &mut TypeBuilder<'a>, array: &Part<'a>, parameter| {
        let die = map.parameter(builder, parameter)?;
        let type_id = builder.type_of_die(die, Language::Rust);
        Some(Member { name: None, offset: array.offset, type_id, bits: None })
    };
    let (key, value) = (element(builder, &keys, "K")?, element(builder, &values, "V")?);
    let content = match is_set {
        true => Content::Elements(key.type_id),
        false => Content::Pairs { size: 0, key, value },
    };
    let walk = Walk::BTree(tree);
    Some(Shape::Container(Box::new(Container {
        walk,
        content,
        count: Some(count),
        capacity: None,
        notes: Vec::new(),
    })))
}

/// The number of elements of an array.
fn count_of<'a>(builder: &TypeBuilder<'a>, array: &Die<'a>) -> Option<u64> {
    match array::dimensions(&builder.dies(), array).ok()?.as_slice() {
        [Some(count)] => Some(*count),
        _ => None,
    }
}
