//! The dimensions of an array (DWARF 5, 5.5).

use super::TypeBuilder;
use crate::resolve::dies::{self, Die, Dies, Entry};

/// Dimensions of one array.
const DIMENSIONS_MAX: usize = 16;

/// The number of elements in each dimension, outermost first; `None` where debug info does not
/// say it: flexible arrays and those of variable length.
///
/// # Errors
///
/// What is not understood.
pub fn dimensions<'a>(dies: &Dies<'a>, die: &Die<'a>) -> Result<Vec<Option<u64>>, String> {
    let mut counts = Vec::new();
    for child in dies.children(die).map_err(|error| error.to_string())? {
        match child.tag() {
            gimli::DW_TAG_subrange_type => counts.push(count(&child)?),
            // The value of GNU_vector and others are no dimensions.
            gimli::DW_TAG_enumeration_type | gimli::DW_TAG_generic_subrange => {
                return Err("an array with an index that is no number".to_owned());
            }
            _ => {}
        }
    }
    match counts.len() {
        0 => Ok(vec![None]),
        1..=DIMENSIONS_MAX => Ok(counts),
        _ => Err("an array of more than 16 dimensions".to_owned()),
    }
}

/// Elements of a DW_TAG_subrange_type.
fn count(entry: &Entry<'_>) -> Result<Option<u64>, String> {
    if entry.has_attr(gimli::DW_AT_byte_stride) || entry.has_attr(gimli::DW_AT_bit_stride) {
        return Err("an array with a stride".to_owned());
    }
    if let Some(count) = entry.attr(gimli::DW_AT_count) {
        return Ok(count.udata_value());
    }
    let lower = match entry.attr(gimli::DW_AT_lower_bound) {
        Some(lower) => match signed(&lower.value()) {
            Some(lower) => lower,
            None => return Ok(None),
        },
        None => 0,
    };
    let upper = entry.attr(gimli::DW_AT_upper_bound).and_then(|upper| signed(&upper.value()));
    // Old compilers write the bound of an array without one as -1 cut to 32 bits.
    let upper = upper.filter(|upper| *upper != i128::from(u32::MAX));
    Ok(upper.and_then(|upper| u64::try_from((upper - lower + 1).max(0)).ok()))
}

/// A bound; -1 is the upper bound of an array of no elements, in whichever form.
fn signed(value: &dies::Attribute<'_>) -> Option<i128> {
    match value {
        gimli::AttributeValue::Sdata(value) => Some(i128::from(*value)),
        gimli::AttributeValue::Data8(u64::MAX) | gimli::AttributeValue::Udata(u64::MAX) => Some(-1),
        value => value.udata_value().map(i128::from),
    }
}

/// Checks that the elements lie one behind another, without gaps, first dimension outermost.
pub(super) fn contiguous<'a>(
    builder: &TypeBuilder<'a>,
    die: &Die<'a>,
    counts: &[Option<u64>],
) -> Result<(), String> {
    if die.entry.has_attr(gimli::DW_AT_byte_stride) || die.entry.has_attr(gimli::DW_AT_bit_stride) {
        return Err("an array with a stride".to_owned());
    }
    if let Some(gimli::AttributeValue::Ordering(gimli::DW_ORD_col_major)) =
        die.entry.attr_value(gimli::DW_AT_ordering)
    {
        return Err("an array in column-major order".to_owned());
    }
    let Some(stated) = die.number(gimli::DW_AT_byte_size) else { return Ok(()) };
    let elements = counts.iter().try_fold(1u64, |product, count| product.checked_mul((*count)?));
    let bytes = elements.zip(builder.size_at(die)).and_then(|(n, size)| n.checked_mul(size));
    // A vector of three elements has room for four.
    let vector = die.entry.has_attr(gimli::DW_AT_GNU_vector);
    match bytes {
        Some(bytes) if bytes != stated && !(vector && bytes < stated) => {
            Err("an array whose elements do not fill it".to_owned())
        }
        _ => Ok(()),
    }
}
