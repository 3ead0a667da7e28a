//! Encodings of every entry of the allow-list: each opcode with several choices of registers and
//! every way to address memory.

use super::inputs::Addressing::{self, Absolute, Base, Base32, Gs, HighBase, Index, Rip, Stack};
use super::inputs::{Input, input};
use super::stubs::{self, DATA};
use iced_x86::{
    Code, Encoder, EncodingKind, Instruction, Mnemonic, OpCodeOperandKind as Kind, OpKind, Register,
};
use std::collections::{HashMap, HashSet};
use tracer_core::model::address::Svma;
use tracer_core::model::resolved::TrapClass;
use tracer_core::resolve::instruction::{Entry, classify, entries};

/// An instruction with the states in which it is executed.
pub(super) struct Sample {
    pub(super) entry: Entry,
    pub(super) bytes: Vec<u8>,
    pub(super) text: String,
    pub(super) inputs: Vec<Input>,
}

/// Register numbers for the first, second and third register operand. The second choice takes the
/// registers that the kernel uses as scratch for rip-relative operands; the last one the stack
/// pointer, or ah and bh.
const CHOICES: [[usize; 4]; 5] =
    [[1, 3, 6, 2], [6, 7, 3, 1], [8, 14, 15, 9], [0, 2, 5, 7], [4, 4, 7, 0]];
const STACK_CHOICE: usize = 4;

/// Which registers go with which addressing.
const MEMORY: [(Addressing, usize); 12] = [
    (Base, 0),
    (Rip, 0),
    (Rip, 1),
    (Rip, 2),
    (Rip, 3),
    (Index, 0),
    (Stack, 1),
    (Absolute, 0),
    (Gs, 0),
    (Base32, 0),
    (HighBase, 2),
    (Base, 4),
];

/// An instruction that is encoded once its address is known.
enum Template {
    Instruction(Box<Instruction>, Option<Addressing>),
    Bytes(Vec<u8>),
}

/// All samples of a trap class, to be put into batches of `batch`.
pub(super) fn all(trap: TrapClass, batch: usize) -> Vec<Sample> {
    let listed: HashSet<Mnemonic> = entries().map(|entry| entry.mnemonic).collect();
    let by_key: HashMap<(Mnemonic, TrapClass), Entry> =
        entries().map(|entry| ((entry.mnemonic, entry.trap), entry)).collect();
    assert_eq!(by_key.len(), entries().count(), "an entry is told by mnemonic and class");
    let codes = Code::values().filter(|code| listed.contains(&code.mnemonic()));
    let mut seen = HashSet::new();
    let mut samples: Vec<Sample> = Vec::new();
    for template in codes.flat_map(templates).chain(by_hand()) {
        let index = samples.len() % batch;
        let Some(bytes) = template.encode(index) else { continue };
        let Ok(classified) = classify(&bytes, Svma(stubs::address(index))) else { continue };
        let instruction = template.decoded(&bytes, index);
        let entry = by_key.get(&(instruction.mnemonic(), trap));
        let (Some(entry), true) = (entry, classified.trap == trap) else { continue };
        // A rip-relative displacement differs from slot to slot.
        let key = if instruction.is_ip_rel_memory_operand() {
            format!("{} {}", classified.text, instruction.code() as usize)
        } else {
            format!("{bytes:02x?}")
        };
        if seen.insert(key) {
            let inputs = template.inputs(&instruction, index, bytes.len());
            samples.push(Sample { entry: *entry, bytes, text: classified.text, inputs });
        }
    }
    samples
}

/// Encodings that no description of operands gives.
fn by_hand() -> impl Iterator<Item = Template> {
    let bytes: &[&[u8]] = &[
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
        &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        // call with a prefix that linkers add; its target is 5 bytes on.
        &[0x67, 0xe8, 5, 0, 0, 0],
        // Thread-local storage: the stack protector's value, through each kind of destination.
        &[0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0],
        &[0x64, 0x48, 0x2b, 0x14, 0x25, 0x28, 0, 0, 0],
        &[0x64, 0x48, 0x33, 0x0c, 0x25, 0x28, 0, 0, 0],
        &[0x64, 0xff, 0x34, 0x25, 0x28, 0, 0, 0],
        &[0x66, 0x66, 0x48, 0x8d, 0x7b, 0x10],
    ];
    bytes.iter().map(|bytes| Template::Bytes(bytes.to_vec()))
}

