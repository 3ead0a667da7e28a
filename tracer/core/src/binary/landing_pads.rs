//! Where the unwinder enters a function when an exception is thrown: addresses that no branch
//! leads to. Read from the language-specific data area that gcc, clang and rustc write
//! (`.gcc_except_table`; the call-site table of the Itanium C++ exception handling tables).

use super::cfi::{Cfi, Covered};
use super::elf::ElfFile;
use crate::model::address::Svma;
use gimli::{DwEhPe, EndianSlice, LittleEndian, Reader as _};
use std::ops::Range;

const SECTION: &str = ".gcc_except_table";
/// Call sites of one function that are read.
const CALL_SITES_MAX: usize = 1 << 20;

/// Why a function's landing pads are not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LandingPadError {
    /// The table is not where such tables are.
    #[error("the table of landing pads is not in {SECTION}")]
    Elsewhere,
    /// The table ends early or is written in an unknown way.
    #[error("the table of landing pads is malformed")]
    Malformed(#[from] gimli::Error),
}

/// The landing pads of the functions in a range of code; one may be in another part of its function.
///
/// # Errors
///
/// When a table can't be read; then any address may be one.
pub fn in_range(
    elf: &ElfFile,
    cfi: &Cfi<'_>,
    range: &Range<Svma>,
) -> Result<Vec<Svma>, LandingPadError> {
    let mut pads = Vec::new();
    let mut at = range.start;
    // A part of a function has one entry; a range of several is looked through one by one.
    while at < range.end {
        let Some(covered) = cfi.covered(at).filter(|covered| covered.range.end > at) else { break };
        if let Some(data) = covered.language_data {
            pads.extend(read(elf, &covered, data)?);
        }
        at = covered.range.end;
    }
    pads.sort_unstable();
    pads.dedup();
    Ok(pads)
}

fn read(elf: &ElfFile, covered: &Covered, data: Svma) -> Result<Vec<Svma>, LandingPadError> {
    let section = elf.section(SECTION).ok().flatten().zip(elf.section_svma(SECTION));
    let (bytes, svma) = section.ok_or(LandingPadError::Elsewhere)?;
    let offset = data.0.checked_sub(svma.0).and_then(|offset| usize::try_from(offset).ok());
    let bytes = offset.and_then(|offset| bytes.get(offset..)).ok_or(LandingPadError::Elsewhere)?;
    Ok(parse(bytes, covered.range.start)?)
}

/// The landing pads of the table at the start of `bytes`; they are relative to `base` unless the
/// table says otherwise.
fn parse(bytes: &[u8], base: Svma) -> gimli::Result<Vec<Svma>> {
    let mut reader = EndianSlice::new(bytes, LittleEndian);
    let base_encoding = DwEhPe(reader.read_u8()?);
    if base_encoding != gimli::DW_EH_PE_omit {
        // Used only by assemblers' hand-written tables.
        return Err(gimli::Error::UnsupportedPointerEncoding(base_encoding));
    }
    let types_encoding = DwEhPe(reader.read_u8()?);
    if types_encoding != gimli::DW_EH_PE_omit {
        reader.read_uleb128()?;
    }
    let encoding = DwEhPe(reader.read_u8()?);
    let length = usize::try_from(reader.read_uleb128()?).unwrap_or(usize::MAX);
    let mut table = reader.split(length)?;
    let mut pads = Vec::new();
    while !table.is_empty() && pads.len() < CALL_SITES_MAX {
        let [_start, _length, pad] = [
            number(&mut table, encoding)?,
            number(&mut table, encoding)?,
            number(&mut table, encoding)?,
        ];
        let _action: u64 = table.read_uleb128()?;
        if pad != 0 {
            pads.push(Svma(base.0.wrapping_add(pad)));
        }
    }
    Ok(pads)
}

fn number(reader: &mut EndianSlice<'_, LittleEndian>, encoding: DwEhPe) -> gimli::Result<u64> {
    match encoding {
        gimli::DW_EH_PE_uleb128 => reader.read_uleb128(),
        gimli::DW_EH_PE_udata4 => reader.read_u32().map(u64::from),
        gimli::DW_EH_PE_udata8 | gimli::DW_EH_PE_absptr => reader.read_u64(),
        _ => Err(gimli::Error::UnsupportedPointerEncoding(encoding)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_are_relative_to_the_function() {
        // No base, no types, uleb128; call sites (0, 5, none) and (5, 7, pad 0x80).
        let table = [0xff, 0xff, 0x01, 9, 0, 5, 0, 0, 5, 7, 0x80, 0x01, 0];
        assert_eq!(parse(&table, Svma(0x1000)).unwrap(), [Svma(0x1080)]);
    }

    #[test]
    fn a_table_that_ends_early_is_refused() {
        let table = [0xff, 0xff, 0x01, 9, 0, 5, 0];
        assert!(parse(&table, Svma(0x1000)).is_err());
        assert!(parse(&[], Svma(0)).is_err());
    }
}
