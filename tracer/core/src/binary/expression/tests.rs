//! DWARF expressions against gimli's own evaluator, and hostile ones.

use super::*;

const ENCODING: gimli::Encoding =
    gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 5 };

fn reg(number: u8, offset: i64) -> Op {
    Op::new(Code::Register, number, offset as u64)
}

fn op(code: Code) -> Op {
    Op::new(code, 0, 0)
}

fn constant(value: u64) -> Op {
    Op::new(Code::Const, 0, value)
}

fn read(bytes: &[u8], context: Context<'_>) -> Result<Location, Reason> {
    translate(gimli::Expression(Reader::new(bytes, gimli::LittleEndian)), ENCODING, context)
}

fn check(bytes: &[u8], expected: Location) {
    assert_eq!(read(bytes, Context::default()), Ok(expected), "{bytes:x?}");
}

fn refused(bytes: &[u8], code: ReasonCode, detail: &str) {
    let reason = read(bytes, Context::default()).expect_err("refused");
    assert_eq!(reason.code, code, "{reason}");
    assert!(reason.detail.contains(detail), "{reason}");
}

#[test]
fn registers_are_named_by_their_dwarf_numbers() {
    check(&[0x50], Location::Register(0));
    check(&[0x57], Location::Register(7));
    check(&[0x90, 16], Location::Register(16));
    for number in [17, 32, 33, 40, 41, 48, 64, 67, 82, 118] {
        refused(&[0x90, number], ReasonCode::VectorRegister, "");
    }
    refused(&[0x90, 49], ReasonCode::UnsupportedLocation, "DWARF register 49");
    refused(&[0x90, 83], ReasonCode::UnsupportedLocation, "DWARF register 83");
}

#[test]
fn an_address_is_a_register_or_the_frame_plus_an_offset() {
    check(&[0x76, 0x70], Location::Memory(vec![reg(6, -16)]));
    check(&[0x92, 12, 0x80, 1], Location::Memory(vec![reg(12, 128)]));
    refused(&[0x91, 0], ReasonCode::UnsupportedLocation, "DW_AT_frame_base");
    let base = vec![reg(7, 8)];
    let context = Context { frame_base: Some(&base), cfa: Some(&base), ..Context::default() };
    assert_eq!(read(&[0x91, 0x68], context), Ok(Location::Memory(vec![reg(7, -16)])));
    assert_eq!(read(&[0x9c], context), Ok(Location::Memory(vec![reg(7, 8)])));
    // The base is not changed where its last operation is not what was pushed.
    let base = vec![reg(6, -8), Op::new(Code::Deref, 8, 0)];
    let context = Context { frame_base: Some(&base), ..Context::default() };
    let mut expected = base.clone();
    expected.push(Op::new(Code::AddConst, 0, 4));
    assert_eq!(read(&[0x91, 4], context), Ok(Location::Memory(expected)));
}

#[test]
fn an_address_of_the_file_is_moved_by_the_bias() {
    let context = Context { bias: 0x5000, ..Context::default() };
    let bytes = [0x03, 0x10, 0x20, 0, 0, 0, 0, 0, 0];
    assert_eq!(read(&bytes, context), Ok(Location::Memory(vec![constant(0x7010)])));
    // A constant is not.
    let bytes = [0x0a, 0x10, 0x20, 0x9f];
    assert_eq!(read(&bytes, context), Ok(Location::Value(vec![constant(0x2010)])));
}

#[test]
fn a_value_is_what_is_on_the_stack() {
    check(&[0x75, 1, 0x9f], Location::Value(vec![reg(5, 1)]));
    check(&[0x11, 0x7f, 0x9f], Location::Value(vec![constant(u64::MAX)]));
    check(
        &[0x70, 0, 0x71, 0, 0x1c, 0x08, 3, 0x24, 0x9f],
        Location::Value(vec![reg(0, 0), reg(1, 0), op(Code::Sub), constant(3), op(Code::Shl)]),
    );
    check(&[0x9e, 2, 7, 8], Location::Bytes(vec![7, 8]));
    refused(&[0x9f], ReasonCode::UnsupportedLocation, "operands");
    refused(&[0x22], ReasonCode::UnsupportedLocation, "operands");
}

#[test]
fn an_empty_description_is_optimized_out() {
    refused(&[], ReasonCode::OptimizedOut, "");
    refused(&[0x93, 8], ReasonCode::OptimizedOut, "");
    refused(&[0x93, 8, 0x93, 4], ReasonCode::OptimizedOut, "");
}

