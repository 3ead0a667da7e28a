//! The value of a variable as a tree.

use super::capture::Provenance;
use super::reason::Reason;
use super::serial;
use serde::{Deserialize, Serialize};

/// A value with its type's name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Typed {
    /// The type, as the language writes it.
    pub type_name: String,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Value {
    /// An integer that may be negative.
    Signed(i128),
    /// An integer that may not.
    Unsigned(u128),
    /// A truth value.
    Bool(bool),
    /// A character: its code and, where it has one, the character.
    Char {
        /// The code as stored.
        code: i64,
        /// What it stands for.
        character: Option<char>,
    },
    /// A number of single precision.
    Float32(f32),
    /// A number of double precision.
    Float64(f64),
    /// A number of another floating-point format, as decimal text.
    FloatText(String),
    /// An enumerator; `name` is `None` for a value that has none.
    Enumerator {
        /// Its name.
        name: Option<String>,
        /// Its number.
        number: i128,
    },
    /// A struct or class.
    Record(#[serde(deserialize_with = "serial::nested")] Vec<Field>),
    /// A union: every member's view of the bytes.
    Union(#[serde(deserialize_with = "serial::nested")] Vec<Field>),
    /// A variant by name with its fields.
    Variant {
        /// The variant's name.
        name: String,
        /// Its value.
        #[serde(deserialize_with = "serial::nested")]
        fields: Vec<Field>,
    },
    /// Elements.
    Array {
        /// Those that were captured.
        #[serde(deserialize_with = "serial::nested")]
        items: Vec<Typed>,
        /// How many there are; `None` for a flexible array.
        total: Option<u64>,
        /// Why there are fewer items than `total`.
        cut: Option<Reason>,
    },
    /// Keys with their values.
    Map {
        /// Those that were captured.
        #[serde(deserialize_with = "serial::nested")]
        entries: Vec<(Typed, Typed)>,
        /// How many there are; `None` where that is not known.
        total: Option<u64>,
        /// Why there are fewer entries than `total`.
        cut: Option<Reason>,
    },
    /// A value with what is said of it.
    Noted {
        /// Names and what is said.
        notes: Vec<(String, Said)>,
        /// The value.
        #[serde(deserialize_with = "serial::nested")]
        of: Box<Typed>,
    },
    /// A pointer, followed.
    Pointer {
        /// Where it points; `None` where the compiler kept only what is there.
        address: Option<u64>,
        /// What is there.
        #[serde(deserialize_with = "serial::nested")]
        target: Box<Typed>,
        /// Where that came from.
        provenance: Provenance,
    },
    /// A pointer to an object that is shown elsewhere in the same capture: a cycle or sharing.
    Reference {
        /// Where it points.
        address: u64,
        /// The path of the place where the object is shown: `head->next`.
        shown_at: String,
    },
    /// A pointer that is not followed: null, `void *`.
    Address(u64),
    /// A function's address with its name, where known.
    Function {
        /// The address.
        address: u64,
        /// The symbol.
        name: Option<String>,
    },
    /// Text: C strings, `char[N]`, `&str`.
    Text {
        /// Where it is; `None` for text inside the value itself.
        address: Option<u64>,
        /// The bytes, without NUL.
        #[serde(with = "serial::bytes")]
        bytes: Vec<u8>,
        /// Its length in bytes, where it was cut.
        total: Option<u64>,
        /// `total` is a lower bound.
        at_least: bool,
        /// Why it is cut.
        cut: Option<Reason>,
        /// Where the bytes came from; for text inside the value itself, with all of that.
        provenance: Provenance,
    },
    /// `void`, unit.
    Nothing,
    /// Not shown.
    Unavailable(Reason),
}

/// What is said of a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Said {
    /// A number: a capacity, a count.
    Number(i128),
    /// A word: a state, a unit.
    Text(String),
}

/// A member's value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// `None` for an anonymous member.
    pub name: Option<String>,
    /// Its value.
    pub value: Typed,
}
