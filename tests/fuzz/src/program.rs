//! An ELF file around sections: code that is always the same, and whatever debug info.

use std::io::Write as _;
use tempfile::NamedTempFile;

/// Where the code is, in the file and in memory.
pub(crate) const TEXT: u64 = 0x1000;
/// Bytes of code.
pub(crate) const TEXT_BYTES: u64 = 0x4000;
/// `push %rbp; mov %rsp,%rbp; nop; nop; pop %rbp; ret`, again and again.
const CODE: [u8; 8] = [0x55, 0x48, 0x89, 0xe5, 0x90, 0x90, 0x5d, 0xc3];
const SECTION_HEADER: u64 = 64;

/// The debug sections in the order in which [`pack`] has them.
pub(crate) const SECTIONS: [&str; 13] = [
    ".debug_info",
    ".debug_abbrev",
    ".debug_str",
    ".debug_line",
    ".debug_line_str",
    ".debug_rnglists",
    ".debug_loclists",
    ".debug_str_offsets",
    ".debug_addr",
    ".debug_aranges",
    ".debug_types",
    ".debug_loc",
    ".debug_ranges",
];

/// Sections as one text of bytes: each behind its length in 16 bits.
pub(crate) fn pack<'b>(section: impl Fn(&str) -> Option<&'b [u8]>) -> Vec<u8> {
    let mut packed = Vec::new();
    for name in SECTIONS {
        let bytes = section(name).unwrap_or_default();
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        packed.extend(length.to_le_bytes());
        packed.extend(bytes.iter().take(usize::from(length)));
    }
    packed
}

/// What [`pack`] has packed; what is missing at the end is empty.
pub(crate) fn unpack(mut packed: &[u8]) -> Vec<(&'static str, &[u8])> {
    let mut sections = Vec::new();
    for name in SECTIONS {
        let Some((length, rest)) = packed.split_first_chunk::<2>() else { break };
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (bytes, behind) = rest.split_at(length);
        sections.push((name, bytes));
        packed = behind;
    }
    sections
}

/// The file with these sections.
pub(crate) fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; (TEXT + TEXT_BYTES) as usize];
    for (to, from) in file.iter_mut().skip(TEXT as usize).zip(CODE.iter().cycle()) {
        *to = *from;
    }
    let mut names = vec![0];
    let mut headers = vec![[0; 8]];
    let mut section = |file: &mut Vec<u8>, name: &str, kind: u64, bytes: &[u8]| {
        let name_at = names.len() as u64;
        names.extend(name.bytes().chain([0]));
        headers.push([name_at | kind << 32, 0, 0, file.len() as u64, bytes.len() as u64, 0, 1, 0]);
        file.extend(bytes);
    };
    for (name, bytes) in sections {
        section(&mut file, name, 1, bytes);
    }
    let at = file.len() as u64;
    section(&mut file, ".shstrtab", 3, &[]);
    let (count, length) = (headers.len() as u64, names.len() as u64);
    if let Some(last) = headers.last_mut() {
        (last[3], last[4]) = (at, length);
    }
    file.extend(names);
    let table = file.len() as u64;
    file.extend(headers.iter().flatten().flat_map(|word| word.to_le_bytes()));
    let words = [
        u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\0"),
        0,
        // e_type ET_DYN, e_machine EM_X86_64, e_version.
        3 | 62 << 16 | 1 << 32,
        TEXT,
        SECTION_HEADER,
        table,
        // e_flags, e_ehsize, e_phentsize.
        64 << 32 | 56 << 48,
        // e_phnum, e_shentsize, e_shnum, e_shstrndx.
        1 | 64 << 16 | count << 32 | (count - 1) << 48,
        // PT_LOAD, PF_R and PF_X.
        1 | 5 << 32,
        TEXT,
        TEXT,
        TEXT,
        TEXT_BYTES,
        TEXT_BYTES,
        0x1000,
    ];
    for (to, from) in file.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
        *to = from;
    }
    file
}

/// A file with these bytes, as long as it is held.
pub(crate) fn on_disk(bytes: &[u8]) -> Option<NamedTempFile> {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let mut file = tempfile::Builder::new().prefix("tracer-fuzz-").tempfile_in(folder).ok()?;
    file.write_all(bytes).ok()?;
    Some(file)
}
