//! What the walk does at each kind of frame.

use super::*;
use tracer_common::code::{Code, Op};

const SP: u64 = 0x7000_0000;

/// Four functions of 0x100 bytes from 0x1000 on: `leaf` pushes rbx, `middle` has a frame pointer
/// and saves r12, `outer` is the outermost one.
fn code() -> FakeCode {
    FakeCode {
        modules: vec![(0x1000..0x2000, "program")],
        rows: vec![
            (0x1000..0x1100, row(RSP, 16, &[(3, -16)])),
            (0x1100..0x1200, row(RBP, 16, &[(RBP as u8, -16), (12, -24)])),
            (0x1200..0x1300, outermost()),
        ],
        ..FakeCode::default()
    }
}

/// `leaf` called by `middle` called by `outer`.
fn record() -> Record {
    let stack = [0xb, 0x1180, 12, SP + 0x100, 0x1280, 0];
    let mut record = record_with_stack(SP, &stack, vec![]);
    record.registers[RIP] = 0x1010;
    record.registers[RBP] = SP + 24;
    record.registers[3] = 3;
    record
}

#[test]
fn every_register_that_a_callee_saves_is_restored() {
    let (frames, end) = walk_record(&record(), &code());
    assert_eq!(pcs(&frames), [0x1010, 0x1180, 0x1280]);
    assert_eq!(end, StackEnd::Complete);
    assert_eq!(frames[0].how, How::Registers);
    assert_eq!(frames[2].how, How::Cfi);
    let get = |frame: usize, number| frames[frame].registers.get(number);
    assert_eq!((get(1, 3), get(1, RBP), get(1, RSP)), (Some(0xb), Some(SP + 24), Some(SP + 16)));
    assert_eq!((get(2, 3), get(2, 12), get(2, RBP)), (Some(0xb), Some(12), Some(SP + 0x100)));
    // rax is the callee's to change.
    assert_eq!((get(0, 0), get(1, 0)), (Some(0), None));
}

#[test]
fn a_call_that_never_returns_is_looked_up_inside_its_function() {
    let mut record = record();
    // The call is the last instruction of `middle`: the return address is where `outer` starts.
    record.items[0].bytes[8..16].copy_from_slice(&0x1200u64.to_le_bytes());
    let (frames, end) = walk_record(&record, &code());
    assert_eq!(pcs(&frames), [0x1010, 0x1200, 0x1280]);
    assert_eq!(frames[1].lookup, Avma(0x11ff));
    assert_eq!(end, StackEnd::Complete);
}

#[test]
fn a_signal_frame_is_looked_up_exactly_and_so_is_what_it_interrupted() {
    let mut code = code();
    let trampoline = UnwindRow {
        // The interrupted stack pointer and pc lie in the frame that the kernel pushed.
        cfa: CfaRule::Expression(vec![
            Op::new(Code::Register, RSP as u8, 8),
            Op::new(Code::Deref, 8, 0),
        ]),
        registers: vec![(
            RIP as u8,
            RegisterRule::AtExpression(vec![Op::new(Code::Register, RSP as u8, 0)]),
        )],
        signal_frame: true,
    };
    code.rows.insert(0, (0x1400..0x1410, trampoline));
    // The handler `leaf` returns to the trampoline, which interrupted `outer` at its first byte.
    let stack = [0, 0x1400, 0x1200, SP + 0x1000];
    let mut record = record_with_stack(SP, &stack, vec![]);
    record.registers[RIP] = 0x1010;
    let (frames, end) = walk_record(&record, &code);
    assert_eq!(pcs(&frames), [0x1010, 0x1400, 0x1200]);
    assert_eq!((frames[1].lookup, frames[2].lookup), (Avma(0x1400), Avma(0x1200)));
    assert_eq!(frames[2].registers.sp(), Some(SP + 0x1000));
    assert_eq!(end, StackEnd::Complete);
}

#[test]
fn the_end_of_the_copied_stack_is_not_the_end_of_the_stack() {
    let mut record = record();
    record.items[0].bytes.truncate(32);
    let (frames, end) = walk_record(&record, &code());
    assert_eq!(pcs(&frames), [0x1010, 0x1180]);
    assert_eq!(end, StackEnd::StackCut);
}

