//! Values of a line that is read. Which members an object has says what it is.
//!
//! By hand, for values lie deep inside one another. What serde derives for enums without a tag and
//! for flattened members reads each level several times, and needs much stack for each. So all
//! objects inside a value are read by one function, with what was read so far on the heap.

use super::scalar::{Address, Hex, Integer};
use super::types::Provenance;
use super::value::{Entry, Field, Item, Node, Note, Target, TextContent, Unavailable, Value};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// An object that should be a value or say why there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeError;

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("either `value` or `unavailable` was expected")
    }
}

impl Node {
    /// The one of the two that is there.
    ///
    /// # Errors
    /// There are both, or neither.
    pub(super) fn of(
        value: Option<Value>,
        unavailable: Option<Unavailable>,
    ) -> Result<Self, NodeError> {
        match (value, unavailable) {
            (Some(value), None) => Ok(Self::Value { value }),
            (None, Some(unavailable)) => Ok(Self::Unavailable { unavailable }),
            _ => Err(NodeError),
        }
    }
}

/// For a member whose `null` means something else than its absence.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<Object> for Field {
    type Error = NodeError;

    fn try_from(Object(members): Object) -> Result<Self, NodeError> {
        let name = members.name.clone();
        let Target { type_name, node, provenance: _ } = Object(members).try_into()?;
        Ok(Self { name, type_name, node })
    }
}

impl TryFrom<Object> for Target {
    type Error = NodeError;

