//! Rust: names as the compiler writes them, slices and text by their two members, and enums by
//! their variant part.

use super::super::dies::{self, Attribute, Die, Dies, Entry};
use super::super::types::TypeBuilder;
use super::super::types::array;
use super::{Language, c};
use crate::model::types::{Encoding, Member, Scalar, Shape, VariantArm};
use gimli::{AttributeValue, Reader as _};

/// References to `[T]` and their owner; the names go on with the element and more.
const SLICES: [&str; 5] = ["&[", "&mut [", "*const [", "*mut [", "alloc::boxed::Box<["];
/// References to `str`, whole names.
const TEXTS: [&str; 4] = ["&str", "&mut str", "*const str", "*mut str"];
/// The owner of `str`; an allocator may follow.
const TEXT_OWNER: &str = "alloc::boxed::Box<str";

/// DW_AT_name where the compiler gives one; only arrays, and pointers of old compilers, have none.
pub fn type_name<'a>(dies: &Dies<'a>, die: Option<&Die<'a>>) -> String {
    let mut brackets = String::new();
    let mut current = die.cloned();
    let mut tails = Vec::new();
    for _ in 0..dies::WALK_MAX {
        let Some(die) = &current else { break };
        if die.name().is_some() || die.tag() != gimli::DW_TAG_array_type {
            break;
        }
        let counts = array::dimensions(dies, die).unwrap_or_else(|_| vec![None]);
        for count in counts {
            brackets.push('[');
            tails.push(count.map_or("]".to_owned(), |count| format!("; {count}]")));
        }
        current = dies.reference(die, gimli::DW_AT_type).ok().flatten();
    }
    let element = match &current {
        Some(die) => die.name().unwrap_or_else(|| c::type_name(dies, Some(die), Language::Rust)),
        None => "()".to_owned(),
    };
    tails.reverse();
    c::cut(format!("{brackets}{element}{}", tails.concat()))
}

/// A fat pointer to elements: a record of just `data_ptr` and `length`, named as one. Others of
/// the same form (`&Wrapper<[T]>`, `Rc<[T]>`) have a header before the elements, so they stay
/// records.
pub fn slice<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
    children: &[Entry<'a>],
) -> Option<Shape> {
    let name = die.name()?;
    let text = TEXTS.contains(&name.as_str())
        || name.strip_prefix(TEXT_OWNER).is_some_and(|rest| rest.starts_with(['>', ',']));
    if !text && !SLICES.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let mut members = children.iter().filter(|child| child.tag() == gimli::DW_TAG_member);
    let (first, second) = (members.next()?, members.next()?);
    if members.next().is_some() {
        return None;
    }
    let named = |wanted: &str| {
        [first, second]
            .into_iter()
            .find(|child| dies::name(&die.unit, child).as_deref() == Some(wanted))
    };
    let (pointer, length) = (named("data_ptr")?, named("length")?);
    let target = builder.dies().follow(&die.unit, pointer.attr_value(gimli::DW_AT_type)?).ok()?;
    if target.tag() != gimli::DW_TAG_pointer_type {
        return None;
    }
    let element = target.entry.attr_value(gimli::DW_AT_type)?;
    Some(Shape::Slice {
        pointer_offset: dies::number(pointer, gimli::DW_AT_data_member_location)?,
        length_offset: dies::number(length, gimli::DW_AT_data_member_location)?,
        element: builder.type_of(&target.unit, element, Language::Rust),
        text,
    })
}

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
        let members = builder.dies().children(&die).map_err(|e| e.to_string())?;
        let members = members
            .iter()
            .filter(|entry| entry.tag() == gimli::DW_TAG_member)
            .filter_map(|entry| builder.member(&die.unit, entry, Language::Rust))
            .collect();
        builder.spend(1)?;
        variants.push(VariantArm { discriminants, name: None, members });
    }
    if discriminant.is_none() && variants.len() > 1 {
        return Err("several variants without a discriminant".to_owned());
    }
    Ok(Shape::Variant { discriminant: discriminant.map(|(member, _)| member), variants, common })
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
