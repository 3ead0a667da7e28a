//! Sections that unfold, numbers that are not true, tables of symbols, names of other files.
//! hazards B1, B2, B8.

use super::bytes::Bytes;
use super::dwarf::{Info, LOW_PC, NAME, STRP, SUBPROGRAM, unit};
use super::elf::{
    COMPRESSED, SHT_SYMTAB, Section, compression_header, with_sections, zlib_zeros, zstd_zeros,
};
use super::{Base, Made, with};

const ZLIB: u32 = 1;
const ZSTD: u32 = 2;
const GIB: u64 = 1 << 30;

pub(super) const BOMBS: &[Made] = &[
    ("zlib that unfolds", |base| compressed(base, ZLIB, GIB / 4, &zlib_zeros(GIB / 4))),
    ("zstd that unfolds", |base| compressed(base, ZSTD, GIB, &zstd_zeros(GIB))),
    ("zdebug that unfolds", zdebug),
    ("zstd larger than it says", |base| compressed(base, ZSTD, 64, &zstd_zeros(GIB))),
    ("zlib that says 2 to the 62", |base| compressed(base, ZLIB, 1 << 62, &zlib_zeros(1 << 20))),
    ("compressed by nobody knows what", |base| compressed(base, 77, 64, &[0; 64])),
    ("sections beyond the file", beyond),
    ("section count of 2 to the 60", section_count),
    ("a million symbols of one name", same_symbols),
    ("symbols that share a long name", long_symbols),
    ("names that unfold", mangled),
    ("a million units", units),
    ("units that share abbreviations in part", abbreviations),
    ("abbreviations without end", |base| {
        let mut info = Info::new(base);
        let function = info.number;
        info.function_of(function);
        for number in 1000..400_000_u64 {
            info.abbreviations.leb(number).leb(0x34).u8(0).u8(0).u8(0);
        }
        with(base, &info.finish())
    }),
    ("debug link that leads out", |base| link(base, b"../../../../etc/passwd\0\0\0\0\0\0")),
    ("alternate link that leads out", alternate),
    ("strings outside", strings),
];

fn compressed(base: &Base, kind: u32, stated: u64, bytes: &[u8]) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.function_of(number);
    let mut sections = info.finish();
    let mut content = compression_header(kind, stated);
    content.raw(bytes);
    let with_header = |name| Section { flags: COMPRESSED, ..Section::new(name, content.0.clone()) };
    // The strings, so that the rest is read; then the entries themselves.
    sections.push(with_header(".debug_str"));
    sections[0] = with_header(".debug_info");
    with(base, &sections)
}

fn zdebug(base: &Base) -> Vec<u8> {
    let mut content = Bytes::new();
    content.raw(b"ZLIB").raw(&(GIB / 4).to_be_bytes()).raw(&zlib_zeros(GIB / 4));
    let info = Section::new(".zdebug_info", content.0.clone());
    with(base, &[info, Section::new(".zdebug_abbrev", content.0)])
}

fn beyond(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.function_of(number);
    let mut sections = info.finish();
    sections[0].stated = Some(1 << 60);
    with(base, &sections)
}

/// e_shnum 0: the first section's size is the number (ELF, extended numbering).
fn section_count(base: &Base) -> Vec<u8> {
    let mut file = with(base, &Info::new(base).finish());
    let table = super::elf::word(&file, 0x28, 8) as usize;
    file[table + 32..table + 40].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    file[0x3c..0x3e].fill(0);
    file
}

fn symbols(base: &Base, names: Vec<u8>, count: usize, name_of: impl Fn(u64) -> u32) -> Vec<u8> {
    let mut table = Bytes::new();
    table.times(24, &[0]);
    for number in 0..count as u64 {
        // STB_GLOBAL and STT_FUNC, in section 1.
        table.u32(name_of(number)).u8(0x12).u8(0).u16(1);
        table.u64(base.start + number % u64::from(base.size)).u64(1);
    }
    let table =
        Section { kind: SHT_SYMTAB, link: 1, entry_bytes: 24, ..Section::new(".symtab", table.0) };
    let names = Section { kind: 3, ..Section::new(".strtab", names) };
    let info = Info::new(base).finish();
    with_sections(&base.file, &[vec![table, names], info].concat(), Some(SHT_SYMTAB))
}