#[test]
fn a_stack_that_faulted_is_not_called_cut() {
    let mut record = record();
    record.items[0].bytes.truncate(32);
    record.items[0].status = tracer_common::status::Status::Fault;
    let (_, end) = walk_record(&record, &code());
    assert!(matches!(end, StackEnd::Lost(why) if why.contains("could not be read")));
}

#[test]
fn a_return_address_of_zero_ends_the_stack() {
    let mut record = record();
    record.items[0].bytes[32..40].fill(0);
    let (frames, end) = walk_record(&record, &code());
    assert_eq!((frames.len(), end), (2, StackEnd::Complete));
}

#[test]
fn rows_that_lead_nowhere_end_the_walk() {
    let mut code = code();
    code.rows = vec![(0x1000..0x2000, row(RSP, 0, &[]))];
    let mut record = record_with_stack(SP, &[0x1010; 8], vec![]);
    record.registers[RIP] = 0x1010;
    record.registers[RSP] = SP + 8;
    let (frames, end) = walk_record(&record, &code);
    assert_eq!(frames.len(), 1);
    assert!(matches!(end, StackEnd::Lost(why) if why.contains("down the stack")));
    code.rows = vec![(0x1000..0x2000, row(2, 16, &[]))];
    let (_, end) = walk_record(&record, &code);
    // rdx is known in the first frame only; it points to no memory that was copied.
    assert!(matches!(end, StackEnd::Lost(_)));
}

#[test]
fn endless_recursion_is_cut() {
    let mut code = code();
    code.rows = vec![(0x1000..0x2000, row(RSP, 16, &[]))];
    let mut record = record_with_stack(SP, &[0x1010; 2000], vec![]);
    record.registers[RIP] = 0x1010;
    let (frames, end) = walk_record(&record, &code);
    assert_eq!(frames.len(), 256);
    assert!(matches!(end, StackEnd::Lost(why) if why.contains("256")));
}

#[test]
fn without_rows_frame_pointers_are_followed_and_named_as_the_reason() {
    let mut code = code();
    code.rows.clear();
    let stack = [0, 0, SP + 40, 0x1110, 0, 0, 0x1210];
    let mut record = record_with_stack(SP, &stack, vec![]);
    record.registers[RIP] = 0x1010;
    record.registers[RBP] = SP + 16;
    let (frames, end) = walk_record(&record, &code);
    assert_eq!(pcs(&frames), [0x1010, 0x1110, 0x1210]);
    assert!(matches!(&frames[1].how, How::FramePointer(why) if why.contains("none for this")));
    assert_eq!(frames[1].registers.sp(), Some(SP + 32));
    assert_eq!(end, StackEnd::Complete);
}

#[test]
fn frame_pointers_that_are_none_are_refused() {
    let mut code = code();
    code.rows.clear();
    let check = |rbp: u64, word: u64, pc: u64, expected: &str| {
        let mut record = record_with_stack(SP, &[0, 0, word, pc], vec![]);
        record.registers[RIP] = 0x1010;
        record.registers[RBP] = rbp;
        let (frames, end) = walk_record(&record, &code);
        assert_eq!(frames.len(), 1);
        assert!(matches!(&end, StackEnd::Lost(why) if why.contains(expected)), "{end:?}");
    };
    check(SP + 16, SP + 8, 0x1110, "does not lie above");
    check(SP + 16, SP + 64, 0x9999_0000, "in no module");
    check(SP - 16, 0, 0x1110, "above rsp");
    check(SP + 17, 0, 0x1110, "above rsp");
    check(0x5555_0000_0000, 0, 0x1110, "copied stack");
}

#[test]
fn at_the_entry_of_a_function_without_rows_the_caller_is_on_top_of_the_stack() {
    let mut code = code();
    code.rows.remove(0);
    code.symbols.insert(0x1000, "leaf");
    let mut record = record();
    record.registers[RIP] = 0x1000;
    record.registers[RSP] = SP + 8;
    let (frames, end) = walk_record(&record, &code);
    assert_eq!(pcs(&frames), [0x1000, 0x1180, 0x1280]);
    assert!(matches!(&frames[1].how, How::FramePointer(why) if why.contains("first instruction")));
    assert_eq!(end, StackEnd::Complete);
}
