//! Debug info that no compiler writes: circles, and nesting without an end.

use super::*;
use crate::binary::dwarf::{Dwarf, Reader};
use crate::model::types::Shape;
use crate::resolve::types::tests::check_ids;
use gimli::SectionId;

/// Abbreviations: DWARF 4 with references of four bytes.
const ABBREVIATIONS: &[u8] = &[
    // 1: a unit.
    1, 0x11, 1, 0x13, 0x0b, 0, 0, //
    // 2: a function with DW_AT_low_pc and DW_AT_high_pc.
    2, 0x2e, 1, 0x11, 0x01, 0x12, 0x07, 0, 0, //
    // 3: a block.
    3, 0x0b, 1, 0, 0, //
    // 4: a variable with a name, a type, and a location of one byte.
    4, 0x34, 0, 0x03, 0x08, 0x49, 0x13, 0x02, 0x18, 0, 0, //
    // 5: a typedef; 6: a pointer; 7: an array.
    5, 0x16, 0, 0x03, 0x08, 0x49, 0x13, 0, 0, //
    6, 0x0f, 0, 0x49, 0x13, 0, 0, //
    7, 0x01, 0, 0x49, 0x13, 0, 0, //
    // 8: a variable with an abstract origin.
    8, 0x34, 0, 0x31, 0x13, 0, 0, //
    // 9: a struct with members; 10: a member with an offset of one byte.
    9, 0x13, 1, 0x03, 0x08, 0x0b, 0x0b, 0, 0, //
    10, 0x0d, 0, 0x03, 0x08, 0x49, 0x13, 0x38, 0x0b, 0, 0, //
    // 11: a function type; 12: its parameter.
    11, 0x15, 1, 0, 0, //
    12, 0x05, 0, 0x49, 0x13, 0, 0, //
    0,
];

/// Where the first entry behind the unit's own is.
const FIRST: u32 = 13;

struct Info(Vec<u8>);

impl Info {
    fn new() -> Self {
        // The length comes last; version 4, abbreviations at 0, 8-byte addresses, C.
        Self(vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1, 0x01])
    }

    fn here(&self) -> u32 {
        self.0.len() as u32
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn reference(&mut self, target: u32) -> &mut Self {
        self.bytes(&target.to_le_bytes())
    }

    /// The function at 0x1000, of 0x100 bytes.
    fn function(&mut self) -> &mut Self {
        self.bytes(&[2]).bytes(&0x1000u64.to_le_bytes()).bytes(&0x100u64.to_le_bytes())
    }

    /// A variable in rax.
    fn variable(&mut self, name: u8, target: u32) -> &mut Self {
        self.bytes(&[4, name, 0]).reference(target).bytes(&[1, 0x50])
    }

    /// The variables of the function, with their types.
    fn variables(mut self) -> (Vec<ScopedVariable>, TypeGraph) {
        let length = self.here() - 4;
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        let dwarf = Dwarf::load(|id| {
            let bytes = match id {
                SectionId::DebugInfo => self.0.as_slice(),
                SectionId::DebugAbbrev => ABBREVIATIONS,
                _ => &[],
            };
            Ok::<_, gimli::Error>(Reader::new(bytes, gimli::LittleEndian))
        })
        .unwrap();
        let mut builder = TypeBuilder::new(&dwarf, TypeGraph::default());
        let function = function_at(&dwarf, &builder.dies(), Svma(0x1000));
        let frame = FrameAt {
            subprogram: function.offset,
            pc: Svma(0x1000),
            cfa: None,
            entry: None,
            thread_storage: None,
            body_cfa: None,
            bias: 0,
            home_stored: None,
            paths: None,
            lines: &[],
        };
        let variables = variables_at(&mut builder, &function.unit.unit, &frame);
        let variables = variables.unwrap_or_default().into_iter().map(|declared| declared.variable);
        let graph = builder.into_graph();
        check_ids(&graph);
        (variables.collect(), graph)
    }
}