    fn try_from(Object(members): Object) -> Result<Self, NodeError> {
        let provenance = members.provenance;
        let node = Node::of(members.value, members.unavailable)?;
        Ok(Self { type_name: members.type_name.ok_or(NodeError)?, node, provenance })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Item::deserialize(deserializer)? {
            Item::Value(value) => Ok(value),
            Item::Unavailable { .. } => Err(D::Error::custom("a value was expected")),
        }
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Item, E> {
        Ok(Item::Value(Value::Nothing(())))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Item, E> {
        Ok(Item::Value(Value::Bool(truth)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Item, E> {
        Ok(Item::Value(Value::Integer(Integer::Signed(number.into()))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Item, E> {
        Ok(Item::Value(Value::Integer(Integer::Unsigned(number.into()))))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Item, E> {
        Ok(Item::Value(Value::Float(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Value(match text {
            "NaN" => Value::Float(f64::NAN),
            "Infinity" => Value::Float(f64::INFINITY),
            "-Infinity" => Value::Float(f64::NEG_INFINITY),
            _ => Value::Decimal(text.to_owned()),
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
        let object = ObjectVisitor.visit_map(map)?;
        object.item().ok_or_else(|| A::Error::custom("no value has these members"))
    }
}

/// An object inside a value.
pub(super) struct Object(Box<Members>);

/// All members that an object inside a value can have.
#[derive(Default)]
struct Members {
    type_name: Option<String>,
    value: Option<Value>,
    unavailable: Option<Unavailable>,
    name: Option<String>,
    code: Option<i64>,
    character: Option<char>,
    number: Option<Integer>,
    variant: Option<String>,
    fields: Option<Vec<Field>>,
    union: Option<Vec<Field>>,
    element_type: Option<String>,
    items: Option<Vec<Item>>,
    key_type: Option<String>,
    value_type: Option<String>,
    entries: Option<Vec<Entry>>,
    notes: Option<Vec<Note>>,
    of: Option<Box<Target>>,
    total: Option<u64>,
    cut: Option<Box<Unavailable>>,
    address: Option<Address>,
    target: Option<Box<Target>>,
    shown_at: Option<String>,
    function: Option<Option<String>>,
    text: Option<String>,
    bytes: Option<Hex>,
    at_least: bool,
    provenance: Option<Provenance>,
}

/// The name of a member.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Type,
    Value,
    Unavailable,
    Name,
    Code,
    Char,
    Number,
    Variant,
    Fields,
    Union,
    ElementType,
    Items,
    KeyType,
    ValueType,
    Entries,
    Notes,
    Of,
    Total,
    Cut,
    Address,
    Target,
    ShownAt,
    Function,
    Text,
    Bytes,
    AtLeast,
    Provenance,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut members = Box::<Members>::default();
        let all = members.as_mut();
        while let Some(name) = map.next_key()? {
            match name {
                Member::Type => read(&mut map, &mut all.type_name),
                Member::Value => read_some(&mut map, &mut all.value),
                Member::Unavailable => read(&mut map, &mut all.unavailable),
                Member::Name => read(&mut map, &mut all.name),
                Member::Code => read(&mut map, &mut all.code),
                Member::Char => read(&mut map, &mut all.character),
                Member::Number => read(&mut map, &mut all.number),
                Member::Variant => read(&mut map, &mut all.variant),
                Member::Fields => read(&mut map, &mut all.fields),
                Member::Union => read(&mut map, &mut all.union),
                Member::ElementType => read(&mut map, &mut all.element_type),
                Member::Items => read(&mut map, &mut all.items),
                Member::KeyType => read(&mut map, &mut all.key_type),
                Member::ValueType => read(&mut map, &mut all.value_type),
                Member::Entries => read(&mut map, &mut all.entries),
                Member::Notes => read(&mut map, &mut all.notes),
                Member::Of => read(&mut map, &mut all.of),
                Member::Total => read(&mut map, &mut all.total),
                Member::Cut => read(&mut map, &mut all.cut),
                Member::Address => read(&mut map, &mut all.address),
                Member::Target => read(&mut map, &mut all.target),
                Member::ShownAt => read(&mut map, &mut all.shown_at),
                Member::Function => read_some(&mut map, &mut all.function),
                Member::Text => read(&mut map, &mut all.text),
                Member::Bytes => read(&mut map, &mut all.bytes),
                Member::AtLeast => read(&mut map, &mut all.at_least),
                Member::Provenance => read(&mut map, &mut all.provenance),
                Member::Other => map.next_value::<IgnoredAny>().map(drop),
            }?;
        }
        Ok(Object(members))
    }
}

/// Reads a member. A function of its own keeps what it needs off the stack of those around it.
fn read<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    member: &mut T,
) -> Result<(), A::Error> {
    *member = map.next_value()?;
    Ok(())
}

/// [`read`] of a member whose `null` means something.
fn read_some<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    member: &mut Option<T>,
) -> Result<(), A::Error> {
    *member = Some(map.next_value()?);
    Ok(())
}

impl Object {
    /// What it is; `None` if nothing that we write has these members.
    fn item(self) -> Option<Item> {
        let all = *self.0;
        if let Some(unavailable) = all.unavailable {
            return Some(Item::Unavailable { unavailable });
        }
        let Members { address, total, cut, provenance, .. } = all;
        let content = all.text.map(TextContent::Text).or(all.bytes.map(TextContent::Bytes));
        Some(Item::Value(if let Some(code) = all.code {
            Value::Character { code, character: all.character }
        } else if let Some(number) = all.number {
            Value::Enumerator { name: all.name, number }
        } else if let Some(variant) = all.variant {
            Value::Variant { variant, fields: all.fields? }
        } else if let Some(fields) = all.fields {
            Value::Record { fields }
        } else if let Some(union) = all.union {
            Value::Union { union }
        } else if let Some(items) = all.items {
            Value::Array { element_type: all.element_type, items, total, cut }
        } else if let Some(entries) = all.entries {
            let (key_type, value_type) = (all.key_type, all.value_type);
            Value::Map { key_type, value_type, entries, total, cut }
        } else if let Some(notes) = all.notes {
            Value::Noted { notes, of: all.of? }
        } else if let Some(content) = content {
            Value::Text { content, address, total, at_least: all.at_least, cut, provenance }
        } else if let Some(target) = all.target {
            Value::Pointer { address, target }
        } else if let Some(shown_at) = all.shown_at {
            Value::Reference { address: address?, shown_at }
        } else if let Some(function) = all.function {
            Value::Function { address: address?, function }
        } else {
            Value::Address { address: address? }
        }))
    }
}
