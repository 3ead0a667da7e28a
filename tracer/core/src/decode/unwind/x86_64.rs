//! What is special about x86-64: which registers a callee saves, and the two ways to find a
//! caller without call frame information. A step gives `None` at the outermost frame.

use crate::binary::cfi::{CfaRule, RegisterRule, UnwindRow};
use crate::decode::evaluate::evaluate;
use crate::decode::image::Image;
use crate::decode::registers::Registers;
use crate::model::capture::StackEnd;
use crate::model::reason::{Reason, ReasonCode};
use tracer_common::wire::{RBP, RIP, RSP};

/// rbx, rbp, r12 to r15 (psABI x86-64, figure 3.4).
const CALLEE_SAVED: [usize; 6] = [3, RBP, 12, 13, 14, 15];
/// rax to r15 and the return address.
const UNWOUND: usize = RIP + 1;

/// The caller's registers by call frame information.
///
/// # Errors
///
/// Why the canonical frame address or the return address can't be had.
pub(super) fn by_row(
    row: &UnwindRow,
    registers: &Registers,
    image: &Image<'_>,
) -> Result<Option<Registers>, StackEnd> {
    let rule_of = |number: usize| {
        let found = row.registers.iter().find(|(register, _)| usize::from(*register) == number);
        found.map(|(_, rule)| rule)
    };
    let cfa = match &row.cfa {
        CfaRule::Register { register, offset } => registers
            .get(usize::from(*register))
            .map(|base| base.wrapping_add_signed(*offset))
            .ok_or_else(|| lost(&format!("register {register} is not known in this frame")))?,
        CfaRule::Expression(expression) => {
            evaluate(expression, registers, image).map_err(unreadable)?
        }
    };
    let mut caller = Registers::unknown();
    for number in 0..UNWOUND {
        let value = match rule_of(number) {
            Some(rule) => restore(rule, number, cfa, registers, image),
            None if number == RSP => Ok(Some(cfa)),
            None if CALLEE_SAVED.contains(&number) => Ok(registers.get(number)),
            None => Ok(None),
        };
        match value {
            Ok(value) => caller.set(number, value),
            Err(reason) if number == RIP => return Err(unreadable(reason)),
            // A register less is known, no more: the walk needs only some of them.
            Err(_unreadable) => caller.set(number, None),
        }
    }
    match rule_of(RIP) {
        Some(RegisterRule::Undefined) => Ok(None),
        None => Err(lost("no rule for the return address")),
        Some(_) if caller.pc() == Some(0) => Ok(None),
        Some(_) => Ok(Some(caller)),
    }
}

/// The caller's value of a register.
fn restore(
    rule: &RegisterRule,
    number: usize,
    cfa: u64,
    registers: &Registers,
    image: &Image<'_>,
) -> Result<Option<u64>, Reason> {
    Ok(match rule {
        RegisterRule::Undefined => None,
        RegisterRule::SameValue => registers.get(number),
        RegisterRule::AtCfa(offset) => Some(image.word(cfa.wrapping_add_signed(*offset))?),
        RegisterRule::IsCfa(offset) => Some(cfa.wrapping_add_signed(*offset)),
        RegisterRule::Register(other) => registers.get(usize::from(*other)),
        RegisterRule::AtExpression(expression) => {
            Some(image.word(evaluate(expression, registers, image)?)?)
        }
        RegisterRule::IsExpression(expression) => Some(evaluate(expression, registers, image)?),
    })
}

fn lost(why: &str) -> StackEnd {
    StackEnd::Lost(why.to_owned())
}

/// The end of a walk that needs memory which is not there.
fn unreadable(reason: Reason) -> StackEnd {
    match reason.code {
        ReasonCode::StackCut => StackEnd::StackCut,
        _ => StackEnd::Lost(reason.to_string()),
    }
}

/// The caller's registers where rbp points to the saved rbp with the return address above it
/// (psABI x86-64, 3.2.2). Nothing else is known then: the function may have used all others.
///
/// # Errors
///
/// Why rbp can't be a frame pointer, or [`ReasonCode::StackCut`].
pub(super) fn by_frame_pointer(
    registers: &Registers,
    image: &Image<'_>,
) -> Result<Option<Registers>, StackEnd> {
    let (Some(frame), Some(sp)) = (registers.get(RBP), registers.sp()) else {
        return Err(lost("rbp is not known"));
    };
    if frame == 0 {
        return Ok(None);
    }
    if frame < sp || frame % 8 != 0 {
        return Err(lost("rbp does not point into the stack above rsp"));
    }
    let above = frame.wrapping_add(8);
    let (outer, pc) = match (image.word(frame), image.word(above)) {
        (Ok(outer), Ok(pc)) if image.stack().contains(&above) => (outer, pc),
        (Err(reason), _) | (_, Err(reason)) if reason.code == ReasonCode::StackCut => {
            return Err(StackEnd::StackCut);
        }
        _ => return Err(lost("rbp does not point into the copied stack")),
    };
    if outer != 0 && outer <= frame {
        return Err(lost("the saved rbp does not lie above this frame"));
    }
    if pc == 0 {
        return Ok(None);
    }
    let mut caller = Registers::unknown();
    caller.set(RBP, Some(outer));
    caller.set(RSP, Some(frame.wrapping_add(16)));
    caller.set(RIP, Some(pc));
    Ok(Some(caller))
}

/// The caller's registers at a function's first instruction: the call pushed the return address
/// and nothing has changed since.
///
/// # Errors
///
/// Why the top of the stack can't be read.
pub(super) fn at_entry(
    registers: &Registers,
    image: &Image<'_>,
) -> Result<Option<Registers>, StackEnd> {
    let sp = registers.sp().ok_or_else(|| lost("rsp is not known"))?;
    let pc = image.word(sp).map_err(unreadable)?;
    let mut caller = Registers::unknown();
    for number in CALLEE_SAVED {
        caller.set(number, registers.get(number));
    }
    caller.set(RSP, Some(sp.wrapping_add(8)));
    caller.set(RIP, Some(pc));
    Ok((pc != 0).then_some(caller))
}
