//! The code around each sample: it sets all registers, executes the sample, and saves them.
//!
//! Everything is at fixed addresses below 2 GiB, so that the code needs no register to reach it
//! and samples can address their data in every way.

use super::samples::Sample;
use iced_x86::code_asm::*;
use std::io::Write;
use std::path::Path;

/// Where the file is mapped.
pub(super) const CODE: u64 = 0x1000_0000;
/// A page that samples read and write.
pub(super) const ARENA: u64 = 0x2000_0000;
/// Bytes of it.
pub(super) const ARENA_BYTES: usize = 4096;
/// Where memory operands point; aligned to 64.
pub(super) const DATA: u64 = ARENA + 0x800;
/// The stack pointer of samples; aligned to 64.
pub(super) const STACK: u64 = ARENA + 0x400;
/// The state before a sample, then the state behind it, then what only the stubs use.
pub(super) const CONTROL: u64 = 0x3000_0000;
/// Bytes of it.
pub(super) const CONTROL_BYTES: usize = 0x3000;

const BEFORE: u64 = CONTROL;
const BEHIND: u64 = CONTROL + 0x1000;
const HOST_STACK: u64 = CONTROL + 0x2000;
/// Where the first instruction of the sample to execute is stored.
const TARGET: u64 = CONTROL + 0x2008;
/// MXCSR of the code around.
const HOST_MXCSR: u64 = CONTROL + 0x2010;

/// Offsets in a state: registers in the order of their numbers, flags, path, then XSAVE's area.
pub(super) const FLAGS: u64 = 16 * 8;
pub(super) const PATH: u64 = 17 * 8;
pub(super) const VECTORS: u64 = 0x100;
/// Bytes of a state.
pub(super) const STATE_BYTES: usize = 0x800;
/// The state components that are set and saved: x87, SSE, AVX.
const COMPONENTS: u32 = 7;

/// Bytes of a sample's slot.
const SLOT: u64 = 64;
/// Where the sample is in its slot; in front of it is the pad for branches that go back.
const IN_SLOT: u64 = 16;

/// A file with the stubs of a batch of samples.
pub(super) struct Stubs {
    file: tempfile::NamedTempFile,
    bytes: usize,
}

/// The slot with this index.
fn slot(index: usize) -> u64 {
    CODE + 0x1000 + index as u64 * SLOT
}

/// The address of the sample with this index.
pub(super) fn address(index: usize) -> u64 {
    slot(index) + IN_SLOT
}

/// Where a branch back goes.
pub(super) fn back(index: usize) -> u64 {
    slot(index)
}

/// What is behind a sample of this length: a jump of 5 bytes, then the pad for branches forward.
pub(super) fn forward(index: usize, length: usize) -> u64 {
    address(index) + length as u64 + 5
}

impl Stubs {
    /// Writes the file.
    pub(super) fn write(batch: &[Sample]) -> Self {
        let (mut code, end) = around();
        code.resize(0x1000, 0xcc);
        for (index, sample) in batch.iter().enumerate() {
            let mut bytes = pad(slot(index), 2, end);
            bytes.resize(IN_SLOT as usize, 0xcc);
            bytes.extend_from_slice(&sample.bytes);
            jump(&mut bytes, slot(index), end);
            let forward = slot(index) + bytes.len() as u64;
            bytes.extend(pad(forward, 1, end));
            bytes.resize(SLOT as usize, 0xcc);
            code.extend(bytes);
        }
        // A uprobe needs a file on a filesystem that can read pages; /tmp may be anything.
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(&code).expect("the stubs are written");
        Self { file, bytes: code.len() }
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &std::fs::File {
        self.file.as_file()
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Where the sample with this index is in the file.
    pub(super) fn file_offset(&self, index: usize) -> u64 {
        address(index) - CODE
    }
}

/// Appends `jmp end`, 5 bytes; `bytes` starts at address `start`.
fn jump(bytes: &mut Vec<u8>, start: u64, end: u64) {
    let next = start + bytes.len() as u64 + 5;
    bytes.push(0xe9);
    bytes.extend_from_slice(&(end.wrapping_sub(next) as u32).to_le_bytes());
}

/// Notes that control came here, without changing a register or flag: `mov byte [path], number`.
fn pad(start: u64, number: u8, end: u64) -> Vec<u8> {
    let mut bytes = vec![0xc6, 0x04, 0x25];
    bytes.extend_from_slice(&((BEHIND + PATH) as u32).to_le_bytes());
    bytes.push(number);
    jump(&mut bytes, start, end);
    bytes
}

const REGISTERS: [AsmRegister64; 16] =
    [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
const SAVED: [AsmRegister64; 6] = [rbx, rbp, r12, r13, r14, r15];

/// The function that executes the sample at [`TARGET`], and the address to which samples jump.
fn around() -> (Vec<u8>, u64) {
    let mut entry = CodeAssembler::new(64).expect("64-bit code");
    let mut end = CodeAssembler::new(64).expect("64-bit code");
    assemble_entry(&mut entry).expect("the entry stub");
    assemble_end(&mut end).expect("the end stub");
    let mut code = entry.assemble(CODE).expect("the entry stub");
    let address = CODE + code.len() as u64;
    code.extend(end.assemble(address).expect("the end stub"));
    (code, address)
}

fn assemble_entry(a: &mut CodeAssembler) -> Result<(), IcedError> {
    for register in SAVED {
        a.push(register)?;
    }
    a.mov(qword_ptr(HOST_STACK as i32), rsp)?;
    a.stmxcsr(dword_ptr(HOST_MXCSR as i32))?;
    a.mov(eax, COMPONENTS)?;
    a.xor(edx, edx)?;
    a.xrstor(ptr((BEFORE + VECTORS) as i32))?;
    a.push(qword_ptr((BEFORE + FLAGS) as i32))?;
    a.popfq()?;
    for (number, register) in REGISTERS.into_iter().enumerate() {
        a.mov(register, qword_ptr((BEFORE + number as u64 * 8) as i32))?;
    }
    a.jmp(qword_ptr(TARGET as i32))
}

fn assemble_end(a: &mut CodeAssembler) -> Result<(), IcedError> {
    for (number, register) in REGISTERS.into_iter().enumerate() {
        a.mov(qword_ptr((BEHIND + number as u64 * 8) as i32), register)?;
    }
    a.mov(rsp, qword_ptr(HOST_STACK as i32))?;
    a.pushfq()?;
    a.pop(qword_ptr((BEHIND + FLAGS) as i32))?;
    a.mov(eax, COMPONENTS)?;
    a.xor(edx, edx)?;
    a.xsave(ptr((BEHIND + VECTORS) as i32))?;
    a.cld()?;
    a.fninit()?;
    a.ldmxcsr(dword_ptr(HOST_MXCSR as i32))?;
    for register in SAVED.into_iter().rev() {
        a.pop(register)?;
    }
    a.ret()
}

/// Tells the stubs where the sample with this index is: to be written at [`TARGET`].
pub(super) fn target(index: usize) -> (u64, u64) {
    (TARGET, address(index))
}

/// Where the state before a sample is, and the one behind it.
pub(super) const STATES: (u64, u64) = (BEFORE, BEHIND);