#[test]
fn a_type_that_is_itself_has_no_shape() {
    let mut info = Info::new();
    // A typedef of itself, and two of each other.
    info.bytes(&[5, b'a', 0]).reference(FIRST);
    let second = info.here();
    info.bytes(&[5, b'b', 0]).reference(second + 7);
    info.bytes(&[5, b'c', 0]).reference(second);
    // An array of itself.
    let array = info.here();
    info.bytes(&[7]).reference(array);
    info.function().variable(b'x', FIRST).variable(b'y', second).variable(b'z', array);
    let (variables, graph) = info.bytes(&[0, 0]).take().variables();
    assert_eq!(names(&variables), ["x", "y", "z"]);
    for variable in &variables[..2] {
        let content = graph.get(variable.type_id);
        assert!(matches!(content.shape, Shape::Opaque(_)), "{content:?}");
    }
    // An array whose elements are the array itself: without a size, so nothing can be read.
    assert_eq!(graph.get(variables[2].type_id).size, None);
}

#[test]
fn a_pointer_to_itself_is_a_cycle_with_a_name_that_ends() {
    let mut info = Info::new();
    info.bytes(&[6]).reference(FIRST);
    info.function().variable(b'x', FIRST);
    let (variables, graph) = info.bytes(&[0, 0]).take().variables();
    let id = variables[0].type_id;
    assert_eq!(graph.get(id).shape, Shape::Pointer(id));
    assert!(graph.get(id).name.len() < 200, "{}", graph.get(id).name);
}

#[test]
fn a_function_type_that_takes_itself_has_a_name_that_ends() {
    let mut info = Info::new();
    info.bytes(&[11]);
    for _ in 0..200 {
        info.bytes(&[12]).reference(FIRST);
    }
    info.bytes(&[0]);
    info.function().variable(b'x', FIRST);
    let (variables, graph) = info.bytes(&[0, 0]).take().variables();
    let content = graph.get(variables[0].type_id);
    assert_eq!(content.shape, Shape::Function);
    assert!(content.name.len() <= 2048 + '…'.len_utf8());
}

#[test]
fn an_origin_that_is_itself_is_an_error() {
    let mut info = Info::new();
    info.function();
    let variable = info.here();
    info.bytes(&[8]).reference(variable);
    let (variables, _) = info.bytes(&[0, 0]).take().variables();
    assert!(variables.is_empty());
}

#[test]
fn blocks_in_blocks_without_an_end_are_not_followed() {
    let mut info = Info::new();
    info.bytes(&[5, b'a', 0]).reference(FIRST);
    info.function().variable(b'x', FIRST);
    info.bytes(&vec![3; 1_000_000]);
    info.variable(b'y', FIRST);
    info.bytes(&vec![0; 1_000_002]);
    let (variables, _) = info.variables();
    assert_eq!(names(&variables), ["x"]);
}

#[test]
fn types_beyond_the_limit_are_opaque() {
    let mut info = Info::new();
    let members = 40_000;
    info.bytes(&[9, b's', 0, 8]);
    let first_pointer = FIRST + 4 + members * 8 + 1;
    for index in 0..members {
        info.bytes(&[10, b'm', 0]).reference(first_pointer + index * 5).bytes(&[0]);
    }
    info.bytes(&[0]);
    for index in 0..members {
        // Each to the next one.
        info.bytes(&[6]).reference(first_pointer + (index + 1) % members * 5);
    }
    info.function().variable(b'x', FIRST);
    let (variables, graph) = info.bytes(&[0, 0]).take().variables();
    assert!(graph.types.len() <= 20_002, "{}", graph.types.len());
    let Shape::Record(all) = &graph.get(variables[0].type_id).shape else { panic!("no record") };
    assert_eq!(all.len(), members as usize);
    let last = graph.get(all[all.len() - 1].type_id);
    assert!(matches!(&last.shape, Shape::Opaque(reason) if reason.contains("20000")), "{last:?}");
}

impl Info {
    fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }
}
