//! The states in which samples are executed: registers, flags, vectors and memory, chosen so that
//! they differ where an instruction could go wrong and that it does not fault.

use super::stubs::{DATA, STACK};
use iced_x86::{Instruction, Mnemonic};

/// What is there before an instruction is executed.
pub(super) struct Input {
    /// By number.
    pub(super) registers: [u64; 16],
    pub(super) flags: u64,
    /// An XSAVE area with x87, SSE and AVX.
    pub(super) vectors: Vec<u8>,
    /// What memory operands point to.
    pub(super) data: [u8; 64],
    /// What the stack pointer points to.
    pub(super) stack_top: u64,
}

/// Ways to address [`DATA`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Addressing {
    Base,
    Rip,
    Index,
    Stack,
    Absolute,
    Gs,
    Base32,
    HighBase,
}

const RBX: usize = 3;
const RSP: usize = 4;
const RBP: usize = 5;
const R12: usize = 12;
const R13: usize = 13;
const R15: usize = 15;

/// A state, made so that the instruction does not fault.
pub(super) fn input(
    instruction: &Instruction,
    addressing: Option<Addressing>,
    n: usize,
    flags: u64,
    target: u64,
) -> Input {
    let mnemonic = instruction.mnemonic();
    let mut registers: [u64; 16] = std::array::from_fn(|i| {
        0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((i + 1 + 16 * n) as u64).rotate_left(i as u32)
    });
    let mut data: [u8; 64] = if n.is_multiple_of(2) { numbers() } else { noise() };
    match mnemonic {
        Mnemonic::Div | Mnemonic::Idiv => {
            registers = std::array::from_fn(|i| 7 + i as u64);
            registers[0] = 100;
            registers[2] = 0;
            data = [0; 64];
            data[0] = 7;
        }
        // With memory a register is a distance in bits.
        Mnemonic::Bt | Mnemonic::Btc | Mnemonic::Btr | Mnemonic::Bts => {
            registers = std::array::from_fn(|i| (i * 3 + n) as u64);
        }
        Mnemonic::Jmp | Mnemonic::Call => {
            registers = [target; 16];
            data[..8].copy_from_slice(&target.to_le_bytes());
        }
        Mnemonic::Fldcw => data[..2].copy_from_slice(&0x0f7f_u16.to_le_bytes()),
        Mnemonic::Ldmxcsr => data[..4].copy_from_slice(&0x7f80_u32.to_le_bytes()),
        Mnemonic::Cmpxchg if n == 0 => {
            registers[0] = u64::from_le_bytes(std::array::from_fn(|i| data[i]));
        }
        _ => {}
    }
    registers[RSP] = STACK;
    if mnemonic == Mnemonic::Leave {
        registers[RBP] = STACK + 0x80;
    }
    match addressing {
        Some(Addressing::Base | Addressing::Base32) => registers[RBX] = DATA - 0x10,
        Some(Addressing::HighBase) => registers[R13] = DATA - 0x20,
        Some(Addressing::Index) => {
            registers[R12] = DATA + 0x100 - 4 * 8;
            registers[R15] = 8;
        }
        _ => {}
    }
    Input { registers, flags, vectors: vectors(n), data, stack_top: target }
}

/// Sixteen single-precision numbers.
fn numbers() -> [u8; 64] {
    let mut bytes = [0; 64];
    for (n, chunk) in bytes.chunks_exact_mut(4).enumerate() {
        chunk.copy_from_slice(&(1.5_f32 * (n as f32 - 6.25)).to_le_bytes());
    }
    bytes
}

/// Bytes without meaning.
fn noise() -> [u8; 64] {
    std::array::from_fn(|n| ((n * 151) ^ (n << 3) ^ 0x5b) as u8)
}

/// An XSAVE area in standard form (Intel SDM volume 1, 13.4): x87 and MXCSR with all exceptions
/// masked, six x87 registers in use, and all vector registers with numbers or noise.
fn vectors(n: usize) -> Vec<u8> {
    let mut area = vec![0; 1024];
    area[..2].copy_from_slice(&0x037f_u16.to_le_bytes());
    area[4] = 0x3f;
    area[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    for register in 0..8 {
        let at = 32 + register * 16;
        // 80-bit numbers: 1.xxx * 2^register.
        area[at..at + 8]
            .copy_from_slice(&(0xc000_0000_0000_0000_u64 | 77 << register).to_le_bytes());
        area[at + 8..at + 10].copy_from_slice(&(0x3fff_u16 + register as u16).to_le_bytes());
    }
    for register in 0..16 {
        let (numbers, noise) = (numbers(), noise());
        let source = if (n + register).is_multiple_of(3) { noise } else { numbers };
        let from = (register * 4) % 32;
        area[160 + register * 16..][..16].copy_from_slice(&source[from..from + 16]);
        area[576 + register * 16..][..16].copy_from_slice(&source[from + 16..from + 32]);
    }
    // XSTATE_BV: x87, SSE and AVX are in the area.
    area[512] = 7;
    area
}
