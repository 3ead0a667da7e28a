//! Types of every shape, for bytes that are no program's.

use tracer_core::model::container::{BTree, Container, Content, Note, Number, Says, Walk, Wrapper};
use tracer_core::model::types::{
    Encoding, Member, Scalar, Shape, Type, TypeGraph, TypeId, VariantArm,
};

/// A type of each shape; they refer to one another in circles.
pub(crate) fn all() -> TypeGraph {
    let scalar = |encoding, size| Shape::Scalar(Scalar { encoding, size });
    let member = |offset, id, bits| Member { name: None, offset, type_id: TypeId(id), bits };
    let slice = |text| Shape::Slice {
        element: TypeId(if text { 1 } else { 8 }),
        pointer_offset: 0,
        length_offset: 8,
        text,
    };
    let tag = Member { name: None, offset: 0, type_id: TypeId(1), bits: None };
    let arm = |value, id| VariantArm {
        name: None,
        discriminants: vec![(value, value + 3)],
        members: vec![member(8, id, None)],
    };
    let byte = Scalar { encoding: Encoding::Unsigned, size: 1 };
    let shapes = [
        (8, scalar(Encoding::Signed, 8)),
        (1, scalar(Encoding::Unsigned, 1)),
        (1, scalar(Encoding::Bool, 1)),
        (4, scalar(Encoding::Utf, 4)),
        (16, scalar(Encoding::Float, 16)),
        (8, scalar(Encoding::Float, 8)),
        (1, Shape::Enumeration { scalar: byte, names: vec![(1, "ONE".to_owned())] }),
        (8, Shape::Pointer(TypeId(8))),
        (
            24,
            Shape::Record(vec![
                member(0, 7, None),
                member(8, 9, None),
                member(16, 0, Some((3, 70))),
            ]),
        ),
        (8, Shape::TextPointer),
        (16, slice(false)),
        (16, slice(true)),
        (800, Shape::Array { element: TypeId(7), count: Some(100) }),
        (0, Shape::Array { element: TypeId(8), count: None }),
        (24, Shape::Union(vec![member(0, 8, None), member(0, 11, None)])),
        (
            16,
            Shape::Variant {
                discriminant: Some(tag),
                variants: vec![arm(0, 7), arm(200, 10)],
                common: Vec::new(),
            },
        ),
        (8, Shape::Pointer(TypeId(17))),
        (0, Shape::Function),
        (0, Shape::Nothing),
    ];
    let types =
        shapes.into_iter().chain(containers()).enumerate().map(|(number, (size, shape))| Type {
            name: format!("t{number}"),
            size: Some(size),
            shape,
        });
    TypeGraph { types: types.collect(), raw: false }
}

/// A container by each walk; one that counts itself, and one that does not.
fn containers() -> Vec<(u64, Shape)> {
    let word = Number::word;
    let walks = [
        Walk::Inside { offset: 8 },
        Walk::Run { pointer: 0 },
        Walk::Ring { pointer: 0, room: word(16), head: word(24) },
        Walk::Bits { pointer: 0, skip: Number::Field { offset: 16, size: 4 } },
        Walk::Blocks {
            pointer: 0,
            blocks: word(16),
            room: Number::Fixed(4),
            skip: word(24),
            copied: 4,
        },
        Walk::Chain { pointer: 0, next: 0, previous: Some(8), element: 16 },
        Walk::Tree { pointer: 0, left: 16, right: 24, parent: 8, element: 32 },
        Walk::BTree(BTree {
            pointer: 0,
            height: word(16),
            length: Number::Field { offset: 10, size: 2 },
            room: 11,
            elements: 16,
            below: 200,
            parent: 0,
            index: Number::Field { offset: 8, size: 2 },
            leaf_size: 200,
            inner_size: 296,
        }),
        Walk::Table { pointer: 0, mask: 16 },
    ];
    let member = |offset, id| Member { name: None, offset, type_id: TypeId(id), bits: None };
    let contents = [
        Content::Elements(TypeId(8)),
        Content::Text,
        Content::Pairs { size: 24, key: member(0, 9), value: member(8, 7) },
    ];
    let pairs = walks.iter().flat_map(|walk| contents.iter().map(move |content| (walk, content)));
    let shapes = pairs.enumerate().map(|(number, (walk, content))| {
        let count = (number % 2 == 0).then(|| word(8));
        let behind = Number::Behind { pointer: 0, number: Box::new(word(8)) };
        let notes = vec![Note { name: "note".to_owned(), says: Says::Number(behind, Vec::new()) }];
        Shape::Container(Box::new(Container {
            walk: walk.clone(),
            content: content.clone(),
            count,
            capacity: (number % 3 == 0).then(|| word(16)),
            notes,
        }))
    });
    let wrapper = Wrapper { inner: member(8, 7), alive: Some(word(0)), notes: Vec::new() };
    shapes.chain([Shape::Wrapper(Box::new(wrapper))]).map(|shape| (32, shape)).collect()
}
