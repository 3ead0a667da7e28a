//! What is at an address: the instruction, whether it may be probed, and what its trap costs.

mod table;

#[cfg(test)]
mod tests;

pub use table::{Entry, Form, entries};

use crate::model::address::Svma;
use crate::model::resolved::TrapClass;
use iced_x86::{
    Code, Decoder, DecoderOptions, EncodingKind, FlowControl, Formatter, Instruction,
    IntelFormatter, Mnemonic, OpKind,
};
use std::fmt;
use std::sync::OnceLock;

/// An instruction that may be probed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classified {
    /// Bytes, 1 to 15.
    pub length: usize,
    /// How the kernel executes it under a probe.
    pub trap: TrapClass,
    /// Its disassembly, Intel syntax.
    pub text: String,
    /// Where control goes from it.
    pub flow: Flow,
}

/// Where control goes from an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// To the next instruction.
    Next,
    /// To this address.
    Jump(Svma),
    /// To this address or to the next instruction.
    Branch(Svma),
    /// To this function, then to the next instruction.
    Call(Svma),
    /// To where a register or memory says.
    IndirectJump {
        /// The target is read from a fixed address: a call through the GOT, never a jump table.
        fixed_slot: bool,
    },
    /// To a function that a register or memory gives, then to the next instruction.
    IndirectCall,
    /// To the caller.
    Return,
    /// Into the kernel, a trap or a transaction.
    Other,
}

/// Why an instruction may not be probed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefusalCode {
    /// The bytes are no instruction.
    NotCode,
    /// A prefix that the kernel refuses, or that changes what a probe does.
    Prefix,
    /// A nop that kernels rewrite into a call, which overwrites the red zone or its own bytes.
    RewrittenNop,
    /// An encoding that the kernel refuses or mistakes for another instruction.
    Encoding,
    /// A string instruction: every repetition would count as a hit.
    StringOperation,
    /// An instruction that reads or writes the trap flag, enters the kernel or traps.
    Trap,
    /// Operands that the entries of the allow-list leave out.
    Operands,
    /// Not on the allow-list.
    NotListed,
}

impl RefusalCode {
    /// One sentence part, to follow the instruction's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotCode => "the bytes are no instruction",
            Self::Prefix => "a prefix on it is not safe under a probe",
            Self::RewrittenNop => "kernels rewrite a nop of this length, which corrupts the target",
            Self::Encoding => "the kernel refuses this encoding or mistakes it for another one",
            Self::StringOperation => "each repetition of a string instruction would be a hit",
            Self::Trap => "a probe on it changes what it does, up to killing the process",
            Self::Operands => "with these operands it is not on the list of safe instructions",
            Self::NotListed => "it is not on the list of instructions that are safe under a probe",
        }
    }
}

/// An instruction that may not be probed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// Its disassembly, Intel syntax; `(bad)` where there is none.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.text, self.code.text())
    }
}

/// Classifies the instruction at the start of `bytes`; `svma` is its address.
///
/// # Errors
///
/// The reason why it may not be probed.
pub fn classify(bytes: &[u8], svma: Svma) -> Result<Classified, Refusal> {
    let Some(instruction) = decode(bytes, svma) else {
        return Err(Refusal { code: RefusalCode::NotCode, text: "(bad)".to_owned() });
    };
    match verdict(&instruction, bytes) {
        Ok(entry) => Ok(Classified {
            length: instruction.len(),
            trap: entry.trap,
            text: text(&instruction),
            flow: flow(&instruction),
        }),
        Err(code) => Err(Refusal { code, text: text(&instruction) }),
    }
}

/// Whether `bytes` start with the nop of 5 bytes that kernels rewrite into a call.
pub fn is_nop5(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x0f, 0x1f, 0x44, 0x00, 0x00])
}

/// Decodes one instruction; `None` where the bytes are none or end within it.
pub(super) fn decode(bytes: &[u8], svma: Svma) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, svma.0, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Where control goes from `instruction`.
pub(super) fn flow(instruction: &Instruction) -> Flow {
    let near = || {
        matches!(
            instruction.op0_kind(),
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
        )
        .then(|| Svma(instruction.near_branch_target()))
    };
    match instruction.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::UnconditionalBranch => near().map_or(Flow::Other, Flow::Jump),
        // `xbegin` continues at its operand when the transaction is aborted.
        FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => {
            near().map_or(Flow::Other, Flow::Branch)
        }
        FlowControl::Call => near().map_or(Flow::Other, Flow::Call),
        FlowControl::IndirectBranch => {
            Flow::IndirectJump { fixed_slot: instruction.is_ip_rel_memory_operand() }
        }
        FlowControl::IndirectCall => Flow::IndirectCall,
        FlowControl::Return => Flow::Return,
        FlowControl::Interrupt | FlowControl::Exception => Flow::Other,
    }
}

