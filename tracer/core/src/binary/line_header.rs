//! Refuses headers of line tables that would take endless memory to read.
//!
//! A DWARF 5 header (6.2.4.1) lists any number of directories and files in a form that it chooses
//! itself. A form that takes no bytes makes a header of a few bytes claim 2⁶⁴ files.

use super::dwarf::{Dwarf, Reader, UnitHeader};
use gimli::{Abbreviations, AttributeValue, Reader as _, Section};

/// Directories or files of one header; the largest real ones have ten thousand.
const ENTRIES_MAX: u64 = 1 << 18;

/// The line table's header of a unit lists a number of entries that its bytes can hold; true
/// where the unit has no line table.
pub(super) fn is_bounded(
    dwarf: &Dwarf<'_>,
    header: &UnitHeader<'_>,
    abbreviations: &Abbreviations,
) -> bool {
    let offset = match table_offset(header, abbreviations) {
        Ok(Some(offset)) => offset,
        Ok(None) => return true,
        Err(_) => return false,
    };
    let mut input = *dwarf.debug_line.reader();
    input.skip(offset).is_ok() && check(&mut input).unwrap_or(false)
}

/// DW_AT_stmt_list of the unit's DIE.
fn table_offset(
    header: &UnitHeader<'_>,
    abbreviations: &Abbreviations,
) -> Result<Option<usize>, gimli::Error> {
    let mut entries = header.entries_raw(abbreviations, None)?;
    let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
    let mut attributes = Vec::new();
    entries.read_attributes(abbreviation.attributes(), &mut attributes)?;
    let table = attributes.iter().find(|a| a.name() == gimli::DW_AT_stmt_list);
    Ok(table.and_then(|attribute| match attribute.value() {
        AttributeValue::DebugLineRef(offset) => Some(offset.0),
        _ => None,
    }))
}

fn check(input: &mut Reader<'_>) -> Result<bool, gimli::Error> {
    let (_, format) = input.read_initial_length()?;
    if input.read_u16()? < 5 {
        // Older headers end their lists with a zero byte.
        return Ok(true);
    }
    // address_size, segment_selector_size, header_length, minimum_instruction_length,
    // maximum_operations_per_instruction, default_is_stmt, line_base, line_range.
    input.skip(2)?;
    input.read_offset(format)?;
    input.skip(5)?;
    let opcode_base = input.read_u8()?;
    input.skip(usize::from(opcode_base.saturating_sub(1)))?;
    // The files behind the directories are read the same way.
    Ok(skip_entries(input, format)? && skip_entries(input, format)?)
}

/// Skips a description of entries and the entries; false where they may take no bytes, are too
/// many, or have a form that can't be skipped.
fn skip_entries(input: &mut Reader<'_>, format: gimli::Format) -> Result<bool, gimli::Error> {
    let mut forms = Vec::new();
    for _ in 0..input.read_u8()? {
        input.read_uleb128()?;
        forms.push(gimli::DwForm(input.read_uleb128_u16()?));
    }
    let count = input.read_uleb128()?;
    if count > ENTRIES_MAX || (forms.is_empty() && count > 0) {
        return Ok(false);
    }
    for _ in 0..count {
        for form in &forms {
            if !skip_value(input, format, *form)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Skips a value of one of the forms that DWARF 5 allows here, all of which take bytes.
fn skip_value(
    input: &mut Reader<'_>,
    format: gimli::Format,
    form: gimli::DwForm,
) -> Result<bool, gimli::Error> {
    match form {
        gimli::DW_FORM_string => drop(input.read_null_terminated_slice()?),
        gimli::DW_FORM_line_strp | gimli::DW_FORM_strp | gimli::DW_FORM_strp_sup => {
            input.read_offset(format)?;
        }
        gimli::DW_FORM_udata | gimli::DW_FORM_strx => drop(input.read_uleb128()?),
        gimli::DW_FORM_data1 | gimli::DW_FORM_strx1 => input.skip(1)?,
        gimli::DW_FORM_data2 | gimli::DW_FORM_strx2 => input.skip(2)?,
        gimli::DW_FORM_strx3 => input.skip(3)?,
        gimli::DW_FORM_data4 | gimli::DW_FORM_strx4 => input.skip(4)?,
        gimli::DW_FORM_data8 => input.skip(8)?,
        gimli::DW_FORM_data16 => input.skip(16)?,
        gimli::DW_FORM_block => {
            let length = input.read_uleb128()?;
            let Ok(length) = usize::try_from(length) else { return Ok(false) };
            input.skip(length)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 5 with one form for the path of each directory and file.
    fn header(form: u8, count: &[u8], entries: &[u8]) -> Vec<u8> {
        let mut list = vec![1, 1, form];
        list.extend(count);
        list.extend(entries);
        let mut bytes = vec![5, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 0xfb, 14, 1];
        bytes.extend(&list);
        bytes.extend(&list);
        let mut all = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        all.extend(bytes);
        all
    }

    fn is_accepted(bytes: &[u8]) -> bool {
        check(&mut Reader::new(bytes, gimli::LittleEndian)).unwrap_or(false)
    }

    #[test]
    fn entries_must_take_bytes() {
        let (string, flag_present, implicit_const) = (0x08, 0x19, 0x21);
        assert!(is_accepted(&header(string, &[2], b"a\0b\0")));
        assert!(!is_accepted(&header(flag_present, &[2], b"")));
        assert!(!is_accepted(&header(implicit_const, &[0xff, 0xff, 0xff, 0xff, 0x7f], b"")));
        assert!(!is_accepted(&header(string, &[3], b"a\0b\0")[..20]));
        assert!(!is_accepted(&[]));
    }
}
