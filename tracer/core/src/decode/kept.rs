//! The registers of the function's entry, as a breakpoint there kept them, if the record has those of
//! the very call that was hit.

use super::registers::Registers;
use super::unwind::PhysicalFrame;
use crate::model::capture::How;
use crate::model::record::Record;
use crate::model::resolved::Site;
use tracer_common::wire::{ENTRY_REGISTERS, ItemKind};

pub(super) type Kept = [u64; ENTRY_REGISTERS];

/// What was kept at the entry of the site's function for the frame that was hit. `caller` is the
/// frame around it.
///
/// The kernel program gives what the last call kept that had this frame. A program that copies its
/// stacks away and back has several calls with one frame; what the caller has in its registers tells
/// most of them apart, and where that is not known nothing is told.
pub(super) fn kept(record: &Record, site: &Site, caller: Option<&PhysicalFrame>) -> Option<Kept> {
    let entry = site.entry.as_ref()?;
    let item = record.items.iter().find(|item| item.kind == ItemKind::Entry)?;
    let words = item.bytes.chunks_exact(8).map(word);
    let kept: Kept = words.collect::<Vec<_>>().try_into().ok()?;
    let is_same = |registers: &Registers| {
        let differs = |number: usize| {
            entry.untouched & 1 << number != 0
                && registers.get(number).is_some_and(|value| Some(&value) != kept.get(number))
        };
        !(0..ENTRY_REGISTERS).any(differs)
    };
    let is_known = |frame: &&PhysicalFrame| frame.how == How::Cfi;
    caller.filter(is_known).filter(|frame| is_same(&frame.registers)).map(|_frame| kept)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::fake::{item, record, words};
    use crate::model::address::{Avma, FileOffset, Svma};
    use crate::model::resolved::{Entry, TrapClass};
    use tracer_common::wire::{RBP, REGISTERS};

    const RBX: usize = 3;

    /// A site whose function has saved rbp where it is entered, and rbx not.
    fn site() -> Site {
        let entry = Entry {
            pc: Avma(0x1000),
            file_offset: FileOffset(0x1000),
            instruction: vec![0x53],
            trap: TrapClass::Emulated,
            frame_offset: 16,
            untouched: 1 << RBX,
        };
        Site {
            module: 0,
            requested: Avma(0x1010),
            pc: Avma(0x1010),
            svma: Svma(0x1010),
            file_offset: FileOffset(0x1010),
            instruction: vec![0x90],
            disassembly: "nop".to_owned(),
            trap: TrapClass::Emulated,
            why: String::new(),
            function: None,
            inlined_into: Vec::new(),
            line: None,
            cfa: None,
            variables: Vec::new(),
            entry: Some(entry),
        }
    }

    fn caller(how: How) -> PhysicalFrame {
        let mut registers = Registers::known(&[0; REGISTERS]);
        registers.set(RBX, Some(33));
        registers.set(RBP, Some(66));
        PhysicalFrame { registers, pc: Avma(1), lookup: Avma(0), how }
    }

    /// SEM-6
    #[test]
    fn it_is_of_this_call_if_the_caller_has_the_same_in_its_registers() {
        let kept_with = |rbx| {
            let mut registers = [0; ENTRY_REGISTERS];
            (registers[RBX], registers[RBP]) = (rbx, 1);
            let record = record(vec![item(ItemKind::Entry, 0x7000, &words(&registers))]);
            let by = |how| kept(&record, &site(), Some(&caller(how))).is_some();
            (by(How::Cfi), by(How::FramePointer(String::new())))
        };
        assert_eq!(kept_with(33), (true, false));
        assert_eq!(kept_with(34), (false, false));
        let empty = record(vec![item(ItemKind::Entry, 0x7000, &[])]);
        assert_eq!(kept(&empty, &site(), None), None);
        assert_eq!(kept(&record(Vec::new()), &site(), None), None);
    }
}
