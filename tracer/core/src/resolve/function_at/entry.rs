//! A second breakpoint at the function's entry, for sites inside of it where that tells values that
//! are gone by then.

use super::FunctionAt;
use crate::binary::cfi::{CfaRule, RegisterRule, UnwindRow};
use crate::model::address::Svma;
use crate::model::location::{Location, Piece, Step};
use crate::model::resolved::Entry;
use crate::resolve::instruction;
use crate::resolve::lang::Language;
use crate::resolve::site::{self, Part};
use crate::resolve::variables::Declared;
use iced_x86::Mnemonic;
use tracer_common::wire::{ENTRY_REGISTERS, RBP, RSP};

/// rbx, rbp, r12 to r15: what a function restores for its caller (psABI x86-64, 3.2.1).
const SAVED: [usize; 6] = [3, RBP, 12, 13, 14, 15];
/// The longest instruction.
const INSTRUCTION_BYTES: u64 = 15;
/// Bytes of a return address.
const WORD: u32 = 8;

impl FunctionAt<'_, '_> {
    /// Where the function is entered, if what registers hold there tells variables that are gone at
    /// `pc`.
    pub(super) fn entered_before(&self, pc: Svma, variables: &[Declared]) -> Option<Entry> {
        let helps = |declared: &Declared| {
            let variable = &declared.variable;
            variable.location.is_err() && variable.at_entry.as_ref().is_some_and(is_kept)
        };
        if !variables.iter().any(helps) || !self.keeps_its_frame() {
            return None;
        }
        // The site must know its frame to ask for what was kept for it.
        self.cfa(pc)?;
        self.entered(pc)
    }

    /// Where a call of the function that comes to `pc` passes first, with its registers and its
    /// frame as the caller left them.
    fn entered(&self, pc: Svma) -> Option<Entry> {
        let start = self.entry?;
        let debug = self.debug.as_ref()?;
        // A symbol may start elsewhere than the function of debug info.
        if debug.info.entry_of(debug.die) != Some(start) {
            return None;
        }
        let placement = self.place(start).ok()?;
        let svma = placement.svma;
        // A site in front of it is hit before anything is kept.
        if pc <= svma || !self.leaves_registers(start, svma) || self.loops_to(start, svma)? {
            return None;
        }
        let row = |svma| self.code.row_at(self.target.module, svma).ok();
        // Where no frame begins no call begins.
        if frame_offset(&row(start)?) != Some(WORD) {
            return None;
        }
        let row = row(svma)?;
        Some(Entry {
            pc: self.module.to_avma(svma),
            file_offset: self.module.file_offset(svma)?,
            instruction: placement.instruction,
            trap: placement.trap,
            frame_offset: frame_offset(&row)?,
            untouched: untouched(&row),
        })
    }

    /// Whether the code from `start` to `end` changes no register but the stack pointer.
    fn leaves_registers(&self, start: Svma, end: Svma) -> bool {
        let mut at = start;
        while at < end {
            let offset = usize::try_from(at.0.wrapping_sub(self.range.start.0)).ok();
            let code = offset.and_then(|offset| self.bytes.get(offset..));
            let Some(step) = code.and_then(|code| instruction::decode(code, at)) else {
                return false;
            };
            if !matches!(step.mnemonic(), Mnemonic::Endbr64 | Mnemonic::Push | Mnemonic::Nop) {
                return false;
            }
            at = Svma(step.next_ip());
        }
        at == end
    }

    /// Whether the function itself jumps to where its calls begin: what is kept there may be of a turn
    /// of its loop. `None` where that can't be told.
    fn loops_to(&self, start: Svma, end: Svma) -> Option<bool> {
        let debug = self.debug.as_ref()?;
        let unit = debug.dies.unit(debug.die.unit).ok()?;
        let function = debug.dies.at(&unit, debug.die.offset).ok()?;
        let mut ranges = unit.dwarf.die_ranges(&unit.unit, &function.entry).ok()?;
        let mut comes_back = false;
        while let Some(range) = ranges.next().ok()? {
            let length = usize::try_from(range.end.checked_sub(range.begin)?).ok()?;
            let part = Part {
                bytes: self.module.text(Svma(range.begin), length)?,
                start: Svma(range.begin),
                entry: None,
                rows: &[],
                targets: &[],
                nop5_is_safe: self.code.nop5_is_safe(),
            };
            let code = site::Code::decode(part);
            let last = code.boundaries().last()?;
            if range.end.wrapping_sub(last.0) > INSTRUCTION_BYTES {
                return None;
            }
            if code.jumps_anywhere() {
                return None;
            }
            let whole = range.begin..range.end;
            comes_back |=
                (start.0..=end.0).any(|to| code.jumps_to(Svma(to), std::slice::from_ref(&whole)));
        }
        Some(comes_back)
    }

    /// A call's frame stays where it is, and calls begin at the function's first instruction. Go
    /// moves its stacks, and of other languages too little is known.
    fn keeps_its_frame(&self) -> bool {
        let unit = self.debug.as_ref().and_then(|debug| debug.dies.unit(debug.die.unit).ok());
        let language = unit.and_then(|unit| unit.language);
        matches!(language, Some(Language::C | Language::Cpp | Language::Rust))
    }
}

/// Whether a breakpoint at the entry tells what a location asks for.
fn is_kept(location: &Location) -> bool {
    // The stack pointer has moved since the entry where the breakpoint is behind a push.
    let is_kept = |step: &Step| matches!(step, Step::Entry(n) if usize::from(*n) < ENTRY_REGISTERS && usize::from(*n) != RSP);
    match location {
        Location::Derived(steps) => steps.iter().any(is_kept),
        Location::Pieces(pieces) => {
            let of = |piece: &Piece| match &piece.location {
                Some(Location::Derived(steps)) => steps.iter().any(is_kept),
                _ => false,
            };
            pieces.iter().any(of)
        }
        _ => false,
    }
}

/// The canonical frame address counted from the stack pointer.
fn frame_offset(row: &UnwindRow) -> Option<u32> {
    match row.cfa {
        CfaRule::Register { register, offset } if usize::from(register) == RSP => {
            u32::try_from(offset).ok()
        }
        _ => None,
    }
}

/// The caller's registers that are in place still, as bits.
fn untouched(row: &UnwindRow) -> u32 {
    let is_saved = |number: &usize| {
        let mut rules = row.registers.iter().filter(|(of, _)| usize::from(*of) == *number);
        rules.any(|(_, rule)| *rule != RegisterRule::SameValue)
    };
    SAVED.iter().filter(|number| !is_saved(number)).fold(0, |bits, number| bits | 1 << number)
}
