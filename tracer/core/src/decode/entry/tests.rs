//! Entry values over stated calls.

use super::*;
use crate::binary::code_map::CallSite;
use crate::decode::fake::{FakeCode, record};
use crate::decode::registers::Registers;
use crate::model::address::Avma;
use crate::model::location::{Step, Steps};
use crate::model::record::Record;
use tracer_common::code::{Code, Op};

const RBX: u8 = 3;
const RSI: u8 = 4;
const RDI: u8 = 5;

fn frame(pc: u64, rbx: Option<u64>, how: How) -> PhysicalFrame {
    let mut registers = Registers::unknown();
    registers.set(RBX.into(), rbx);
    PhysicalFrame { registers, pc: Avma(pc), lookup: Avma(pc - 1), how }
}

fn register(number: u8) -> Steps {
    vec![Step::Op(Op::new(Code::Register, number, 0))]
}

fn call(arguments: Vec<(u8, Result<Steps, Reason>)>) -> CallSite {
    CallSite { target: None, arguments }
}

/// What `number` held at the entry of the innermost of these frames.
fn passed(frames: &[PhysicalFrame], calls: &[(u64, CallSite)], number: u8) -> Result<u64, String> {
    let record: Record = record(Vec::new());
    let image = Image::new(&record);
    let code = FakeCode { calls: calls.iter().cloned().collect(), ..FakeCode::default() };
    let entries = Entries::new(frames, &image, &code);
    entries.register(0, number).map_err(|reason| {
        assert_eq!(reason.code, ReasonCode::EntryValue);
        reason.detail
    })
}

fn called(caller: PhysicalFrame, site: CallSite, number: u8) -> Result<u64, String> {
    passed(&[frame(1, None, How::Registers), caller], &[(0x20, site)], number)
}

#[test]
fn what_the_caller_kept_is_what_it_passed() {
    let site = || call(vec![(RDI, Ok(register(RBX))), (RSI, Ok(register(RSI)))]);
    let caller = || frame(0x20, Some(77), How::Cfi);
    assert_eq!(called(caller(), site(), RDI), Ok(77));
    // rsi is not one that calls keep.
    assert!(called(caller(), site(), RSI).unwrap_err().contains("register 4 is not known"));
    assert!(called(caller(), site(), 1).unwrap_err().contains("does not tell what it passed"));
    assert!(called(frame(0x20, None, How::Cfi), site(), RDI).is_err());
    let refused = call(vec![(RDI, Err(Reason::new(ReasonCode::EntryValue, "in memory")))]);
    assert!(called(caller(), refused, RDI).unwrap_err().contains("in memory"));
}

#[test]
fn a_caller_may_have_passed_on_what_it_was_passed() {
    let frames = [
        frame(1, None, How::Registers),
        frame(0x20, None, How::Cfi),
        frame(0x30, Some(9), How::Cfi),
    ];
    let plus_one = vec![Step::Entry(RSI), Step::Op(Op::new(Code::AddConst, 0, 1))];
    let calls =
        [(0x20, call(vec![(RDI, Ok(plus_one))])), (0x30, call(vec![(RSI, Ok(register(RBX)))]))];
    assert_eq!(passed(&frames, &calls, RDI), Ok(10));
    assert!(passed(&frames[..2], &calls, RDI).unwrap_err().contains("caller is not known"));
}

#[test]
fn a_chain_of_callers_ends() {
    let frames: Vec<PhysicalFrame> = (0..100).map(|_| frame(0x20, None, How::Cfi)).collect();
    let twice = vec![Step::Entry(RDI), Step::Entry(RDI), Step::Op(Op::new(Code::Add, 0, 0))];
    let calls = [(0x20, call(vec![(RDI, Ok(twice))]))];
    assert!(passed(&frames, &calls, RDI).unwrap_err().contains("caller is not known"));
}

#[test]
fn a_caller_that_is_not_certain_tells_nothing() {
    let site = || call(vec![(RDI, Ok(register(RBX)))]);
    let guessed = frame(0x20, Some(1), How::FramePointer(String::new()));
    assert!(called(guessed, site(), RDI).unwrap_err().contains("call frame information"));
    let mut interrupted = frame(0x20, Some(1), How::Cfi);
    interrupted.lookup = interrupted.pc;
    assert!(called(interrupted, site(), RDI).unwrap_err().contains("signal"));
    assert!(called(frame(0x21, Some(1), How::Cfi), site(), RDI).is_err());
}

#[test]
fn an_indirect_call_must_have_led_to_the_function() {
    let site = |to| CallSite {
        target: Some((register(RBX), Avma(to))),
        arguments: vec![(RDI, Ok(register(RBX)))],
    };
    assert_eq!(called(frame(0x20, Some(0x400), How::Cfi), site(0x400), RDI), Ok(0x400));
    assert!(called(frame(0x20, Some(0x401), How::Cfi), site(0x400), RDI).is_err());
    assert!(called(frame(0x20, None, How::Cfi), site(0x400), RDI).is_err());
}
