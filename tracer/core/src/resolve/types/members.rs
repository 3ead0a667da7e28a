//! Structs, classes and unions (DWARF 5, 5.7).

use super::TypeBuilder;
use crate::binary::expression::next_operation;
use crate::model::types::{Member, Shape};
use crate::resolve::dies::{self, Die, Entry, SourceUnit};
use crate::resolve::lang::{self, Language};
use gimli::AttributeValue;
use std::rc::Rc;

/// Bits of the widest integer.
const BITS_MAX: u64 = 128;

/// A struct or class; in Rust also slices and enums.
///
/// # Errors
///
/// What is not understood.
pub(super) fn record<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
    language: Language,
) -> Result<Shape, String> {
    let children = builder.dies.children(die).map_err(|error| error.to_string())?;
    if language == Language::Rust
        && let Some(shape) = lang::rust::shape(builder, die, &children)
    {
        return Ok(shape);
    }
    if language == Language::Cpp
        && !builder.is_raw()
        && die.tag() != gimli::DW_TAG_union_type
        && let Some(shape) = lang::cpp::shape(builder, die)
    {
        return Ok(shape);
    }
    let is_closure = language == Language::Rust && lang::rust::is_closure(die);
    let mut members = Vec::new();
    let mut variant_part = None;
    for child in &children {
        match child.tag() {
            gimli::DW_TAG_member => {
                if let Some(mut member) = builder.member(&die.unit, child, language) {
                    if is_closure && let Some(name) = &mut member.name {
                        *name = lang::rust::capture_name(name).to_owned();
                    }
                    builder.spend(member.name.as_ref().map_or(0, String::len))?;
                    members.push(member);
                }
            }
            gimli::DW_TAG_inheritance => {
                builder.spend(0)?;
                members.push(base(builder, &die.unit, child, language));
            }
            gimli::DW_TAG_variant_part if variant_part.is_some() => {
                return Err("several variant parts in one type".to_owned());
            }
            gimli::DW_TAG_variant_part => {
                variant_part = Some(Die { unit: Rc::clone(&die.unit), entry: child.clone() });
            }
            _ => {}
        }
    }
    match variant_part {
        Some(part) => lang::rust::variant(builder, &part, members),
        None => Ok(Shape::Record(members)),
    }
}

/// A union.
///
/// # Errors
///
/// What is not understood.
pub(super) fn union<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
    language: Language,
) -> Result<Shape, String> {
    match record(builder, die, language)? {
        Shape::Record(members) => Ok(Shape::Union(members)),
        _ => Err("a union with variants".to_owned()),
    }
}

impl<'a> TypeBuilder<'a> {
    /// A DW_TAG_member; `None` for one that is not in the value (a static member).
    pub(in crate::resolve) fn member(
        &mut self,
        unit: &Rc<SourceUnit<'a>>,
        entry: &Entry<'a>,
        language: Language,
    ) -> Option<Member> {
        if dies::flag(entry, gimli::DW_AT_external) || dies::flag(entry, gimli::DW_AT_declaration) {
            return None;
        }
        let name = dies::name(unit, entry);
        let die = Die { unit: Rc::clone(unit), entry: entry.clone() };
        Some(match place(self, &die) {
            Ok((offset, bits)) => {
                Member { name, offset, type_id: self.type_at(&die, language), bits }
            }
            Err(reason) => {
                let target = self.dies.reference(&die, gimli::DW_AT_type).ok().flatten();
                let type_name = lang::type_name(&self.dies, target.as_ref(), language);
                Member { name, offset: 0, type_id: self.opaque(type_name, reason), bits: None }
            }
        })
    }
}

/// A base class, as an unnamed member.
fn base<'a>(
    builder: &mut TypeBuilder<'a>,
    unit: &Rc<SourceUnit<'a>>,
    entry: &Entry<'a>,
    language: Language,
) -> Member {
    let die = Die { unit: Rc::clone(unit), entry: entry.clone() };
    let is_virtual = !matches!(
        entry.attr_value(gimli::DW_AT_virtuality),
        None | Some(AttributeValue::Virtuality(gimli::DW_VIRTUALITY_none))
    );
    let offset = if is_virtual {
        Err("a virtual base class, whose place only the object knows".to_owned())
    } else {
        offset(entry)
    };
    let (offset, type_id) = match offset {
        Ok(offset) => (offset, builder.type_at(&die, language)),
        Err(reason) => {
            let target = builder.dies.reference(&die, gimli::DW_AT_type).ok().flatten();
            let name = lang::type_name(&builder.dies, target.as_ref(), language);
            (0, builder.opaque(name, reason))
        }
    };
    Member { name: None, offset, type_id, bits: None }
}

/// Byte offset, and for a bit-field where its bits are from there.
type Place = (u64, Option<(u64, u64)>);

fn place<'a>(builder: &TypeBuilder<'a>, die: &Die<'a>) -> Result<Place, String> {
    let Some(size) = die.entry.attr(gimli::DW_AT_bit_size) else {
        return Ok((offset(&die.entry)?, None));
    };
    let unknown = || "a bit-field whose place is not understood".to_owned();
    let width = size.udata_value().filter(|width| *width <= BITS_MAX).ok_or_else(unknown)?;
    let first = if let Some(attribute) = die.entry.attr(gimli::DW_AT_data_bit_offset) {
        if die.entry.has_attr(gimli::DW_AT_data_member_location) {
            return Err(unknown());
        }
        i128::from(attribute.udata_value().ok_or_else(unknown)?)
    } else {
        let start = i128::from(offset(&die.entry)?) * 8;
        match die.entry.attr(gimli::DW_AT_bit_offset) {
            // Counted from the most significant bit of the storage unit (DWARF 3, 5.6.6).
            Some(attribute) => {
                let unit = die.number(gimli::DW_AT_byte_size).or_else(|| builder.size_at(die));
                let unit = i128::from(unit.ok_or_else(unknown)?);
                let from_top = match attribute.raw_value() {
                    AttributeValue::Sdata(value) => i128::from(value),
                    value => i128::from(value.udata_value().ok_or_else(unknown)?),
                };
                start + unit * 8 - from_top - i128::from(width)
            }
            None => start,
        }
    };
    let first = u64::try_from(first).map_err(|_| unknown())?;
    Ok((first / 8, Some((first % 8, width))))
}

/// DW_AT_data_member_location: a constant, or in old files an expression that adds one.
fn offset(entry: &Entry<'_>) -> Result<u64, String> {
    let computed = || "a member whose place is computed".to_owned();
    match entry.attr_value(gimli::DW_AT_data_member_location) {
        None => Ok(0),
        Some(AttributeValue::Exprloc(expression)) => {
            let mut bytes = expression.0;
            let encoding =
                gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
            match next_operation(&mut bytes, encoding) {
                Ok(gimli::Operation::PlusConstant { value }) if bytes.is_empty() => Ok(value),
                _ => Err(computed()),
            }
        }
        Some(value) => value.udata_value().ok_or_else(computed),
    }
}