/// The disassembly of `instruction`, Intel syntax with addresses as in the file.
pub(super) fn text(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_add_leading_zero_to_hex_numbers(false);
    options.set_small_hex_numbers_in_decimal(true);
    options.set_space_after_operand_separator(true);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

/// The entry of the allow-list that lets `instruction` pass; `bytes` starts with it.
pub(super) fn verdict(instruction: &Instruction, bytes: &[u8]) -> Result<Entry, RefusalCode> {
    let bytes = bytes.get(..instruction.len()).ok_or(RefusalCode::NotCode)?;
    let encoding = Encoding::parse(bytes).ok_or(RefusalCode::Prefix)?;
    if instruction.is_string_instruction() {
        return Err(RefusalCode::StringOperation);
    }
    if traps(instruction) {
        return Err(RefusalCode::Trap);
    }
    let branches = instruction.flow_control() != FlowControl::Next;
    // A 66 prefix on a branch means different things to Intel and AMD. Beside an address relative
    // to rip, 67 cuts the address that the kernel puts into its scratch register.
    if instruction.has_rep_prefix()
        || instruction.has_repne_prefix()
        || (branches && encoding.operand_size)
        || (encoding.address_size && instruction.is_ip_rel_memory_operand())
    {
        return Err(RefusalCode::Prefix);
    }
    if !matches!(instruction.encoding(), EncodingKind::Legacy | EncodingKind::VEX) {
        return Err(RefusalCode::Encoding);
    }
    if has_special_register(instruction) {
        return Err(RefusalCode::Operands);
    }
    let listed = of_mnemonic(instruction.mnemonic());
    if let Some(entry) = listed.iter().find(|e| fits(e.form, instruction, &encoding)) {
        return Ok(*entry);
    }
    Err(match listed {
        [] => RefusalCode::NotListed,
        [Entry { form: Form::Padding, .. }, ..] => RefusalCode::RewrittenNop,
        [Entry { form: Form::Vex, .. }, ..] => RefusalCode::Encoding,
        _ => RefusalCode::Operands,
    })
}

/// What matters of the raw bytes of an instruction.
struct Encoding<'a> {
    /// There is a 66 prefix.
    operand_size: bool,
    /// There is a 67 prefix.
    address_size: bool,
    /// The REX prefix, 0 without one.
    rex: u8,
    /// The byte behind the legacy, REX and VEX prefixes.
    opcode: u8,
    /// The instruction.
    bytes: &'a [u8],
}

/// What the kernel emulates as a nop: its own padding (`x86_nops`).
const PADDING: [&[u8]; 7] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
    &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
];

impl<'a> Encoding<'a> {
    /// Parses the prefixes (Intel SDM volume 2, 2.1.1). `None` for lock (f0) and es, cs, ss, ds
    /// (26, 2e, 36, 3e), which the kernel refuses, and for prefixes that are doubled or ignored,
    /// which decoders read differently. 66 alone may be doubled: it pads nops.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut seen = Vec::new();
        let mut rest = bytes;
        while let [prefix, tail @ ..] = rest {
            match prefix {
                0xf0 | 0x26 | 0x2e | 0x36 | 0x3e => return None,
                0x67 | 0x64 | 0x65 | 0xf2 | 0xf3 if seen.contains(prefix) => return None,
                0x66 | 0x67 | 0x64 | 0x65 | 0xf2 | 0xf3 => seen.push(*prefix),
                _ => break,
            }
            rest = tail;
        }
        let has = |prefix: u8| seen.contains(&prefix);
        if (has(0x64) && has(0x65)) || (has(0xf2) && has(0xf3)) {
            return None;
        }
        let (rex, opcode) = match rest {
            [0xc5, _, opcode, ..] | [0xc4, _, _, opcode, ..] => (0, *opcode),
            // A prefix behind REX makes REX void.
            [0x40..=0x4f, 0x66 | 0x67 | 0x64 | 0x65 | 0xf2 | 0xf3, ..] => return None,
            [rex @ 0x40..=0x4f, opcode, ..] => (*rex, *opcode),
            [opcode, ..] => (0, *opcode),
            [] => return None,
        };
        Some(Self { operand_size: has(0x66), address_size: has(0x67), rex, opcode, bytes })
    }
}

