//! What plans look like for the forms of locations and types.

use super::*;
use crate::model::address;
use crate::model::location::{Location, Piece};
use crate::model::resolved::{ScopedVariable, TrapClass, VariableKind};
use crate::model::types::{Encoding, Member, Scalar, Shape, Type, TypeId};
use tracer_common::code::{Edge, Layout, TEXT};

fn graph(types: Vec<(u64, Shape)>) -> TypeGraph {
    let types = types
        .into_iter()
        .map(|(size, shape)| Type { name: String::new(), size: Some(size), shape })
        .collect();
    TypeGraph { types, raw: false }
}

fn int() -> Shape {
    Shape::Scalar(Scalar { encoding: Encoding::Signed, size: 4 })
}

fn member(offset: u64, id: u32) -> Member {
    Member { name: Some("m".to_owned()), offset, type_id: TypeId(id), bits: None }
}

fn site(id: u32, location: Location) -> Site {
    Site {
        module: 0,
        requested: address::Avma(0),
        pc: address::Avma(0),
        svma: address::Svma(0),
        file_offset: address::FileOffset(0),
        instruction: vec![0x55],
        disassembly: "push rbp".to_owned(),
        trap: TrapClass::Emulated,
        why: String::new(),
        function: None,
        inlined_into: Vec::new(),
        line: None,
        cfa: None,
        variables: vec![ScopedVariable {
            name: "v".to_owned(),
            kind: VariableKind::Parameter,
            type_id: TypeId(id),
            location: Ok(location),
            at_entry: None,
            moved: None,
            inline_depth: 0,
        }],
        entry: None,
    }
}

fn compile_one(id: u32, location: Location, types: &TypeGraph) -> Plan {
    compile(&site(id, location), types, Limits::DEFAULT)
}

fn rsp(offset: u64) -> Vec<Op> {
    vec![Op::new(Code::Register, 7, offset)]
}

const END: Op = Op::new(Code::End, 0, 0);

#[test]
fn a_number_in_a_register_needs_no_root() {
    let plan = compile_one(0, Location::Register(5), &graph(vec![(4, int())]));
    assert_eq!(plan.ops, vec![END]);
}

#[test]
fn the_memory_that_a_computed_value_is_made_of_is_copied() {
    let types = graph(vec![(4, int())]);
    let value = vec![Op::new(Code::Const, 0, 0x40_0000), Op::new(Code::Deref, 4, 0)];
    let expected = [vec![Op::on(Code::Root, 2, 0)], value.clone(), vec![END]].concat();
    let location = Location::Value(value);
    assert_eq!(compile_one(0, location.clone(), &types).ops, expected);
    let pieces = Location::Pieces(vec![Piece { size: 4, location: Some(location) }]);
    assert_eq!(compile_one(0, pieces, &types).ops, expected);
    assert_eq!(compile_one(0, Location::Value(rsp(8)), &types).ops, [END]);
}

#[test]
fn an_object_in_memory_is_copied_whole() {
    let plan = compile_one(0, Location::Memory(rsp(16)), &graph(vec![(4, int())]));
    let copy = Op::on(Code::Copy, 0, 1);
    assert_eq!(plan.ops, vec![Op::on(Code::Root, 2, 0), rsp(16)[0], copy, END]);
    assert_eq!(plan.layouts, vec![Layout { size: 4, ..Layout::default() }]);
}

#[test]
fn a_list_in_a_register_gives_one_layout_that_points_to_itself() {
    // struct node { struct node *next; char *name; int n; }
    let types = graph(vec![
        (8, Shape::Pointer(TypeId(1))),
        (24, Shape::Record(vec![member(0, 0), member(8, 2), member(16, 3)])),
        (8, Shape::TextPointer),
        (4, int()),
    ]);
    let plan = compile_one(0, Location::Register(5), &types);
    let chase = Op::on(Code::Chase, 0, 1);
    let register = Op::new(Code::Register, 5, 0);
    assert_eq!(plan.ops, vec![Op::on(Code::Root, 2, 0), register, chase, END]);
    assert_eq!(plan.layouts, vec![Layout { size: 24, edge_first: 0, edge_count: 2, reserved: 0 }]);
    assert_eq!(plan.edges, vec![Edge::one(0, 0), Edge::one(8, TEXT)]);
}

#[test]
fn a_slice_in_two_registers_is_chased_with_its_length() {
    let slice =
        Shape::Slice { element: TypeId(1), pointer_offset: 0, length_offset: 8, text: false };
    let types = graph(vec![(16, slice), (4, int())]);
    let piece = |r| Piece { size: 8, location: Some(Location::Register(r)) };
    let plan = compile_one(0, Location::Pieces(vec![piece(5), piece(4)]), &types);
    assert_eq!(
        plan.ops,
        vec![
            Op::on(Code::Root, 3, 0),
            Op::new(Code::Register, 5, 0),
            Op::new(Code::Register, 4, 0),
            Op::on(Code::ChaseSlice, 0, 0),
            END
        ]
    );
}

#[test]
fn half_a_pointer_is_not_followed() {
    let types = graph(vec![(8, Shape::Pointer(TypeId(1))), (4, int())]);
    let piece = |r| Piece { size: 4, location: Some(Location::Register(r)) };
    let plan = compile_one(0, Location::Pieces(vec![piece(5), piece(4)]), &types);
    assert_eq!(plan.ops, vec![END]);
}

#[test]
fn types_beyond_the_depth_limit_get_no_layout() {
    // p0 -> p1 -> ... -> p19 -> int
    let mut shapes: Vec<(u64, Shape)> = (1..=19).map(|n| (8, Shape::Pointer(TypeId(n)))).collect();
    shapes.push((4, int()));
    let plan = compile_one(0, Location::Register(5), &graph(shapes));
    assert_eq!(plan.layouts.len(), Limits::DEFAULT.depth_max as usize + 1);
}

#[test]
fn only_the_shown_elements_of_a_large_array_are_copied() {
    let array = Shape::Array { element: TypeId(1), count: Some(1 << 40) };
    let types = graph(vec![(4 << 40, array), (4, int())]);
    let plan = compile_one(0, Location::Memory(rsp(0)), &types);
    assert_eq!(plan.layouts[0].size, 400);
}

#[test]
fn a_type_that_contains_itself_by_value_ends() {
    let types = graph(vec![(8, Shape::Record(vec![member(0, 0), member(0, 0)]))]);
    let plan = compile_one(0, Location::Memory(rsp(0)), &types);
    assert_eq!(plan.layouts.len(), 1);
}
