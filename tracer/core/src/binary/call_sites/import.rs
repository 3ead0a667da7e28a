//! Functions of other modules that a function calls in its last step, through a stub of the linkage
//! table.

use crate::binary::module::Module;
use crate::model::address::Svma;
use std::ffi::CStr;

/// Functions of the C library that call nothing of the program's, and that no program replaces: they
/// work on memory.
const CALL_NOTHING: &[&str] = &[
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "memchr",
    "__memcpy_chk",
    "__memmove_chk",
    "__memset_chk",
    "strlen",
    "strcmp",
    "strncmp",
    "strchr",
];

/// Bytes of a stub up to the end of its jump, and of what it may start with: `endbr64`, `bnd`.
const STUB_BYTES: usize = 16;
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
const BND: u8 = 0xf2;
/// Relocations of the linkage table (psABI x86-64, 4.4).
const R_X86_64_GLOB_DAT: u64 = 6;
const R_X86_64_JUMP_SLOT: u64 = 7;
/// Elf64_Rela and Elf64_Sym.
const RELOCATION_BYTES: usize = 24;
const SYMBOL_BYTES: usize = 24;

/// Whether a stub leads to a function that calls nothing of the program's.
pub(super) fn calls_nothing(module: &Module, stub: Svma) -> bool {
    let name = slot(module, stub).and_then(|slot| name_of(module, slot));
    name.is_some_and(|name| CALL_NOTHING.contains(&name))
}

/// Whether a stub of the linkage table begins at an address.
pub fn is_stub(module: &Module, svma: Svma) -> bool {
    slot(module, svma).is_some_and(|slot| name_of(module, slot).is_some())
}

/// The slot that the stub jumps through: `jmp *slot(%rip)`.
fn slot(module: &Module, stub: Svma) -> Option<Svma> {
    let code = module.text(stub, STUB_BYTES)?;
    let jump = code.strip_prefix(&ENDBR64).unwrap_or(code);
    let jump = jump.strip_prefix(&[BND]).unwrap_or(jump);
    let [0xff, 0x25, distance @ ..] = jump else { return None };
    let end = code.len() - distance.len() + 4;
    let distance = i32::from_le_bytes(*distance.first_chunk()?);
    Some(stub.offset(i64::try_from(end).ok()?).offset(i64::from(distance)))
}

/// The symbol that the dynamic linker puts the address of into a slot.
fn name_of(module: &Module, slot: Svma) -> Option<&str> {
    let elf = module.elf();
    let section = |name| elf.section(name).ok().flatten();
    let relocations = [".rela.plt", ".rela.dyn"].into_iter().filter_map(section);
    let mut relocations = relocations.flat_map(|bytes| bytes.chunks_exact(RELOCATION_BYTES));
    let info = relocations.find_map(|relocation| {
        let at = u64::from_le_bytes(*relocation.first_chunk()?);
        let info = u64::from_le_bytes(*relocation.get(8..)?.first_chunk()?);
        // What else is written into words of the program is the program's to change.
        let is_linkage = matches!(info & 0xffff_ffff, R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT);
        (at == slot.0 && is_linkage).then_some(info)
    })?;
    let index = usize::try_from(info >> 32).ok()?;
    let symbol = section(".dynsym")?.get(index.checked_mul(SYMBOL_BYTES)?..)?;
    let name = usize::try_from(u32::from_le_bytes(*symbol.first_chunk()?)).ok()?;
    CStr::from_bytes_until_nul(section(".dynstr")?.get(name..)?).ok()?.to_str().ok()
}
