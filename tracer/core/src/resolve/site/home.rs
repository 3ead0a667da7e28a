//! Whether a parameter has been stored to its home on the stack: unoptimised code says only where
//! that home is, not from which address on it holds the value.

use super::effects::dwarf_number;
use crate::model::address::Svma;
use crate::resolve::instruction::{self, Flow};
use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};
use std::ops::Range;

/// Whether a parameter's home holds its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// It was stored, or the caller stored it.
    Stored,
    /// It was not stored yet.
    NotYet,
    /// The straight-line code at the entry does not tell.
    Unknown,
}

/// Bytes of the entry's straight-line code that are looked at.
const ENTRY_BYTES: usize = 16 * 1024;
/// DWARF numbers.
const RBP: u8 = 6;
const RSP: u8 = 7;

/// Tells whether the parameter whose home is the `size` bytes at CFA + `cfa_offset` has been
/// stored there before the instruction at `pc` is executed.
///
/// `bytes` is the function's code from its `entry` on. The code up to the first branch is
/// followed, with registers relative to the CFA, which is rsp + 8 at the entry (psABI x86-64,
/// 3.2.2). Any store of a register counts; a `push` does not, for it may just move rsp.
pub fn parameter_home(bytes: &[u8], entry: Svma, pc: Svma, cfa_offset: i64, size: u64) -> Home {
    // The caller's frame: arguments that were passed in memory.
    if cfa_offset >= 0 {
        return Home::Stored;
    }
    let Some(end) = i64::try_from(size).ok().and_then(|size| cfa_offset.checked_add(size)) else {
        return Home::Unknown;
    };
    let mut frame = Frame::at_entry(cfa_offset..end);
    let bytes = bytes.get(..ENTRY_BYTES).unwrap_or(bytes);
    let mut decoder = Decoder::with_ip(64, bytes, entry.0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        if decoder.ip() == pc.0 {
            return match (frame.stored(), frame.blurred) {
                (true, _) => Home::Stored,
                (false, true) => Home::Unknown,
                (false, false) => Home::NotYet,
            };
        }
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() || instruction::flow(&instruction) != Flow::Next {
            break;
        }
        frame.step(&instruction);
    }
    // Behind the straight-line code: it was executed whole, if this is not before it.
    if frame.stored() && !(entry.0..decoder.ip()).contains(&pc.0) {
        Home::Stored
    } else {
        Home::Unknown
    }
}

/// What is known while the entry's code is followed.
struct Frame {
    /// Registers by DWARF number, relative to the CFA.
    registers: [Option<i64>; 16],
    /// Parts of the home that are still to be stored.
    missing: Vec<Range<i64>>,
    /// There was a store to an address that is not known.
    blurred: bool,
}

impl Frame {
    fn at_entry(home: Range<i64>) -> Self {
        let mut registers = [None; 16];
        registers[usize::from(RSP)] = Some(-8);
        Self { registers, missing: vec![home], blurred: false }
    }

    fn stored(&self) -> bool {
        self.missing.iter().all(Range::is_empty)
    }

    fn get(&self, register: Register) -> Option<i64> {
        *self.registers.get(usize::from(dwarf_number(register)?))?
    }

    fn set(&mut self, register: Register, value: Option<i64>) {
        let number = dwarf_number(register).map(usize::from);
        if let Some(slot) = number.and_then(|number| self.registers.get_mut(number)) {
            *slot = value;
        }
    }

    /// The address of the memory operand, relative to the CFA.
    fn address(&self, instruction: &Instruction) -> Option<i64> {
        if instruction.memory_index() != Register::None || instruction.has_segment_prefix() {
            return None;
        }
        let base = instruction.memory_base();
        (base.full_register() == base)
            .then(|| self.get(base))??
            .checked_add(instruction.memory_displacement64().cast_signed())
    }

    /// Follows one instruction.
    fn step(&mut self, instruction: &Instruction) {
        self.store(instruction);
        let result = self.result(instruction);
        let mut factory = InstructionInfoFactory::new();
        for used in factory.info(instruction).used_registers() {
            if !matches!(used.access(), OpAccess::None | OpAccess::Read | OpAccess::CondRead) {
                self.set(used.register(), None);
            }
        }
        if let Some((register, value)) = result {
            self.set(register, value);
        }
    }

    /// Notes what a store covers.
    fn store(&mut self, instruction: &Instruction) {
        if instruction.op0_kind() != OpKind::Memory {
            return;
        }
        let mut factory = InstructionInfoFactory::new();
        let access = factory.info(instruction).op0_access();
        if matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess) {
            return;
        }
        let Some(from) = self.address(instruction) else {
            let base = instruction.memory_base();
            // A store to a global or thread-local is none to the frame.
            self.blurred |= base != Register::None && base != Register::RIP;
            return;
        };
        let of_register = access == OpAccess::Write
            && instruction.op_count() >= 2
            && instruction.op1_kind() == OpKind::Register;
        let size = i64::try_from(instruction.memory_size().size()).unwrap_or(0);
        let Some(to) = from.checked_add(size).filter(|_| of_register) else {
            return;
        };
        self.missing = self
            .missing
            .iter()
            .flat_map(|gap| [gap.start..gap.end.min(from), gap.start.max(to)..gap.end])
            .filter(|gap| !gap.is_empty())
            .collect();
    }

    /// A register that is relative to the CFA afterwards.
    fn result(&self, instruction: &Instruction) -> Option<(Register, Option<i64>)> {
        let stack = self.registers.get(usize::from(RSP)).copied().flatten();
        let immediate = || match instruction.op1_kind() {
            OpKind::Immediate8to64 | OpKind::Immediate32to64 => {
                Some(instruction.immediate(1).cast_signed())
            }
            _ => None,
        };
        let to = instruction.op0_register();
        let wide = instruction.op0_kind() == OpKind::Register && to.is_gpr64();
        let value = match instruction.mnemonic() {
            Mnemonic::Push => {
                return Some((Register::RSP, stack?.checked_sub(8)));
            }
            Mnemonic::Pop => return Some((Register::RSP, stack?.checked_add(8))),
            Mnemonic::Mov if wide && instruction.op1_kind() == OpKind::Register => {
                self.get(instruction.op1_register())
            }
            Mnemonic::Lea if wide => self.address(instruction),
            Mnemonic::Add if wide => self.get(to)?.checked_add(immediate()?),
            Mnemonic::Sub if wide => self.get(to)?.checked_sub(immediate()?),
            Mnemonic::Leave => {
                let frame = self.registers.get(usize::from(RBP)).copied().flatten();
                return Some((Register::RSP, frame?.checked_add(8)));
            }
            _ => return None,
        };
        Some((to, value))
    }
}
