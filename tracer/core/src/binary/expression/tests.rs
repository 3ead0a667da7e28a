//! DWARF expressions against gimli's own evaluator, and hostile ones.

use super::*;
use crate::model::location::{BitPiece, Piece, Sign};

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
    // What only the decoder can compute is no address for the kernel program.
    refused(&[0x30, 0x31, 0x1b], ReasonCode::UnsupportedLocation, "an address by operations");
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

fn steps(bytes: &[u8]) -> Vec<Step> {
    match read(bytes, Context::default()) {
        Ok(Location::Derived(steps)) => steps,
        other => panic!("{bytes:x?}: {other:?}"),
    }
}

#[test]
fn bits_follow_one_another() {
    let bits = |width, shift, location| BitPiece { width, shift, location };
    let deref = vec![reg(7, 8), Op::new(Code::Deref, 2, 0)];
    check(
        &[0x50, 0x9d, 3, 0, 0x93, 1, 0x53, 0x9d, 5, 4, 0x77, 8, 0x9d, 7, 9],
        Location::Bits(vec![
            bits(3, 0, Some(Location::Register(0))),
            bits(8, 0, None),
            bits(5, 4, Some(Location::Register(3))),
            bits(7, 9, Some(Location::Value(deref))),
        ]),
    );
    refused(&[0x50, 0x9d, 3, 62], ReasonCode::UnsupportedLocation, "wider");
    refused(&[0x9e, 1, 7, 0x9d, 9, 0], ReasonCode::UnsupportedLocation, "longer");
    refused(&[0x9d, 3, 0], ReasonCode::OptimizedOut, "");
    let huge = [0x50, 0x9d, 3, 0, 0x9d, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0];
    refused(&huge, ReasonCode::UnsupportedLocation, "8 KiB");
}

#[test]
fn thread_local_storage_is_below_the_fs_base() {
    let context = Context { thread_storage: Some(0u64.wrapping_sub(0x40)), ..Context::default() };
    let expected = Location::Memory(vec![
        constant(8),
        Op::new(Code::Register, 18, -0x40i64 as u64),
        op(Code::Add),
    ]);
    for code in [0x9b, 0xe0] {
        let bytes = [0x0e, 8, 0, 0, 0, 0, 0, 0, 0, code];
        assert_eq!(read(&bytes, context), Ok(expected.clone()));
        refused(&bytes, ReasonCode::ThreadLocal, "");
    }
}

#[test]
fn divisions_and_rotations_are_the_decoders() {
    let three = |code| vec![0x75, 0, 0x33, code, 0x9f];
    assert_eq!(steps(&three(0x1b))[2], Step::Divide(Sign::Signed));
    assert_eq!(steps(&three(0x1d))[2], Step::Remainder(Sign::Either));
    let rotated = steps(&[0x31, 0x32, 0x33, 0x17, 0x9f]);
    assert_eq!(rotated[3], Step::Rotate);
    refused(&[0x31, 0x32, 0x17, 0x9f], ReasonCode::UnsupportedLocation, "operands");
}

