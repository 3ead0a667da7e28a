//! Values made of values: records, unions, variants, arrays.

use super::path::Path;
use super::{Decoder, Place, scalar, values_spent};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::types::{Member, Shape, TypeId, VariantArm};
use crate::model::value::{Field, Typed, Value};

impl<'a> Decoder<'a> {
    /// The members of a record or union. When the limit of values is met the field at which it
    /// happened is the last one, and says so.
    pub(super) fn fields(
        &mut self,
        members: &[Member],
        place: Place<'_>,
        path: &mut Path,
    ) -> Vec<Field> {
        let mut fields = Vec::new();
        for member in members {
            fields.push(self.field(member, place, path));
            if self.values_left == 0 {
                break;
            }
        }
        fields
    }

    fn field(&mut self, member: &Member, place: Place<'_>, path: &mut Path) -> Field {
        let mark = path.enter_member(member.name.as_deref());
        let name_bytes = member.name.as_ref().map_or(0, String::len);
        let value = if !self.spend(name_bytes) {
            self.unavailable(member.type_id, values_spent())
        } else if let Some((first, width)) = member.bits {
            self.bit_field(member, first, width, place)
        } else if let Some(part) = place.part(member.offset) {
            self.typed(member.type_id, part, path)
        } else {
            self.unavailable(member.type_id, beyond_memory())
        };
        path.leave(mark);
        Field { name: member.name.clone(), value }
    }

    pub(super) fn unavailable(&self, type_id: TypeId, reason: Reason) -> Typed {
        let type_name = self.world.types.get(type_id).name.clone();
        Typed { type_name, value: Value::Unavailable(reason) }
    }

    /// `width` bits from bit `first` on, counted from the least significant one.
    fn bit_field(&mut self, member: &Member, first: u64, width: u64, place: Place<'_>) -> Typed {
        let ty = self.world.types.get(member.type_id);
        let value = match self.bit_field_bits(member, first, width, place) {
            Err(reason) => Value::Unavailable(reason),
            Ok((bits, width)) => match &ty.shape {
                Shape::Scalar(scalar) => scalar::value(*scalar, bits, width),
                Shape::Enumeration { scalar, names } => {
                    scalar::enumerator(*scalar, names, bits, width)
                }
                _ => scalar::unsupported("a bit-field that is not a number"),
            },
        };
        Typed { type_name: ty.name.clone(), value }
    }

    fn bit_field_bits(
        &self,
        member: &Member,
        first: u64,
        width: u64,
        place: Place<'_>,
    ) -> Result<(u128, u32), Reason> {
        let shift = (first % 8) as u32;
        let size = (width.saturating_add(u64::from(shift))).div_ceil(8);
        // A 128-bit field that starts inside a byte would need 17 bytes.
        if width == 0 || size > scalar::SCALAR_BYTES_MAX {
            let detail = format!("a bit-field of {width} bits");
            return Err(Reason::new(ReasonCode::UnsupportedType, detail));
        }
        let part = member.offset.checked_add(first / 8).and_then(|offset| place.part(offset));
        let bits = self.bits(part.ok_or_else(beyond_memory)?, size)?;
        let width = width as u32;
        Ok((scalar::low_bits(bits >> shift, width), width))
    }

    pub(super) fn variant(
        &mut self,
        discriminant: Option<&Member>,
        variants: &[VariantArm],
        common: &[Member],
        place: Place<'_>,
        path: &mut Path,
    ) -> Value {
        let arm = match discriminant {
            None => variants.first().ok_or_else(|| ReasonCode::BadDiscriminant.into()),
            Some(member) => self
                .discriminant(member, place)
                .and_then(|(bits, width)| select(variants, bits, width)),
        };
        let arm = match arm {
            Ok(arm) => arm,
            Err(reason) => return Value::Unavailable(reason),
        };
        if let (None, [only]) = (&arm.name, arm.members.as_slice())
            && only.name.is_none()
        {
            return self.field(only, place, path).value.value;
        }
        let mut fields = self.fields(common, place, path);
        let name = match arm.members.as_slice() {
            _ if arm.name.is_some() => arm.name.clone().unwrap_or_default(),
            [only] => only.name.clone().unwrap_or_default(),
            _ => String::new(),
        };
        match self.variant_record(arm, place) {
            Some((members, part)) => {
                let mark = path.enter_member(Some(&name));
                fields.extend(self.fields(members, part, path));
                path.leave(mark);
            }
            None => fields.extend(self.fields(&arm.members, place, path)),
        }
        Value::Variant { name, fields }
    }