/// Whether `form` allows an instruction of its mnemonic.
fn fits(form: Form, instruction: &Instruction, encoding: &Encoding<'_>) -> bool {
    let vex = instruction.encoding() == EncodingKind::VEX;
    if vex != (form == Form::Vex) {
        return false;
    }
    let memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
    match form {
        Form::Legacy => true,
        Form::Registers => !memory,
        Form::Exchange => encoding.opcode != 0x90,
        Form::Padding => PADDING.contains(&encoding.bytes),
        // REX.B would make 0x90 an exchange.
        Form::Nop => !matches!(encoding.bytes.len(), 5 | 10) && encoding.rex & 1 == 0,
        Form::PushRegister => {
            instruction.code() == Code::Push_r64
                && (encoding.bytes.len() == 1
                    || (encoding.bytes.len() == 2 && encoding.rex == 0x41))
        }
        Form::Stack => matches!(
            instruction.code(),
            Code::Push_rm64 | Code::Pushq_imm8 | Code::Pushq_imm32 | Code::Pop_r64
        ),
        Form::Relative => matches!(instruction.op0_kind(), OpKind::NearBranch64),
        Form::Indirect => {
            matches!(instruction.code(), Code::Jmp_rm64 | Code::Call_rm64)
        }
        Form::Vex => !mistaken(encoding.opcode),
    }
}

/// Whether the kernel refuses a VEX opcode byte, or mistakes it for a one-byte instruction.
///
/// It looks a VEX opcode up in its table of one-byte opcodes (`good_insns_64`), whatever the map.
/// Worse, it then treats it as that instruction. Seen on 6.18: `vpcmpeqb` (74) and `vzeroupper`
/// (77) are skipped as an untaken `je` and `ja`, `vpshufd` (70) jumps by its immediate, `vpsubsb`
/// (e8) pushes a return address, `vcmpps` (c2) goes on in the out-of-line page as `ret` would, and
/// `vfnmadd132ss` (9d) leaves the trap flag set as `popf` may.
fn mistaken(opcode: u8) -> bool {
    matches!(
        opcode,
        // Refused by the kernel.
        0x06 | 0x07 | 0x0e | 0x16 | 0x17 | 0x1e | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f
            | 0x60..=0x62 | 0x6c..=0x6f | 0x82 | 0x9a | 0xcc..=0xcf | 0xd4..=0xd6
            | 0xe4..=0xe7 | 0xea | 0xec..=0xef | 0xf1 | 0xf4 | 0xfa | 0xfb
            // Taken for jcc, nop, popf, ret, call, jmp and the indirect branches.
            | 0x70..=0x7f | 0x90 | 0x9d | 0xc2 | 0xc3 | 0xca | 0xcb | 0xe8 | 0xe9 | 0xeb | 0xff
    )
}

/// Instructions of which a probe is known to change the meaning; all are unlisted, this only
/// gives them a better reason.
fn traps(instruction: &Instruction) -> bool {
    instruction.is_privileged()
        || matches!(instruction.flow_control(), FlowControl::Interrupt | FlowControl::Exception)
        || matches!(
            instruction.mnemonic(),
            Mnemonic::Syscall
                | Mnemonic::Sysenter
                | Mnemonic::Pushf
                | Mnemonic::Pushfd
                | Mnemonic::Pushfq
                | Mnemonic::Popf
                | Mnemonic::Popfd
                | Mnemonic::Popfq
                | Mnemonic::Iret
                | Mnemonic::Iretd
                | Mnemonic::Iretq
                | Mnemonic::Xbegin
                | Mnemonic::Xend
                | Mnemonic::Xabort
        )
}

/// Segment, control, debug and test registers as operands.
fn has_special_register(instruction: &Instruction) -> bool {
    (0..instruction.op_count())
        .filter(|&n| instruction.op_kind(n) == OpKind::Register)
        .map(|n| instruction.op_register(n))
        .any(|r| r.is_segment_register() || r.is_cr() || r.is_dr() || r.is_tr())
}

/// The entries of a mnemonic, in the order of the table.
fn of_mnemonic(mnemonic: Mnemonic) -> &'static [Entry] {
    static SORTED: OnceLock<Vec<Entry>> = OnceLock::new();
    let sorted = SORTED.get_or_init(|| {
        let mut sorted: Vec<Entry> = entries().collect();
        // Stable: emulated stays before single-stepped.
        sorted.sort_by_key(|entry| entry.mnemonic as usize);
        sorted
    });
    let from = sorted.partition_point(|e| (e.mnemonic as usize) < mnemonic as usize);
    let to = sorted.partition_point(|e| (e.mnemonic as usize) <= mnemonic as usize);
    sorted.get(from..to).unwrap_or_default()
}
