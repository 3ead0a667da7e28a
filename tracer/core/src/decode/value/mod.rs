//! Types over the image → the values of variables, as trees.
//!
//! Variables are decoded in place first, then what they point to, in the order of the number of
//! pointers followed, as the kernel copies it. So an object that is reached in several ways is
//! shown once, at the shortest of them; the other ways refer to it. That ends cycles too.

mod aggregate;
mod container;
mod float;
mod number;
mod path;
mod pointer;
mod scalar;
mod text;
mod walk;

use self::path::Path;
use self::pointer::Pending;
use super::image::Image;
use super::source::Source;
use crate::binary::code_map::CodeMap;
use crate::model::limits::Limits;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::types::{Scalar, Shape, Type, TypeGraph, TypeId};
use crate::model::value::{Typed, Value};
use std::collections::HashMap;

/// Values in one capture; a type that a hostile file describes may have more.
const VALUES_MAX: usize = 100_000;
/// Values inside one another, pointers included. Bounds the recursion of all who walk the tree.
const HEIGHT_MAX: u32 = 256;
/// Objects that are known to be at one address: as many as begin with one another. More are shown
/// again where they are met again.
const OBJECTS_PER_ADDRESS: usize = 64;
/// So many bytes of names and text count as one more value.
const BYTES_PER_VALUE: usize = 64;

/// A variable to be shown.
pub(super) struct Root<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its type.
    pub(super) type_id: TypeId,
    /// Where its bytes are.
    pub(super) source: Source,
}

/// All that the values of one capture are worked out from.
pub(super) struct World<'a> {
    /// The memory.
    pub(super) image: &'a Image<'a>,
    /// The types.
    pub(super) types: &'a TypeGraph,
    /// The names of functions.
    pub(super) code: &'a dyn CodeMap,
    /// How much was to be captured.
    pub(super) limits: &'a Limits,
}

/// The values of variables, in their order. What the variables hold themselves is worked out
/// before anything that they point to.
pub(super) fn values(world: &World<'_>, roots: &[Root<'_>]) -> Vec<Typed> {
    let mut decoder =
        Decoder { world, values_left: VALUES_MAX, shown: HashMap::new(), pending: Vec::new() };
    let mut values: Vec<Typed> = roots
        .iter()
        .map(|root| {
            if let Source::Missing(reason) = &root.source {
                let type_name = world.types.get(root.type_id).name.clone();
                return Typed { type_name, value: Value::Unavailable(reason.clone()) };
            }
            let place = Place { source: &root.source, offset: 0, size: 0, depth: 0, height: 0 };
            decoder.typed(root.type_id, place, &mut Path::variable(root.name))
        })
        .collect();
    decoder.follow_all(&mut values);
    values
}

struct Decoder<'a> {
    world: &'a World<'a>,
    /// What is left of [`VALUES_MAX`].
    values_left: usize,
    /// The objects that are shown, by address, each with its place.
    shown: HashMap<u64, Vec<(Object, String)>>,
    /// The pointers of the tree that is being decoded, in the order in which they stand in it.
    pending: Vec<Pending>,
}

/// What makes an object the same one: two of different types can share an address.
#[derive(Clone, Copy)]
struct Object {
    address: u64,
    type_id: TypeId,
    /// Elements, for the target of a slice.
    count: Option<u64>,
}

/// Where a value is, and how far inside the tree.
#[derive(Clone, Copy)]
struct Place<'s> {
    source: &'s Source,
    offset: u64,
    /// The bytes of a container, for its walk; 0 for all else.
    size: u64,
    /// Pointers followed to come here.
    depth: u32,
    /// Values around this one.
    height: u32,
}

impl<'s> Place<'s> {
    /// A part of this value, `offset` bytes into it; `None` beyond all memory.
    fn part(self, offset: u64) -> Option<Self> {
        let offset = self.offset.checked_add(offset)?;
        Some(Self { offset, height: self.height + 1, ..self })
    }
}