fn same_symbols(base: &Base) -> Vec<u8> {
    symbols(base, b"\0counted\0".to_vec(), base.many(1_000_000), |_| 1)
}

/// Each name is the end of one, a little shorter than the one before.
fn long_symbols(base: &Base) -> Vec<u8> {
    let length = 60_000;
    let mut names = vec![b'a'; length];
    names.extend(b"counted\0");
    symbols(base, names, base.many(200_000), |number| (number % length as u64) as u32)
}

/// Mangled names that refer to their own parts, twice each time.
fn mangled(base: &Base) -> Vec<u8> {
    let mut names = Bytes::new();
    names.u8(0);
    let mut at = Vec::new();
    // Rust (v0): a tuple of the tuple before, twice. C++: a template of what stands before it.
    let mut rust = "_RIC0".to_owned() + &"T".repeat(30) + "u";
    for level in 0..30 {
        rust += &format!("B{}_E", (b'a' + level % 26) as char);
    }
    let cpp = format!("_Z1fI{}E", "St4pairI".to_owned() + &"S_S0_S1_".repeat(8000));
    let nested = "_Z1f".to_owned() + &"P".repeat(60_000) + "i";
    let deep = "_RNv".to_owned() + &"Nt".repeat(30_000) + "C0";
    for name in [rust, cpp, nested, deep, "_ZN".to_owned() + &"1a".repeat(30_000) + "Ev"] {
        at.push(names.len() as u32);
        names.text(&name);
    }
    symbols(base, names.0, base.many(100_000), |number| at[number as usize % at.len()])
}

/// Units of nothing but a header and an entry.
fn units(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.function_of(number);
    let mut sections = info.finish();
    let mut nothing = Bytes::new();
    nothing.u8(1);
    let empty = unit(&nothing, 1, &[]);
    sections[0].bytes.extend(empty.0.repeat(base.many(1_000_000)));
    with(base, &sections)
}

/// Each unit's abbreviations start a little behind those of the one before, and all end together.
fn abbreviations(base: &Base) -> Vec<u8> {
    let mut table = Bytes::new();
    let count = base.many(20_000) as u32;
    for number in 0..count {
        // Codes in three bytes: each entry takes as many.
        table.leb(u64::from(number) + 0x4000).leb(0x11).u8(0).u8(0).u8(0);
    }
    let entry = table.len() as u32 / count;
    table.u8(0);
    let mut info = Bytes::new();
    for number in 0..count {
        let mut content = Bytes::new();
        content.u16(5).u8(1).u8(8).u32(number * entry).leb(u64::from(number) + 0x4000);
        info.sized(&content);
    }
    let sections = [Section::new(".debug_info", info.0), Section::new(".debug_abbrev", table.0)];
    with(base, &sections)
}

fn link(base: &Base, content: &[u8]) -> Vec<u8> {
    with(base, &[Section::new(".gnu_debuglink", content.to_vec())])
}

fn alternate(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.function_of(number);
    let mut content = Bytes::new();
    content.text("/../../../../../../../etc/passwd").times(20, &[0xab]);
    info.section(".gnu_debugaltlink", content.0);
    with(base, &info.finish())
}

/// Names far behind the end of the strings, and one that never ends.
fn strings(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let named = info.abbreviation(SUBPROGRAM, false, &[(NAME, STRP), (LOW_PC, STRP)]);
    for at in [0, 100, u32::MAX, u32::MAX - 1] {
        info.dies.leb(named).u32(at).u32(at);
    }
    let number = info.number;
    info.function_of(number);
    info.section(".debug_str", vec![b'a'; 16 << 20]);
    with(base, &info.finish())
}