    /// The members of the record that stands for the whole variant, where there is one.
    fn variant_record<'p>(
        &self,
        arm: &VariantArm,
        place: Place<'p>,
    ) -> Option<(&'a [Member], Place<'p>)> {
        let [only] = arm.members.as_slice() else { return None };
        match &self.world.types.get(only.type_id).shape {
            Shape::Record(members) if only.bits.is_none() => {
                Some((members, place.part(only.offset)?))
            }
            _ => None,
        }
    }

    fn discriminant(&self, member: &Member, place: Place<'_>) -> Result<(u128, u32), Reason> {
        if let Some((first, width)) = member.bits {
            return self.bit_field_bits(member, first, width, place);
        }
        let ty = self.world.types.get(member.type_id);
        let size = match &ty.shape {
            Shape::Scalar(scalar) | Shape::Enumeration { scalar, .. } => u64::from(scalar.size),
            _ => ty.size.unwrap_or(0),
        };
        let part = place.part(member.offset).ok_or_else(beyond_memory)?;
        Ok((self.bits(part, size)?, size as u32 * 8))
    }

    /// An array inside a value. `count` is the real number of elements; fewer are shown where a
    /// limit or missing memory ends them.
    pub(super) fn array(
        &mut self,
        element: TypeId,
        count: Option<u64>,
        place: Place<'_>,
        path: &mut Path,
    ) -> Value {
        let Some(total) = count else {
            // Nothing says how many elements there are: none were asked for.
            return Value::Array { items: Vec::new(), total: None, cut: None };
        };
        let ty = self.world.types.get(element);
        if let Shape::Scalar(scalar) = ty.shape
            && super::text::is_character(scalar, &ty.name)
        {
            return self.text_array(total, place);
        }
        self.elements(element, total, place, path)
    }

    /// `total` elements one behind another.
    pub(super) fn elements(
        &mut self,
        element: TypeId,
        total: u64,
        place: Place<'_>,
        path: &mut Path,
    ) -> Value {
        let ty = self.world.types.get(element);
        let mut items = Vec::new();
        let mut cut = None;
        let Some(size) = ty.size else {
            cut = Some(Reason::new(ReasonCode::IncompleteType, "the size of an element"));
            return Value::Array { items, total: Some(total), cut };
        };
        for index in 0..total {
            if index >= u64::from(self.world.limits.items_max) {
                cut = Some(ReasonCode::LimitItems.into());
                break;
            }
            let Some(part) = index.checked_mul(size).and_then(|offset| place.part(offset)) else {
                cut = Some(beyond_memory());
                break;
            };
            if size > 0 && !part.source.any(self.world.image, part.offset, size) {
                cut = Some(part.source.missing(self.world.image, part.offset));
                break;
            }
            if self.values_left == 0 {
                cut = Some(values_spent());
                break;
            }
            let mark = path.enter_element(index);
            items.push(self.typed(element, part, path));
            path.leave(mark);
        }
        Value::Array { items, total: Some(total), cut }
    }
}

fn beyond_memory() -> Reason {
    Reason::new(ReasonCode::Unmapped, "beyond the address space")
}

/// The variant that a discriminant of `width` bits selects.
fn select(variants: &[VariantArm], bits: u128, width: u32) -> Result<&VariantArm, Reason> {
    // Producers differ in the sign of the constants: the stored bits decide.
    let stored = |bound: u128| scalar::low_bits(bound, width);
    let holds = |&(low, high): &(u128, u128)| match (stored(low), stored(high)) {
        (low, high) if low <= high => (low..=high).contains(&bits),
        (low, high) => bits >= low || bits <= high,
    };
    let named = variants.iter().find(|arm| arm.discriminants.iter().any(holds));
    named
        .or_else(|| variants.iter().find(|arm| arm.discriminants.is_empty()))
        .ok_or_else(|| Reason::new(ReasonCode::BadDiscriminant, format!("{bits:#x}")))
}