impl Decoder<'_> {
    /// The value of a type at a place.
    fn typed(&mut self, type_id: TypeId, place: Place<'_>, path: &mut Path) -> Typed {
        let ty = self.world.types.get(type_id);
        let value = if !self.spend(ty.name.len() + path.text().len()) {
            Value::Unavailable(values_spent())
        } else if place.height > HEIGHT_MAX {
            let detail = format!("more than {HEIGHT_MAX} values inside one another");
            Value::Unavailable(Reason::new(ReasonCode::LimitNodes, detail))
        } else {
            self.value(type_id, ty, place, path)
        };
        Typed { type_name: ty.name.clone(), value }
    }

    fn value(&mut self, type_id: TypeId, ty: &Type, place: Place<'_>, path: &mut Path) -> Value {
        let is_aggregate = matches!(
            ty.shape,
            Shape::Record(_)
                | Shape::Union(_)
                | Shape::Variant { .. }
                | Shape::Array { .. }
                | Shape::Container(_)
                | Shape::Wrapper(_)
        );
        if is_aggregate && let Some(size @ 1..) = ty.size {
            if !place.source.any(self.world.image, place.offset, size) {
                return Value::Unavailable(place.source.missing(self.world.image, place.offset));
            }
            if let Some(address) = place.source.address(place.offset) {
                self.show(Object { address, type_id, count: None }, path);
            }
        }
        match &ty.shape {
            Shape::Scalar(scalar) => self.scalar(*scalar, place),
            Shape::Enumeration { scalar, names } => match self.bits(place, scalar.size.into()) {
                Ok(bits) => scalar::enumerator(*scalar, names, bits, u32::from(scalar.size) * 8),
                Err(reason) => Value::Unavailable(reason),
            },
            Shape::Record(members) => Value::Record(self.fields(members, place, path)),
            Shape::Union(members) => Value::Union(self.fields(members, place, path)),
            Shape::Variant { discriminant, variants, common } => {
                self.variant(discriminant.as_ref(), variants, common, place, path)
            }
            Shape::Array { element, count } => self.array(*element, *count, place, path),
            Shape::Pointer(target) => self.pointer(*target, place, path),
            Shape::TextPointer => self.text_pointer(place),
            Shape::Slice { element, pointer_offset, length_offset, text } => {
                match self.slice_parts(place, *pointer_offset, *length_offset) {
                    Err(reason) => self.slice_in_part(*element, place, *pointer_offset, reason),
                    Ok((address, length))
                        if self.is_late(place, *pointer_offset)
                            || self.is_late(place, *length_offset) =>
                    {
                        let count = Some(length);
                        self.not_followed(Object { address, type_id: *element, count })
                    }
                    Ok((address, length))
                        if length > 0
                            && self.is_unknown_to_hit(
                                Object { address, type_id: *element, count: Some(length) },
                                place,
                                *pointer_offset,
                            ) =>
                    {
                        let object = Object { address, type_id: *element, count: Some(length) };
                        let value = Value::Unavailable(pointer::passed_pointer());
                        let type_name = self.target_name(object);
                        self.known_pointer(address, Typed { type_name, value })
                    }
                    Ok((address, length)) if *text => self.text_slice(address, length, place.depth),
                    Ok((address, length)) => self.slice(*element, address, length, place, path),
                }
            }
            Shape::Container(container) => self.container(ty, container, place, path),
            Shape::Wrapper(wrapper) => self.wrapper(wrapper, place, path),
            Shape::Function => match place.source.address(place.offset) {
                Some(address) => self.function(address),
                None => scalar::unsupported("a function that is not in memory"),
            },
            Shape::Nothing => Value::Nothing,
            Shape::Opaque(why) if why == Shape::INCOMPLETE => {
                Value::Unavailable(ReasonCode::IncompleteType.into())
            }
            Shape::Opaque(why) => scalar::unsupported(why),
        }
    }

    fn scalar(&mut self, scalar: Scalar, place: Place<'_>) -> Value {
        match self.bits(place, scalar.size.into()) {
            Ok(bits) => scalar::value(scalar, bits, u32::from(scalar.size) * 8),
            Err(reason) => Value::Unavailable(reason),
        }
    }

    /// The bytes of a scalar as a number.
    fn bits(&self, place: Place<'_>, size: u64) -> Result<u128, Reason> {
        if !(1..=scalar::SCALAR_BYTES_MAX).contains(&size) {
            let detail = format!("a scalar of {size} bytes");
            return Err(Reason::new(ReasonCode::UnsupportedType, detail));
        }
        let bytes = place.source.read(self.world.image, place.offset, size as usize)?;
        Ok(scalar::number(&bytes))
    }

    /// Notes that an object is shown at `path`. The first place stays.
    fn show(&mut self, object: Object, path: &Path) {
        if self.shown_at(object).is_none() {
            let here = self.shown.entry(object.address).or_default();
            if here.len() < OBJECTS_PER_ADDRESS {
                here.push((object, path.text().to_owned()));
            }
        }
    }

    /// Where an object is shown. `const` and other names of its type do not make it another one.
    fn shown_at(&self, object: Object) -> Option<&str> {
        let ty = self.world.types.get(object.type_id);
        let is_same = |other: &Object| {
            let known = self.world.types.get(other.type_id);
            other.count == object.count
                && (other.type_id == object.type_id
                    || (known.size == ty.size && known.shape == ty.shape))
        };
        let here = self.shown.get(&object.address)?;
        here.iter().find(|(other, _)| is_same(other)).map(|(_, path)| path.as_str())
    }

    /// Takes a value and `bytes` of names or text off what a capture may show.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.values_left.checked_sub(1 + bytes / BYTES_PER_VALUE);
        self.values_left = left.unwrap_or(0);
        left.is_some()
    }
}

fn values_spent() -> Reason {
    Reason::new(ReasonCode::LimitNodes, format!("{VALUES_MAX} values are shown"))
}

#[cfg(test)]
mod tests;