#[test]
fn branches_lead_ahead_to_values_of_the_same_types() {
    // min(rdi, rsi) as GCC writes it: both, both again, compare, swap unless less, drop.
    let min = [0x75, 0, 0x74, 0, 0x14, 0x14, 0x2d, 0x28, 1, 0, 0x16, 0x13, 0x9f];
    let expected: Vec<Step> = [
        Step::Op(reg(5, 0)),
        Step::Op(reg(4, 0)),
        Step::Op(Op::new(Code::Pick, 1, 0)),
        Step::Op(Op::new(Code::Pick, 1, 0)),
        Step::Op(op(Code::Lt)),
        Step::Branch(7),
        Step::Op(op(Code::Swap)),
        Step::Op(op(Code::Drop)),
    ]
    .into();
    assert_eq!(steps(&min), expected);
    // One value or the other.
    let either = [0x75, 0, 0x28, 4, 0, 0x31, 0x2f, 1, 0, 0x32, 0x9f];
    assert_eq!(steps(&either)[1..4], [Step::Branch(4), Step::Op(constant(1)), Step::Skip(5)]);
    let refuse = |bytes: &[u8], why| refused(bytes, ReasonCode::UnsupportedLocation, why);
    refuse(&[0x75, 0, 0x28, 0xfb, 0xff, 0x9f], "DW_OP_bra backwards");
    refuse(&[0x2f, 0xfd, 0xff], "DW_OP_skip backwards");
    refuse(&[0x31, 0x31, 0x28, 1, 0, 0x32, 0x9f], "different values");
    refuse(&[0x31, 0x31, 0x28, 1, 0, 0x08, 2, 0x13, 0x9f], "into an operation");
    refuse(&[0x31, 0x31, 0x28, 90, 0, 0x9f], "out of it");
    refuse(&[0x31, 0x2f, 1, 0, 0x32, 0x9f], "never reached");
    refuse(&[0x31, 0x31, 0x28, 3, 0, 0x93, 8, 0x31, 0x9f], "out of it");
    // What is added where a jump lands is added on both ways.
    let joined = [0x31, 0x75, 0, 0x28, 1, 0, 0x12, 0x13, 0x23, 5, 0x9f];
    assert!(read(&joined, Context::default()).is_err());
    let joined = [0x31, 0x75, 0, 0x28, 2, 0, 0x1f, 0x1f, 0x23, 5, 0x9f];
    assert_eq!(steps(&joined).last(), Some(&Step::Op(Op::new(Code::AddConst, 0, 5))));
}

#[test]
fn what_a_register_held_at_entry_is_asked_for_where_it_may_be() {
    let context = Context { entry_values: true, ..Context::default() };
    let plus_one = [0xa3, 1, 0x55, 0x23, 1, 0x9f];
    let expected = vec![Step::Entry(5), Step::Op(Op::new(Code::AddConst, 0, 1))];
    assert_eq!(read(&plus_one, context), Ok(Location::Derived(expected.clone())));
    let expression = gimli::Expression(Reader::new(&plus_one[..5], gimli::LittleEndian));
    assert_eq!(translate_value(expression, ENCODING, Context::default()), Ok(expected));
    let code = |bytes: &[u8]| read(bytes, context).unwrap_err().code;
    // In memory then; behind a pointer then; in a vector register.
    assert_eq!(code(&plus_one[..5]), ReasonCode::EntryValue);
    assert_eq!(code(&[0xa3, 3, 0x75, 0, 0x06, 0x9f]), ReasonCode::EntryValue);
    assert_eq!(code(&[0xa3, 1, 0x61, 0x9f]), ReasonCode::VectorRegister);
}

#[test]
fn a_pointer_that_was_not_kept_leads_to_where_the_value_is() {
    let find = |entry: gimli::DebugInfoOffset| match entry.0 {
        0x10 => Ok(Location::Register(3)),
        _ => Err(ReasonCode::OptimizedOut.into()),
    };
    let context = Context { pointed: Some(Pointed(&find)), ..Context::default() };
    let to = Ok(Box::new(Location::Register(3)));
    let points = Location::Points { to, offset: 4 };
    assert_eq!(read(&[0xa0, 0x10, 0, 0, 0, 4], context), Ok(points.clone()));
    assert_eq!(read(&[0xf2, 0x10, 0, 0, 0, 4], context), Ok(points.clone()));
    let gone = Location::Points { to: Err(ReasonCode::OptimizedOut.into()), offset: 0 };
    assert_eq!(read(&[0xa0, 0x11, 0, 0, 0, 0], context), Ok(gone));
    let piece = Piece { size: 8, location: Some(points) };
    assert_eq!(
        read(&[0xa0, 0x10, 0, 0, 0, 4, 0x93, 8], context),
        Ok(Location::Pieces(vec![piece]))
    );
    assert!(read(&[0xa0, 0x10, 0, 0, 0, 4, 0x93, 4], context).is_err());
}