/// All choices of operands for an opcode.
fn templates(code: Code) -> Vec<Template> {
    let op_code = code.op_code();
    let known = matches!(op_code.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    if !op_code.mode64() || !op_code.is_instruction() || !known {
        return Vec::new();
    }
    let registers = (0..CHOICES.len()).map(|choice| (None, choice));
    let memory = MEMORY.iter().map(|&(addressing, choice)| (Some(addressing), choice));
    let divides = matches!(code.mnemonic(), Mnemonic::Div | Mnemonic::Idiv);
    let bits =
        matches!(code.mnemonic(), Mnemonic::Bt | Mnemonic::Btc | Mnemonic::Btr | Mnemonic::Bts);
    let branches = matches!(code.mnemonic(), Mnemonic::Jmp | Mnemonic::Call);
    registers
        .chain(memory)
        // These would fault: rdx:rax as divisor of itself, a bit far away, a jump into data.
        .filter(|&(addressing, choice)| match addressing {
            None => !(divides && choice >= 3 || branches && choice == STACK_CHOICE),
            Some(_) => !(bits && choice == STACK_CHOICE),
        })
        .filter_map(|(addressing, choice)| template(code, addressing, choice))
        .collect()
}

/// An instruction with one choice of operands; `None` where the opcode does not have them.
fn template(code: Code, addressing: Option<Addressing>, choice: usize) -> Option<Template> {
    let mut instruction = Instruction::default();
    instruction.set_code(code);
    let mut registers = CHOICES[choice].into_iter();
    let mut memory = None;
    for (operand, kind) in code.op_code().op_kinds().iter().enumerate() {
        let operand = operand as u32;
        let is_memory = match kind {
            Kind::mem | Kind::mem_offs => true,
            Kind::r8_or_mem
            | Kind::r16_or_mem
            | Kind::r32_or_mem
            | Kind::r64_or_mem
            | Kind::mm_or_mem
            | Kind::xmm_or_mem
            | Kind::ymm_or_mem => addressing.is_some(),
            _ => false,
        };
        if is_memory {
            memory = Some(addressing?);
            let direct = *kind == Kind::mem_offs;
            set_memory(&mut instruction, operand, if direct { Absolute } else { addressing? });
            if direct {
                instruction.set_memory_displ_size(8);
            }
        } else if !set_immediate(&mut instruction, operand, *kind, choice) {
            let register = register(*kind, choice, &mut registers)?;
            instruction.set_op_kind(operand, OpKind::Register);
            instruction.set_op_register(operand, register);
        }
    }
    // Without memory the addressing makes no difference.
    (memory == addressing).then(|| Template::Instruction(Box::new(instruction), memory))
}

/// The register for an operand of this kind.
fn register(
    kind: Kind,
    choice: usize,
    numbers: &mut impl Iterator<Item = usize>,
) -> Option<Register> {
    let fixed = match kind {
        Kind::al => Some(Register::AL),
        Kind::cl => Some(Register::CL),
        Kind::ax => Some(Register::AX),
        Kind::dx => Some(Register::DX),
        Kind::eax => Some(Register::EAX),
        Kind::rax => Some(Register::RAX),
        Kind::st0 => Some(Register::ST0),
        _ => None,
    };
    if fixed.is_some() {
        return fixed;
    }
    let number = numbers.next()?;
    let (first, number) = match kind {
        Kind::r8_or_mem | Kind::r8_reg | Kind::r8_opcode => {
            // al to bl, ah to bh where the choice says so, then spl to dil, then r8b to r15b.
            let high = choice == STACK_CHOICE;
            match number {
                0..=3 => (Register::AL, number),
                4..=7 if high => (Register::AH, number - 4),
                4..=7 => (Register::SPL, number - 4),
                _ => (Register::R8L, number - 8),
            }
        }
        Kind::r16_or_mem | Kind::r16_reg | Kind::r16_reg_mem | Kind::r16_rm | Kind::r16_opcode => {
            (Register::AX, number)
        }
        Kind::r32_or_mem
        | Kind::r32_reg
        | Kind::r32_reg_mem
        | Kind::r32_rm
        | Kind::r32_opcode
        | Kind::r32_vvvv => (Register::EAX, number),
        Kind::r64_or_mem
        | Kind::r64_reg
        | Kind::r64_reg_mem
        | Kind::r64_rm
        | Kind::r64_opcode
        | Kind::r64_vvvv => (Register::RAX, number),
        Kind::mm_or_mem | Kind::mm_reg | Kind::mm_rm => (Register::MM0, number % 8),
        Kind::xmm_or_mem | Kind::xmm_reg | Kind::xmm_rm | Kind::xmm_vvvv | Kind::xmm_is4 => {
            (Register::XMM0, number)
        }
        Kind::ymm_or_mem | Kind::ymm_reg | Kind::ymm_rm | Kind::ymm_vvvv | Kind::ymm_is4 => {
            (Register::YMM0, number)
        }
        Kind::sti_opcode => (Register::ST0, number % 8),
        _ => return None,
    };
    Register::try_from(first as usize + number).ok()
}

/// Sets an immediate or branch target; false if the operand is none.
fn set_immediate(instruction: &mut Instruction, operand: u32, kind: Kind, choice: usize) -> bool {
    let value = [3_i32, -5, 0x65, 0, 0x11][choice];
    let (op_kind, wide) = match kind {
        Kind::imm8 => (OpKind::Immediate8, value & 0xff),
        Kind::imm8_const_1 => (OpKind::Immediate8, 1),
        Kind::imm8sex16 => (OpKind::Immediate8to16, value),
        Kind::imm8sex32 => (OpKind::Immediate8to32, value),
        Kind::imm8sex64 => (OpKind::Immediate8to64, value),
        Kind::imm16 => (OpKind::Immediate16, 0x1230 + (value & 0xf)),
        Kind::imm32 => (OpKind::Immediate32, 0x1234_5670 ^ value),
        Kind::imm32sex64 => (OpKind::Immediate32to64, 0x1234_5670 ^ value),
        Kind::imm64 => (OpKind::Immediate64, value),
        Kind::br64_1 | Kind::br64_4 => {
            instruction.set_op_kind(operand, OpKind::NearBranch64);
            // Back, or forward: set when the address is known.
            instruction.set_near_branch64(u64::from(choice % 2 == 1));
            return true;
        }
        _ => return false,
    };
    instruction.set_op_kind(operand, op_kind);
    match op_kind {
        OpKind::Immediate64 => instruction.set_immediate64(0x1122_3344_5566_7788 ^ wide as u64),
        _ => instruction.set_immediate_i32(operand, wide),
    }
    true
}

/// Makes an operand address [`DATA`].
fn set_memory(instruction: &mut Instruction, operand: u32, addressing: Addressing) {
    let (base, displacement, size) = match addressing {
        Base => (Register::RBX, 0x10, 1),
        Rip => (Register::RIP, DATA, 8),
        Index => (Register::R12, (-0x100_i64) as u64, 4),
        Stack => (Register::RSP, 0x40, 1),
        Absolute | Gs => (Register::None, DATA, 4),
        Base32 => (Register::EBX, 0x10, 1),
        HighBase => (Register::R13, 0x20, 1),
    };
    instruction.set_op_kind(operand, OpKind::Memory);
    instruction.set_memory_base(base);
    instruction.set_memory_displacement64(displacement);
    instruction.set_memory_displ_size(size);
    if addressing == Index {
        instruction.set_memory_index(Register::R15);
        instruction.set_memory_index_scale(4);
    }
    if addressing == Gs {
        instruction.set_segment_prefix(Register::GS);
    }
}

impl Template {
    /// The bytes at the address of the slot with this index.
    fn encode(&self, index: usize) -> Option<Vec<u8>> {
        let mut instruction = match self {
            Self::Bytes(bytes) => return Some(bytes.clone()),
            Self::Instruction(instruction, _) => **instruction,
        };
        let at = stubs::address(index);
        let branch = instruction.op0_kind() == OpKind::NearBranch64;
        let forward = instruction.near_branch64() == 0;
        let mut bytes = Vec::new();
        // The target behind the instruction depends on its length.
        for _ in 0..2 {
            if branch {
                let to =
                    if forward { stubs::forward(index, bytes.len()) } else { stubs::back(index) };
                instruction.set_near_branch64(to);
            }
            let mut encoder = Encoder::new(64);
            encoder.encode(&instruction, at).ok()?;
            bytes = encoder.take_buffer();
        }
        Some(bytes)
    }

    /// What a decoder makes of the bytes.
    fn decoded(&self, bytes: &[u8], index: usize) -> Instruction {
        let options = iced_x86::DecoderOptions::NONE;
        iced_x86::Decoder::with_ip(64, bytes, stubs::address(index), options).decode()
    }

    /// The states in which the instruction is executed.
    fn inputs(&self, instruction: &Instruction, index: usize, length: usize) -> Vec<Input> {
        let addressing = match self {
            Self::Instruction(_, addressing) => *addressing,
            Self::Bytes(_) => None,
        };
        // Carry, parity, adjust, zero, sign and overflow: all, none, each.
        let all: u64 = 0x8d5;
        let flags: Vec<u64> = if instruction.rflags_read() == 0 {
            vec![0, all]
        } else {
            vec![0, all, 0x001, 0x004, 0x010, 0x040, 0x080, 0x800]
        };
        let target = if index.is_multiple_of(2) {
            stubs::back(index)
        } else {
            stubs::forward(index, length)
        };
        (0..)
            .zip(flags)
            .map(|(n, flags)| input(instruction, addressing, n, flags | 0x202, target))
            .collect()
    }
}
