//! DWARF sections of a file, and its units.

/// How DWARF is read: slices of the mapped or decompressed sections, little-endian.
pub type Reader<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;
/// All sections of a file, with the supplementary (dwz) file's where there is one.
pub type Dwarf<'a> = gimli::Dwarf<Reader<'a>>;
/// A unit with its abbreviations and line program.
pub type Unit<'a> = gimli::Unit<Reader<'a>>;
