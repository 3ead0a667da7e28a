//! What executing an instruction changes, as far as a probe that moves past it would show.

use iced_x86::{
    Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register, UsedMemory, UsedRegister,
};

/// The registers that `instruction` writes, as bits by DWARF number, if a probe may move past it.
///
/// `None` if it writes memory, except that `push` may write its own new stack slot, or if it may
/// fault: a program that dies between the two addresses would be seen at one of them only.
pub(super) fn passable(instruction: &Instruction) -> Option<u32> {
    if matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv) {
        return None;
    }
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let push = instruction.mnemonic() == Mnemonic::Push;
    let harmless = |memory: &UsedMemory| match memory.access() {
        OpAccess::None | OpAccess::NoMemAccess => true,
        OpAccess::Read | OpAccess::CondRead => on_stack_or_fixed(memory),
        _ => push && memory.base() == Register::RSP,
    };
    if !info.used_memory().iter().all(harmless) {
        return None;
    }
    Some(bits(info.used_registers()))
}

/// The registers that `instruction` itself writes, as bits by DWARF number.
pub(super) fn written(instruction: &Instruction) -> u32 {
    bits(InstructionInfoFactory::new().info(instruction).used_registers())
}

/// Whether `instruction` may write memory, other than `push` its own new stack slot.
pub(super) fn writes_memory(instruction: &Instruction) -> bool {
    let reads = |memory: &UsedMemory| {
        matches!(
            memory.access(),
            OpAccess::None | OpAccess::NoMemAccess | OpAccess::Read | OpAccess::CondRead
        )
    };
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    instruction.mnemonic() != Mnemonic::Push && !info.used_memory().iter().all(reads)
}

fn bits(used: &[UsedRegister]) -> u32 {
    used.iter().filter(|used| writes(used)).fold(0, |registers, used| {
        registers | dwarf_number(used.register()).map_or(0, |number| 1 << number)
    })
}

/// Memory that is there as long as the program is sound: the frame, globals, thread-locals.
fn on_stack_or_fixed(memory: &UsedMemory) -> bool {
    memory.index() == Register::None
        && matches!(memory.base(), Register::None | Register::RIP | Register::RSP | Register::RBP)
}

/// Whether the register may have another value afterwards.
fn writes(used: &UsedRegister) -> bool {
    matches!(
        used.access(),
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// DWARF's number of a general-purpose register or a part of it (psABI x86-64, figure 3.36).
pub(super) fn dwarf_number(register: Register) -> Option<u8> {
    Some(match register.full_register() {
        Register::RAX => 0,
        Register::RDX => 1,
        Register::RCX => 2,
        Register::RBX => 3,
        Register::RSI => 4,
        Register::RDI => 5,
        Register::RBP => 6,
        Register::RSP => 7,
        Register::R8 => 8,
        Register::R9 => 9,
        Register::R10 => 10,
        Register::R11 => 11,
        Register::R12 => 12,
        Register::R13 => 13,
        Register::R14 => 14,
        Register::R15 => 15,
        _ => return None,
    })
}
