//! One of several: `std::optional` and `std::variant`.

use super::unnamed;
use crate::model::types::{Member, Shape, VariantArm};
use crate::resolve::lang::class::Class;

/// What the index of a variant without a value is.
const VALUELESS: &str = "valueless_by_exception";

/// `std::optional`.
pub(super) fn optional(class: &mut Class<'_, '_>) -> Option<Shape> {
    let names =
        [("_M_payload._M_engaged", "_M_payload._M_payload._M_value"), ("__engaged_", "__val_")];
    names.iter().find_map(|(engaged, value)| {
        let (engaged, value) = (class.member(engaged)?, unnamed(class.member(value)?));
        let none = VariantArm {
            discriminants: vec![(0, 0)],
            name: Some("nullopt".to_owned()),
            members: Vec::new(),
        };
        let some = VariantArm { discriminants: vec![(1, 1)], name: None, members: vec![value] };
        let (variants, common) = (vec![none, some], Vec::new());
        Some(Shape::Variant { discriminant: Some(engaged), variants, common })
    })
}

/// `std::variant`: the alternatives are nested unions, one in the rest of the one before.
pub(super) fn variant(class: &mut Class<'_, '_>) -> Option<Shape> {
    let gnu = ["_M_index", "_M_u", "_M_rest", "_M_first._M_storage"];
    let llvm = ["__impl.__index", "__impl.__data", "__tail", "__head.__value"];
    [gnu, llvm].iter().find_map(|[index, union, rest, value]| {
        let index = class.member(index)?;
        let mut variants = Vec::new();
        let mut place = (*union).to_owned();
        for (number, alternative) in (0u128..).zip(class.arguments()) {
            let offset = class.at(&format!("{place}.{value}"))?;
            let type_id = class.type_id(&alternative);
            let member = Member { name: None, offset, type_id, bits: None };
            let name = Some(class.name_of(&alternative));
            let discriminants = vec![(number, number)];
            variants.push(VariantArm { discriminants, name, members: vec![member] });
            place = format!("{place}.{rest}");
        }
        let none = (u128::MAX, u128::MAX);
        let name = Some(VALUELESS.to_owned());
        variants.push(VariantArm { discriminants: vec![none], name, members: Vec::new() });
        Some(Shape::Variant { discriminant: Some(index), variants, common: Vec::new() })
    })
}
