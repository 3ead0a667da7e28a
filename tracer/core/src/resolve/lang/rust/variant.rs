//! Enums by their variant part (DWARF 5, 5.7.10), niches and all.

use super::coroutine;
use super::part::Part;
use crate::model::types::{Encoding, Member, Scalar, Shape, VariantArm};
use crate::resolve::dies::{Attribute, Die, Entry};
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;
use gimli::{AttributeValue, Reader as _};
use std::rc::Rc;

/// DW_TAG_variant_part (DWARF 5, 5.7.10): the discriminant and what it selects. `common` are the
/// members beside it. A niche is a discriminant like any other here: it lies in a variant's field,
/// and one variant is the default.
///
/// # Errors
///
/// What is not understood.
pub fn variant<'a>(
    builder: &mut TypeBuilder<'a>,
    part: &Die<'a>,
    common: Vec<Member>,
) -> Result<Shape, String> {
    let discriminant = match part.entry.attr_value(gimli::DW_AT_discr) {
        Some(value) => {
            let die = builder.dies().follow(&part.unit, value).map_err(|e| e.to_string())?;
            let scalar = builder.scalar_of(&die).ok_or("a discriminant that is no integer")?;
            let member = builder.member(&die.unit, &die.entry, Language::Rust);
            let member = member.ok_or("a discriminant without a place")?;
            Some((member, scalar))
        }
        None => None,
    };
    let scalar = discriminant.as_ref().map(|(_, scalar)| *scalar);
    let mut variants = Vec::new();
    for child in builder.dies().children(part).map_err(|e| e.to_string())? {
        if child.tag() != gimli::DW_TAG_variant {
            continue;
        }
        let discriminants = selected_by(&child, scalar)?;
        let die = Die { unit: part.unit.clone(), entry: child };
        builder.spend(1)?;
        let arm = match coroutine::state(builder, &die) {
            Some(arm) => VariantArm { discriminants, ..arm },
            None => VariantArm { discriminants, name: None, members: members(builder, &die)? },
        };
        variants.push(arm);
    }
    if discriminant.is_none() && variants.len() > 1 {
        return Err("several variants without a discriminant".to_owned());
    }
    Ok(Shape::Variant { discriminant: discriminant.map(|(member, _)| member), variants, common })
}

/// The members of an entry.
pub(super) fn members<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    for entry in builder.dies().children(die).map_err(|e| e.to_string())? {
        if entry.tag() == gimli::DW_TAG_member
            && let Some(member) = builder.member(&die.unit, &entry, Language::Rust)
        {
            builder.spend(member.name.as_ref().map_or(0, String::len))?;
            members.push(member);
        }
    }
    Ok(members)
}

/// What an `Option` holds if it holds something; where that is follows from its variant.
pub(super) fn some<'a>(builder: &TypeBuilder<'a>, option: &Part<'a>) -> Option<Part<'a>> {
    let dies = builder.dies();
    let unit = &option.die.unit;
    let child = |die: &Die<'a>, wanted: &dyn Fn(&Entry<'a>) -> bool| {
        let entry = dies.children(die).ok()?.into_iter().find(|entry| wanted(entry))?;
        Some(Die { unit: Rc::clone(unit), entry })
    };
    let part = child(&option.die, &|entry| entry.tag() == gimli::DW_TAG_variant_part)?;
    let variants = dies.children(&part).ok()?;
    variants.into_iter().filter(|entry| entry.tag() == gimli::DW_TAG_variant).find_map(|entry| {
        let variant = Die { unit: Rc::clone(unit), entry };
        let whole = Part { die: variant, offset: option.offset };
        whole.at(builder, &["Some", "__0"])
    })
}

/// The discriminants of a DW_TAG_variant, as inclusive ranges of their bits.
fn selected_by(entry: &Entry<'_>, scalar: Option<Scalar>) -> Result<Vec<(u128, u128)>, String> {
    let value = entry.attr_value(gimli::DW_AT_discr_value);
    let list = entry.attr_value(gimli::DW_AT_discr_list);
    let Some(scalar) = scalar else {
        return if value.is_some() || list.is_some() {
            Err("a variant's value without a discriminant".to_owned())
        } else {
            Ok(Vec::new())
        };
    };
    if let Some(value) = value {
        let bits = bits(&value, scalar).ok_or("a discriminant of an unknown form")?;
        return Ok(vec![(bits, bits)]);
    }
    match list {
        Some(AttributeValue::Block(block)) => discriminant_list(block, scalar)
            .ok_or_else(|| "a malformed DW_AT_discr_list".to_owned()),
        Some(_) => Err("a DW_AT_discr_list of an unknown form".to_owned()),
        None => Ok(Vec::new()),
    }
}

/// DW_AT_discr_list (DWARF 5, 5.7.10): labels and ranges, LEB128 by the discriminant's sign.
fn discriminant_list(
    mut block: crate::binary::dwarf::Reader<'_>,
    scalar: Scalar,
) -> Option<Vec<(u128, u128)>> {
    let mut ranges = Vec::new();
    while !block.is_empty() {
        let range = gimli::DwDsc(block.read_u8().ok()?) == gimli::DW_DSC_range;
        let mut next = || {
            Some(if scalar.encoding == Encoding::Signed {
                mask(i128::from(block.read_sleb128().ok()?) as u128, scalar)
            } else {
                mask(u128::from(block.read_uleb128().ok()?), scalar)
            })
        };
        let low = next()?;
        let high = if range { next()? } else { low };
        if high < low {
            return None;
        }
        ranges.push((low, high));
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// A discriminant's bits. A constant of a signed type is sign-extended from its form.
fn bits(value: &Attribute<'_>, scalar: Scalar) -> Option<u128> {
    let wide = match value {
        AttributeValue::Data16(value) => *value,
        AttributeValue::Block(block) => {
            let bytes = block.slice();
            let mut wide = [0; 16];
            wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
            u128::from_le_bytes(wide)
        }
        AttributeValue::Sdata(value) => i128::from(*value) as u128,
        value if scalar.encoding == Encoding::Signed => i128::from(value.sdata_value()?) as u128,
        value => u128::from(value.udata_value()?),
    };
    Some(mask(wide, scalar))
}

fn mask(value: u128, scalar: Scalar) -> u128 {
    match scalar.size {
        0..16 => value & ((1 << (u32::from(scalar.size) * 8)) - 1),
        _ => value,
    }
}
