//! What JSON has no number for: addresses, times, bytes and wide integers, as strings.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An address: `"0x401136"`.
#[derive(ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[schema(value_type = String)]
pub struct Address(pub u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "an address like 0x401136", |text| {
            u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(Self)
        })
    }
}

/// A point in time in nanoseconds: a decimal string, for it does not fit a double.
#[derive(ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[schema(value_type = String)]
pub struct Nanoseconds(pub i128);

impl Serialize for Nanoseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Nanoseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "nanoseconds in decimal", |text| text.parse().ok().map(Self))
    }
}

/// Bytes: lower-case hexadecimal.
#[derive(ToSchema, Clone, PartialEq, Eq, Debug)]
#[schema(value_type = String)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "bytes in hexadecimal", |text| {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
            let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
            bytes.filter(|_| rest.is_empty()).map(Self)
        })
    }
}

/// An integer: a JSON number as far as a double holds it exactly, else a decimal string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Integer {
    /// It may be negative.
    Signed(i128),
    /// It may not.
    Unsigned(u128),
}

impl PartialSchema for Integer {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^-?[0-9]+$"));
        OneOfBuilder::new().item(number).item(text).into()
    }
}

impl ToSchema for Integer {}

/// The largest integer up to which a double holds every one.
const EXACT_MAX: i64 = 1 << 53;

impl Serialize for Integer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (small, text): (Option<i64>, &dyn fmt::Display) = match self {
            Self::Signed(number) => (i64::try_from(*number).ok(), number),
            Self::Unsigned(number) => (i64::try_from(*number).ok(), number),
        };
        match small {
            Some(number) if (-EXACT_MAX..=EXACT_MAX).contains(&number) => {
                serializer.serialize_i64(number)
            }
            _ => serializer.collect_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(i64),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Number(number) => return Ok(Self::Signed(number.into())),
            Form::Text(text) => text,
        };
        let signed = || text.parse().ok().map(Self::Signed);
        signed()
            .or_else(|| text.parse().ok().map(Self::Unsigned))
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"an integer"))
    }
}

/// What `parse` makes of a string.
fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}
