//! Frame by frame up the stack until it ends, and why it ends.

use super::PhysicalFrame;
use super::x86_64::{at_entry, by_frame_pointer, by_row};
use crate::binary::cfi::UnwindRow;
use crate::binary::code_map::CodeMap;
use crate::decode::image::Image;
use crate::decode::registers::Registers;
use crate::model::address::Avma;
use crate::model::capture::{How, StackEnd};

/// Frames in one capture; deeper ones are not looked for.
const FRAMES_MAX: usize = 256;

/// The frames from the hit outwards, and why there are no more.
pub(in crate::decode) fn walk(
    registers: Registers,
    image: &Image<'_>,
    code: &dyn CodeMap,
) -> (Vec<PhysicalFrame>, StackEnd) {
    let pc = Avma(registers.pc().unwrap_or(0));
    let mut frame = PhysicalFrame { registers, pc, lookup: pc, how: How::Registers };
    let mut frames = Vec::new();
    loop {
        if frames.len() >= FRAMES_MAX {
            let end = format!("{FRAMES_MAX} frames are shown, there are more");
            return (frames, StackEnd::Lost(end));
        }
        let row = row_at(&mut frame, code);
        let next = match &row {
            Ok(row) => by_cfi(&frame, row, image),
            Err(why) => without_cfi(&frame, why, image, code, frames.is_empty()),
        };
        frames.push(frame);
        frame = match next {
            Ok(caller) => caller,
            Err(end) => return (frames, end),
        };
    }
}

/// The row for a frame. A signal trampoline was not called: the kernel made the handler return
/// there, so its pc is exact.
fn row_at(frame: &mut PhysicalFrame, code: &dyn CodeMap) -> Result<UnwindRow, String> {
    let row = code.unwind_row(frame.lookup);
    if frame.lookup == frame.pc || row.as_ref().is_ok_and(|row| !row.signal_frame) {
        return row;
    }
    match code.unwind_row(frame.pc) {
        Ok(exact) if exact.signal_frame => {
            frame.lookup = frame.pc;
            Ok(exact)
        }
        _ => row,
    }
}

fn by_cfi(
    frame: &PhysicalFrame,
    row: &UnwindRow,
    image: &Image<'_>,
) -> Result<PhysicalFrame, StackEnd> {
    match by_row(row, &frame.registers, image) {
        Err(end) => Err(found_by("call frame information", end)),
        Ok(None) => Err(StackEnd::Complete),
        // Handlers can run on a stack of their own, so a signal frame may lead anywhere.
        Ok(Some(caller)) if row.signal_frame || goes_up(frame, &caller) => {
            Ok(called_from(caller, How::Cfi, row.signal_frame))
        }
        Ok(Some(_)) => {
            Err(StackEnd::Lost("call frame information leads down the stack".to_owned()))
        }
    }
}

/// The caller of a frame without call frame information: by the frame pointer, or for the first
/// frame at a function's first instruction by the top of the stack.
fn without_cfi(
    frame: &PhysicalFrame,
    why: &str,
    image: &Image<'_>,
    code: &dyn CodeMap,
    is_first: bool,
) -> Result<PhysicalFrame, StackEnd> {
    let (step, how) = if is_first && code.symbol_at(frame.pc).is_some() {
        let how = format!("no call frame information ({why}); at the function's first instruction");
        (at_entry(&frame.registers, image), how)
    } else {
        let how = format!("no call frame information ({why})");
        (by_frame_pointer(&frame.registers, image), how)
    };
    match step {
        Err(end) => Err(found_by(&how, end)),
        Ok(None) => Err(StackEnd::Complete),
        Ok(Some(caller)) => {
            let caller = called_from(caller, How::FramePointer(how.clone()), false);
            if code.module_name(caller.lookup).is_none() {
                return Err(StackEnd::Lost(format!("{how}: {} is in no module", caller.pc)));
            }
            Ok(caller)
        }
    }
}

/// A frame's caller. Below a signal frame it was interrupted, not calling.
fn called_from(registers: Registers, how: How, is_interrupted: bool) -> PhysicalFrame {
    let pc = Avma(registers.pc().unwrap_or(0));
    let lookup = if is_interrupted { pc } else { pc.offset(-1) };
    PhysicalFrame { registers, pc, lookup, how }
}

/// A return takes at least the return address off the stack; without this a walk could go round.
fn goes_up(frame: &PhysicalFrame, caller: &Registers) -> bool {
    matches!((frame.registers.sp(), caller.sp()), (Some(inner), Some(outer)) if outer > inner)
}

/// The end of the walk with what was tried.
fn found_by(how: &str, end: StackEnd) -> StackEnd {
    match end {
        StackEnd::Lost(why) => StackEnd::Lost(format!("{how}: {why}")),
        other => other,
    }
}
