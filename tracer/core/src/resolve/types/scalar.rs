//! Base types and enumerations (DWARF 5, 5.1 and 5.7.9).

use super::TypeBuilder;
use crate::model::types::{Encoding, Scalar, Shape};
use crate::resolve::dies::{self, Attribute, Die};
use gimli::{AttributeValue, Reader as _};

/// A DW_TAG_base_type.
///
/// # Errors
///
/// Why its bytes can't be read as a number.
pub(super) fn base(die: &Die<'_>) -> Result<Shape, String> {
    let size = die.number(gimli::DW_AT_byte_size);
    if size == Some(0) {
        return Ok(Shape::Nothing);
    }
    let bits = die.number(gimli::DW_AT_bit_size);
    if bits.is_some_and(|bits| size.is_none_or(|size| Some(bits) != size.checked_mul(8))) {
        return Err("a number that does not fill its bytes".to_owned());
    }
    if let Some(AttributeValue::Endianity(gimli::DW_END_big)) =
        die.entry.attr_value(gimli::DW_AT_endianity)
    {
        return Err("a big-endian number".to_owned());
    }
    let Some(size @ (1 | 2 | 4 | 8 | 16)) = size.and_then(|size| u8::try_from(size).ok()) else {
        return Err("a number of an unusual size".to_owned());
    };
    let encoding = encoding(die).ok_or("a base type without DW_AT_encoding")?;
    let meaning = match (encoding, size) {
        (gimli::DW_ATE_boolean, 1..=8) => Encoding::Bool,
        (gimli::DW_ATE_signed_char, 1) => Encoding::SignedChar,
        (gimli::DW_ATE_unsigned_char, 1) => Encoding::UnsignedChar,
        (gimli::DW_ATE_signed | gimli::DW_ATE_signed_char, _) => Encoding::Signed,
        (gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char, _) => Encoding::Unsigned,
        (gimli::DW_ATE_address, 1..=8) => Encoding::Unsigned,
        (gimli::DW_ATE_UTF, 1..=4) => Encoding::Utf,
        (gimli::DW_ATE_float, 4 | 8) => Encoding::Float,
        (gimli::DW_ATE_float, 16) if is_x87(die) => Encoding::Float,
        (other, size) => {
            let name = other.static_string().unwrap_or("an unknown encoding");
            return Err(format!("{name} of {size} bytes"));
        }
    };
    Ok(Shape::Scalar(Scalar { encoding: meaning, size }))
}

/// A number of 16 bytes is in x87 format by its name alone: the formats of 128 bits have the same
/// encoding and size.
fn is_x87(die: &Die<'_>) -> bool {
    const QUAD: &[u8] = b"-mlong-double-128";
    let producer = die.unit.producer.slice();
    let quad = producer.windows(QUAD.len()).any(|part| part == QUAD);
    !quad && matches!(die.name().as_deref(), Some("long double" | "_Float64x"))
}

fn encoding(die: &Die<'_>) -> Option<gimli::DwAte> {
    match die.entry.attr_value(gimli::DW_AT_encoding)? {
        AttributeValue::Encoding(encoding) => Some(encoding),
        _ => None,
    }
}

/// How a type is stored that is an integer or stands for one; `None` for others. Signed or
/// unsigned only: truth values and characters count as the integers that they are.
pub(super) fn integer<'a>(builder: &TypeBuilder<'a>, die: &Die<'a>) -> Option<Scalar> {
    if die.tag() == gimli::DW_TAG_pointer_type {
        return Some(Scalar { encoding: Encoding::Unsigned, size: 8 });
    }
    if die.tag() == gimli::DW_TAG_enumeration_type {
        return stored(builder, die);
    }
    if die.tag() != gimli::DW_TAG_base_type {
        return None;
    }
    match base(die).ok()? {
        Shape::Scalar(Scalar { encoding: Encoding::Float, .. }) => None,
        Shape::Scalar(Scalar { encoding, size }) => {
            let signed = matches!(encoding, Encoding::Signed | Encoding::SignedChar);
            let encoding = if signed { Encoding::Signed } else { Encoding::Unsigned };
            Some(Scalar { encoding, size })
        }
        _ => None,
    }
}

/// How an enumeration is stored: by its underlying type, else by its own encoding, else by the
/// sign of its values.
fn stored<'a>(builder: &TypeBuilder<'a>, die: &Die<'a>) -> Option<Scalar> {
    let size = builder.size(die, 0).and_then(|size| u8::try_from(size).ok())?;
    if !matches!(size, 1 | 2 | 4 | 8 | 16) {
        return None;
    }
    let underlying = builder.dies.reference(die, gimli::DW_AT_type).ok().flatten();
    if let Some(underlying) = underlying.and_then(|die| builder.strip(die).ok().flatten())
        && underlying.tag() == gimli::DW_TAG_base_type
    {
        return integer(builder, &underlying).filter(|scalar| scalar.size == size);
    }
    let signed = match encoding(die) {
        Some(gimli::DW_ATE_signed | gimli::DW_ATE_signed_char) => true,
        Some(_) => false,
        None => builder.dies.children(die).ok()?.iter().any(|entry| {
            matches!(
                entry.attr_value(gimli::DW_AT_const_value),
                Some(AttributeValue::Sdata(value)) if value < 0
            )
        }),
    };
    let encoding = if signed { Encoding::Signed } else { Encoding::Unsigned };
    Some(Scalar { encoding, size })
}

/// A DW_TAG_enumeration_type.
///
/// # Errors
///
/// Why its values can't be read.
pub(super) fn enumeration<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
) -> Result<Shape, String> {
    let Some(scalar) = stored(builder, die) else {
        let declared = dies::flag(&die.entry, gimli::DW_AT_declaration);
        let reason = if declared { Shape::INCOMPLETE } else { "an enumeration of no integer" };
        return Err(reason.to_owned());
    };
    let mut names = Vec::new();
    for child in builder.dies.children(die).map_err(|error| error.to_string())? {
        if child.tag() != gimli::DW_TAG_enumerator {
            continue;
        }
        let value = child.attr_value(gimli::DW_AT_const_value).and_then(|v| number(&v, scalar));
        let name = dies::name(&die.unit, &child);
        let (Some(value), Some(name)) = (value, name) else {
            return Err("an enumerator without a value or a name".to_owned());
        };
        builder.spend(name.len())?;
        names.push((value, name));
    }
    Ok(Shape::Enumeration { scalar, names })
}

/// A constant as a value of `scalar` has it in memory, extended by its sign. A form without a
/// sign holds what is not negative.
fn number(value: &Attribute<'_>, scalar: Scalar) -> Option<i128> {
    let wide = match value {
        AttributeValue::Sdata(value) => i128::from(*value),
        AttributeValue::Data16(value) => *value as i128,
        AttributeValue::Block(block) => {
            let mut wide = [0; 16];
            wide.get_mut(..block.len())?.copy_from_slice(block.slice());
            i128::from_le_bytes(wide)
        }
        value => i128::from(value.udata_value()?),
    };
    let unused = 128u32.checked_sub(u32::from(scalar.size) * 8)?;
    if unused >= 128 {
        return None;
    }
    let high = wide << unused;
    Some(match scalar.encoding {
        Encoding::Signed => high >> unused,
        _ => (high as u128 >> unused) as i128,
    })
}
