//! A program that runs, with sections that it did not have.

use super::bytes::Bytes;

/// SHF_COMPRESSED.
pub(super) const COMPRESSED: u64 = 1 << 11;
const SHT_PROGBITS: u32 = 1;
pub(super) const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const HEADER_BYTES: usize = 64;

/// A section to add.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) bytes: Vec<u8>,
    /// What its header says instead of its real size.
    pub(super) stated: Option<u64>,
    /// The text that it refers to: this many sections behind it.
    pub(super) link: u32,
    pub(super) entry_bytes: u64,
}

impl Section {
    pub(super) fn new(name: &'static str, bytes: Vec<u8>) -> Self {
        let (kind, flags) = (SHT_PROGBITS, 0);
        Self { name, kind, flags, bytes, stated: None, link: 0, entry_bytes: 0 }
    }
}

/// `program` with more sections; the others stay, but for those of type `without`.
pub(super) fn with_sections(program: &[u8], sections: &[Section], without: Option<u32>) -> Vec<u8> {
    let table = word(program, 0x28, 8) as usize;
    let (count, names_index) = (word(program, 0x3c, 2) as usize, word(program, 0x3e, 2) as usize);
    let mut headers: Vec<Vec<u8>> =
        program[table..].chunks(HEADER_BYTES).take(count).map(<[u8]>::to_vec).collect();
    for header in &mut headers {
        if Some(word(header, 4, 4) as u32) == without {
            header[4..8].fill(0);
        }
    }
    let names = &headers[names_index];
    let (start, length) = (word(names, 24, 8) as usize, word(names, 32, 8) as usize);
    let mut names = Bytes(program[start..start + length].to_vec());
    let mut file = program.to_vec();
    for section in sections {
        let mut header = Bytes::new();
        header.u32(names.len() as u32).u32(section.kind).u64(section.flags).u64(0);
        header.u64(file.len() as u64).u64(section.stated.unwrap_or(section.bytes.len() as u64));
        let link = if section.link > 0 { headers.len() as u32 + section.link } else { 0 };
        header.u32(link).u32(0).u64(1).u64(section.entry_bytes);
        headers.push(header.0);
        names.text(section.name);
        file.extend(&section.bytes);
    }
    let mut header = Bytes::new();
    header.u32(0).u32(SHT_STRTAB).u64(0).u64(0).u64(file.len() as u64).u64(names.len() as u64);
    header.u64(0).u64(1).u64(0);
    headers.push(header.0);
    file.extend(names.0);
    let table = file.len() as u64;
    let count = headers.len() as u16;
    file.extend(headers.concat());
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
    file[0x3e..0x40].copy_from_slice(&(count - 1).to_le_bytes());
    file
}

/// A number of up to 8 bytes.
pub(super) fn word(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes[at..at + length].iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What stands in front of compressed bytes (Elf64_Chdr).
pub(super) fn compression_header(kind: u32, size: u64) -> Bytes {
    let mut header = Bytes::new();
    header.u32(kind).u32(0).u64(size).u64(1);
    header
}

/// Zeros as Zstandard: blocks of one repeated byte.
pub(super) fn zstd_zeros(size: u64) -> Vec<u8> {
    let mut frame = Bytes::new();
    // Magic number; one segment with its size in 8 bytes.
    frame.u32(0xfd2f_b528).u8(0xe0).u64(size);
    let mut left = size;
    while left > 0 {
        let block = left.min(128 << 10);
        left -= block;
        // Last block, kind 1 (one byte, repeated), size.
        let head = u32::from(left == 0) | 1 << 1 | (block as u32) << 3;
        frame.raw(&head.to_le_bytes()[..3]).u8(0);
    }
    frame.0
}

/// About so many zeros as zlib: "258 bytes, as the one before", again and again. It never ends.
pub(super) fn zlib_zeros(size: u64) -> Vec<u8> {
    // A last block with fixed codes, and a literal 0 (RFC 1951, 3.2.6).
    let lead = [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    let again = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    // Eight of its codes are whole bytes, but the first byte takes some of its bits.
    let bits: Vec<u8> =
        lead.into_iter().chain(again.into_iter().cycle().take(5 + 8 * 13)).collect();
    let byte = |bits: &[u8]| (0..).zip(bits).fold(0, |byte, (at, bit)| byte | bit << at);
    let bytes: Vec<u8> = bits.chunks(8).map(byte).collect();
    let (first, pattern) = bytes.split_at(2);
    let mut stream = vec![0x78, 0x01];
    stream.extend(first);
    stream.extend(pattern.repeat((size / (8 * 258)) as usize));
    stream
}
