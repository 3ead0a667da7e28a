//! The JSON of a captured value.
//!
//! A number or a truth value is itself; an integer beyond ±2^53, NaN, an infinity and a number of
//! a wider format are strings. So a bare string is always a number, and all else is an object
//! with a member that names it: `{"text": …}`, `{"bytes": …}`, `{"fields": …}`, `{"items": …}`.

use super::read::Object;
use super::scalar::{Address, Hex, Integer};
use super::types::{Code, Provenance};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Levels of values inside one another that are written and read. The decoder's own limit lies
/// below; this keeps a value that breaks it from overflowing the stack.
pub const LEVELS_MAX: u32 = 300;

/// A value or why there is none.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[serde(untagged)]
pub enum Node {
    /// There is one.
    Value {
        /// It.
        value: Value,
    },
    /// There is none.
    Unavailable {
        /// Why.
        unavailable: Unavailable,
    },
}

impl From<Unavailable> for Node {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable { unavailable }
    }
}

/// Why a value, or the rest of one, is missing.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Unavailable {
    /// For programs.
    #[schema(value_type = String)]
    pub code: Code,
    /// For people, with the facts of this case.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub remedy: Option<Code>,
}

/// A member.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
#[serde(try_from = "Object")]
pub struct Field {
    /// `null` for an anonymous member.
    pub name: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its value.
    #[serde(flatten)]
    pub node: Node,
}

/// What a pointer points to.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
#[serde(try_from = "Object")]
pub struct Target {
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its value.
    #[serde(flatten)]
    pub node: Node,
    /// Where the value came from, if it was not read at the hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// An element of an array: the bare value, or `{"unavailable": …}`.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[serde(untagged)]
pub enum Item {
    /// There is one.
    Value(Value),
    /// There is none.
    Unavailable {
        /// Why.
        unavailable: Unavailable,
    },
}

/// A key with its value.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Item,
    /// Its value.
    pub value: Item,
}

/// Something worth knowing about a value beside what is in it: a capacity, a count of owners. It is
/// a number or a text.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Note {
    /// What it is.
    pub name: String,
    /// As a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Integer>,
    /// As a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A value.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Integer(Integer),
    /// A truth value.
    Bool(bool),
    /// A number with a fraction, with as few digits as name it.
    Float(#[serde(serialize_with = "float")] f64),
    /// A number of a wider format, in decimal; of a line that was read also an integer beyond what
    /// a double holds.
    Decimal(String),
    /// A character of the source language.
    Character {
        /// As stored.
        code: i64,
        /// What it stands for.
        #[serde(rename = "char")]
        character: Option<char>,
    },
    /// A value of an enumeration.
    Enumerator {
        /// `null` where the number has no name.
        name: Option<String>,
        /// The number.
        number: Integer,
    },
    /// A variant of a sum type; before [`Value::Record`], which it includes.
    Variant {
        /// Its name.
        variant: String,
        /// Its fields, in order.
        fields: Vec<Field>,
    },
    /// A struct or class.
    Record {
        /// Its members, in order.
        fields: Vec<Field>,
    },
    /// A union.
    Union {
        /// Each member's view of the same bytes.
        union: Vec<Field>,
    },
    /// Elements.
    Array {
        /// Their type; `null` where none was captured.
        element_type: Option<String>,
        /// Those that were captured.
        items: Vec<Item>,
        /// How many there are; `null` where debug info does not say.
        total: Option<u64>,
        /// Why there are fewer items.
        #[serde(skip_serializing_if = "Option::is_none")]
        cut: Option<Box<Unavailable>>,
    },
    /// Keys with their values.
    Map {
        /// The keys' type; `null` where no entry was captured.
        key_type: Option<String>,
        /// The values' type.
        value_type: Option<String>,
        /// Those that were captured.
        entries: Vec<Entry>,
        /// How many there are; `null` where that is not known.
        total: Option<u64>,
        /// Why there are fewer entries.
        #[serde(skip_serializing_if = "Option::is_none")]
        cut: Option<Box<Unavailable>>,
    },
    /// A value with what is said of it.
    Noted {
        /// What is said.
        notes: Vec<Note>,
        /// The value.
        of: Box<Target>,
    },
    /// A pointer that was followed.
    Pointer {
        /// Where it points; absent where the compiler kept only what is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Address>,
        /// What is there.
        target: Box<Target>,
    },
    /// A pointer to something that is shown elsewhere in this capture.
    Reference {
        /// Where it points.
        address: Address,
        /// Where that is shown.
        shown_at: String,
    },
    /// A pointer that was not followed.
    Address {
        /// Where it points.
        address: Address,
    },
    /// A function.
    Function {
        /// Its address.
        address: Address,
        /// Its name; `null` where none is known.
        function: Option<String>,
    },
    /// Text.
    Text {
        /// Its bytes.
        #[serde(flatten)]
        content: TextContent,
        /// Where it is, if not inside the value itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Address>,
        /// Its real length in bytes, where it was cut.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// `total` is a lower bound.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        at_least: bool,
        /// Why it is cut.
        #[serde(skip_serializing_if = "Option::is_none")]
        cut: Option<Box<Unavailable>>,
        /// Where the bytes came from, if they are behind a pointer and were not read at the hit.
        #[serde(skip_serializing_if = "Option::is_none")]
        provenance: Option<Provenance>,
    },
    /// `void`, unit: `null`.
    Nothing(()),
}

/// The bytes of a text.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[serde(rename_all = "lowercase")]
pub enum TextContent {
    /// They are UTF-8.
    Text(String),
    /// They are not.
    Bytes(Hex),
}

impl TextContent {
    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => &bytes.0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn float<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match not_finite(*number) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f64(*number),
    }
}

fn not_finite(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        None
    }
}
