//! Trait objects: a pointer with a table of methods beside it. The table's address tells the type of
//! what is there.

use super::counted::word;
use super::part::Part;
use super::variant;
use crate::binary::vtables::Vtable;
use crate::model::container::{Note, Number, Says, Wrapper};
use crate::model::types::{Member, Shape, Type, TypeId, VariantArm};
use crate::resolve::dies::Die;
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;

/// Types of one trait that are told apart; the objects of others stay pointers.
const TYPES_MAX: usize = 256;

/// What is in front of an object that is counted.
pub(super) struct Header {
    /// How many bytes, if the object needs no more alignment than they have.
    pub(super) bytes: u64,
    /// Zero where the object is gone.
    pub(super) alive: Number,
}

/// `&dyn Trait`, `Box<dyn Trait>`, `*const dyn Trait`.
pub(super) fn fat<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let [pointer, _] = whole.members(builder)?.try_into().ok()?;
    if pointer.0.as_deref() != Some("pointer") {
        return None;
    }
    let (_, target) = whole.member(builder, "pointer")?.pointer(builder)?;
    let name = target.name()?;
    let is_object = name.starts_with("dyn ") || name.starts_with("(dyn ");
    is_object.then(|| object(builder, whole, &name, None))?
}

/// The same where the pointer leads to something of the name `name`. The offsets are those in the
/// value.
pub(super) fn object<'a>(
    builder: &mut TypeBuilder<'a>,
    whole: &Part<'a>,
    name: &str,
    header: Option<&Header>,
) -> Option<Shape> {
    let (at, _) = whole.member(builder, "pointer")?.pointer(builder)?;
    let (table, _) = whole.member(builder, "vtable")?.pointer(builder)?;
    let bias = builder.bias()?;
    let known = builder.dies().vtables(trait_path(name)?);
    let discriminant = Member { name: None, offset: table, type_id: word(builder), bits: None };
    let mut variants = Vec::new();
    for known in known.iter().take(TYPES_MAX) {
        let Some(type_id) = concrete(builder, known, header) else { continue };
        let address = u128::from(known.svma.wrapping_add(bias));
        builder.spend(known.type_name.len()).ok()?;
        variants.push(VariantArm {
            discriminants: vec![(address, address)],
            name: None,
            members: vec![Member { name: None, offset: at, type_id, bits: None }],
        });
    }
    let members = variant::members(builder, &whole.die).ok()?;
    let size = whole.size(builder);
    let type_id =
        builder.made(Type { name: whole.die.name()?, size, shape: Shape::Record(members) });
    let raw = Member { name: None, offset: whole.offset, type_id, bits: None };
    variants.push(VariantArm { discriminants: Vec::new(), name: None, members: vec![raw] });
    Some(Shape::Variant { discriminant: Some(discriminant), variants, common: Vec::new() })
}

/// The type of a pointer to an object of a table's type.
fn concrete<'a>(
    builder: &mut TypeBuilder<'a>,
    table: &Vtable,
    header: Option<&Header>,
) -> Option<TypeId> {
    let die = builder.dies().at_place(table.place)?;
    let mut target = builder.type_of_die(die.clone(), Language::Rust);
    let name = table.type_name.to_string();
    if let Some(header) = header {
        let offset = header.bytes.checked_next_multiple_of(alignment(&die))?;
        let size = builder.size_of(&die).and_then(|size| size.checked_add(offset));
        let inner = Member { name: None, offset, type_id: target, bits: None };
        let alive = Some(header.alive.clone());
        let shape = Shape::Wrapper(Box::new(Wrapper { inner, alive, notes: Vec::new() }));
        target = builder.made(Type { name: name.clone(), size, shape });
    }
    let shape = Shape::Pointer(target);
    let type_id = builder.made(Type { name: format!("*{name}"), size: Some(8), shape });
    let notes = vec![Note { name: "type".to_owned(), says: Says::Text(name.clone()) }];
    let inner = Member { name: None, offset: 0, type_id, bits: None };
    let shape = Shape::Wrapper(Box::new(Wrapper { inner, alive: None, notes }));
    Some(builder.made(Type { name: format!("*{name}"), size: Some(8), shape }))
}

/// DW_AT_alignment. Types without one, such as numbers, need no more than a header does.
fn alignment(die: &Die<'_>) -> u64 {
    die.number(gimli::DW_AT_alignment).filter(|alignment| alignment.is_power_of_two()).unwrap_or(1)
}

/// The path of the first trait in the name of a type: `dyn path::Trait<..>`.
fn trait_path(name: &str) -> Option<&str> {
    let (_, path) = name.split_once("dyn ")?;
    path.split(['<', '>', ',', ')', ' ', '+']).next().filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::trait_path;

    #[test]
    fn an_object_names_its_trait() {
        let cases = [
            ("dyn a::B", Some("a::B")),
            ("(dyn a::B + core::marker::Send)", Some("a::B")),
            ("dyn core::ops::function::Fn<(u32), Output=u32>", Some("core::ops::function::Fn")),
            ("alloc::sync::ArcInner<dyn a::B>", Some("a::B")),
            ("ArcInner<(dyn a::B<u8> + c::D)>", Some("a::B")),
            ("a::B", None),
        ];
        for (name, expected) in cases {
            assert_eq!(trait_path(name), expected, "{name}");
        }
    }
}