#[test]
fn pieces_follow_one_another() {
    let piece = |size, location| Piece { size, location };
    check(
        &[0x50, 0x93, 8, 0x93, 4, 0x71, 8, 0x93, 4],
        Location::Pieces(vec![
            piece(8, Some(Location::Register(0))),
            piece(4, None),
            piece(4, Some(Location::Memory(vec![reg(1, 8)]))),
        ]),
    );
    // The second four bytes of rax.
    check(
        &[0x50, 0x9d, 32, 32],
        Location::Pieces(vec![piece(
            4,
            Some(Location::Value(vec![reg(0, 0), constant(32), op(Code::Shr)])),
        )]),
    );
    refused(&[0x50, 0x9d, 3, 0], ReasonCode::UnsupportedLocation, "whole bytes");
    refused(&[0x50, 0x93, 9], ReasonCode::UnsupportedLocation, "wider");
    refused(&[0x9e, 1, 7, 0x93, 2], ReasonCode::UnsupportedLocation, "longer");
    refused(&[0x61, 0x93, 4, 0x50, 0x93, 4], ReasonCode::VectorRegister, "");
    refused(&[0x50, 0x93, 4, 0x50], ReasonCode::UnsupportedLocation, "behind the last");
}

#[test]
fn sizes_beyond_64_bits_are_refused() {
    let huge = [0x50, 0x93, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    refused(&huge, ReasonCode::UnsupportedLocation, "malformed");
    let big = [0x50, 0x93, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    refused(&big, ReasonCode::UnsupportedLocation, "4 GiB");
}

#[test]
fn what_is_not_there_has_its_reason() {
    refused(&[0xa3, 1, 0x55, 0x9f], ReasonCode::EntryValue, "");
    refused(&[0xf3, 1, 0x55, 0x9f], ReasonCode::EntryValue, "");
    refused(&[0x0e, 8, 0, 0, 0, 0, 0, 0, 0, 0xe0], ReasonCode::ThreadLocal, "");
    refused(&[0x0e, 8, 0, 0, 0, 0, 0, 0, 0, 0x9b], ReasonCode::ThreadLocal, "");
    refused(&[0x50, 0xf0], ReasonCode::NotLiveHere, "not initialised");
    refused(&[0x50, 0x31], ReasonCode::UnsupportedLocation, "complete");
    let pointer = [0xa0, 1, 0, 0, 0, 0];
    refused(&pointer, ReasonCode::UnsupportedLocation, "DW_OP_implicit_pointer");
    refused(&[0x70, 0, 0x28, 0, 0], ReasonCode::UnsupportedLocation, "DW_OP_bra");
    refused(&[0x2f, 0, 0], ReasonCode::UnsupportedLocation, "DW_OP_skip");
    refused(&[0x30, 0x31, 0x1b], ReasonCode::UnsupportedLocation, "DW_OP_div");
    refused(&[0x30, 0x31, 0x32, 0x17], ReasonCode::UnsupportedLocation, "DW_OP_rot");
    refused(&[0x98, 0, 0], ReasonCode::UnsupportedLocation, "DW_OP_call2");
    refused(&[0xff], ReasonCode::UnsupportedLocation, "malformed");
}

#[test]
fn length_depth_and_reads_are_bounded() {
    let mut bytes = vec![0x96; 63];
    bytes.insert(0, 0x50);
    assert!(read(&bytes, Context::default()).is_ok());
    bytes.push(0x96);
    refused(&bytes, ReasonCode::UnsupportedLocation, "64 operations");
    let mut bytes = vec![0x31; 8];
    assert!(read(&bytes, Context::default()).is_ok());
    bytes.push(0x31);
    refused(&bytes, ReasonCode::UnsupportedLocation, "8 values");
    let mut bytes = vec![0x70, 0];
    bytes.extend([0x06; 16]);
    assert!(read(&bytes, Context::default()).is_ok());
    bytes.push(0x06);
    refused(&bytes, ReasonCode::UnsupportedLocation, "16 memory reads");
    // A frame base that needs room itself.
    let base = vec![reg(0, 0), reg(1, 0), reg(2, 0), op(Code::Add), op(Code::Add)];
    let context = Context { frame_base: Some(&base), ..Context::default() };
    assert!(read(&[0x31, 0x31, 0x31, 0x31, 0x31, 0x91, 0], context).is_ok());
    assert!(read(&[0x31, 0x31, 0x31, 0x31, 0x31, 0x31, 0x91, 0], context).is_err());
}

#[test]
fn a_cfi_expression_starts_with_the_cfa_only_where_it_uses_it() {
    let cfa = vec![reg(7, 16)];
    let context = Context { initial: Some(&cfa), ..Context::default() };
    assert_eq!(read(&[0x77, 8], context), Ok(Location::Memory(vec![reg(7, 8)])));
    assert_eq!(read(&[0x23, 8], context), Ok(Location::Memory(vec![reg(7, 24)])));
    assert_eq!(read(&[], context), Ok(Location::Memory(vec![reg(7, 16)])));
    // The CFA of a procedure linkage table, which branches on the low bits of the pc.
    let plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
    let expected = vec![
        reg(7, 8),
        reg(16, 0),
        constant(15),
        op(Code::And),
        constant(11),
        op(Code::Ge),
        constant(3),
        op(Code::Shl),
        op(Code::Add),
    ];
    assert_eq!(read(&plt, Context::default()), Ok(Location::Memory(expected)));
}

#[test]
fn only_the_top_is_left() {
    let expected = vec![constant(1), constant(2), op(Code::Swap), op(Code::Drop)];
    check(&[0x31, 0x32, 0x9f], Location::Value(expected));
}
