//! The types of a site's variables, as far as they can be reached, with every language's forms
//! translated to a few shapes. `plan` and `decode` know shapes only.

use super::container::{Container, Wrapper};
use serde::{Deserialize, Serialize};

/// Index into a [`TypeGraph`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TypeId(pub u32);

/// All types that the variables of a resolution mention; cycles are by id.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct TypeGraph {
    /// Indexed by [`TypeId`].
    pub types: Vec<Type>,
    /// Types are what their members are, whatever they mean to programmers.
    pub raw: bool,
}

/// A type with its name in the source's language.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Type {
    /// As a programmer of the language writes it: `struct user *`, `&[u8]`.
    pub name: String,
    /// Bytes of a value; `None` where debug info does not say (incomplete types, flexible arrays).
    pub size: Option<u64>,
    /// What the bytes mean.
    pub shape: Shape,
}

/// What the bytes of a type mean. Typedefs and qualifiers are not shapes: they are looked through,
/// only the name stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Shape {
    /// A number, character or truth value.
    Scalar(Scalar),
    /// An enumeration: names of values of a scalar.
    Enumeration {
        /// How the value is stored.
        scalar: Scalar,
        /// Value (as stored, sign-extended) and name.
        names: Vec<(i128, String)>,
    },
    /// Members at offsets: struct, class, tuple.
    Record(Vec<Member>),
    /// Members that share their bytes.
    Union(Vec<Member>),
    /// One of several records, told by a discriminant (DW_TAG_variant_part, Rust enums).
    Variant {
        /// Where the discriminant is and what it is; `None` for a single variant.
        discriminant: Option<Member>,
        /// The variants.
        variants: Vec<VariantArm>,
        /// Members outside the variants.
        common: Vec<Member>,
    },
    /// Elements one behind another.
    Array {
        /// Of this type.
        element: TypeId,
        /// This many; `None` for a flexible array or one of variable length.
        count: Option<u64>,
    },
    /// The address of a value, 8 bytes; a reference is one too.
    Pointer(TypeId),
    /// The address of a NUL-terminated string: C's `char *`.
    TextPointer,
    /// The address of elements and their number (Rust's `&[T]`).
    Slice {
        /// Of this type.
        element: TypeId,
        /// Where in the value the 8-byte address is.
        pointer_offset: u64,
        /// Where in the value the 8-byte number of elements is.
        length_offset: u64,
        /// The elements are the bytes of UTF-8 text (Rust's `&str`).
        text: bool,
    },
    /// A value that has elements: lists, maps, owned text.
    Container(Box<Container>),
    /// A value that shows another one.
    Wrapper(Box<Wrapper>),
    /// The target of a function pointer.
    Function,
    /// `void`, or the unit type.
    Nothing,
    /// A type that debug info only declares, or that could not be read: the reason.
    Opaque(String),
}

/// How a scalar's bytes are read; little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Scalar {
    /// What the bits mean.
    pub encoding: Encoding,
    /// Bytes: 1, 2, 4, 8 or 16 (10-byte x87 numbers are stored in 16).
    pub size: u8,
}

/// DW_AT_encoding, as far as it changes what a value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// Two's complement.
    Signed,
    /// Unsigned; addresses too.
    Unsigned,
    /// 0 is false, 1 is true, all else is shown as a number.
    Bool,
    /// A character of C: a byte, signed.
    SignedChar,
    /// A character of C: a byte, unsigned.
    UnsignedChar,
    /// A Unicode code unit or scalar value: `char16_t`, `char32_t`, Rust's `char`.
    Utf,
    /// IEEE 754, or x87 extended precision where the type is `long double`.
    Float,
}

/// A member of a record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// `None` for an anonymous struct or union and for an unnamed base.
    pub name: Option<String>,
    /// Byte offset in the value.
    pub offset: u64,
    /// Its type.
    pub type_id: TypeId,
    /// For a bit-field, its bits: offset from the least significant bit of the value's byte
    /// `offset`, and width.
    pub bits: Option<(u64, u64)>,
}

/// A variant of a [`Shape::Variant`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VariantArm {
    /// Inclusive ranges of discriminants that select it; empty: all that select no other.
    pub discriminants: Vec<(u128, u128)>,
    /// Its name; `None` if it is that of its only member.
    pub name: Option<String>,
    /// Its members, usually one that is a record named as the variant. Of a variant that has
    /// neither a name nor a named member, its only member is all that is shown.
    pub members: Vec<Member>,
}

impl Shape {
    /// The reason of a [`Shape::Opaque`] for a type that debug info only declares.
    pub const INCOMPLETE: &'static str = "debug info only declares it";
}

impl TypeGraph {
    /// The type of this id. An id of another graph gives an opaque type, never a panic.
    pub fn get(&self, id: TypeId) -> &Type {
        static UNKNOWN: Type =
            Type { name: String::new(), size: None, shape: Shape::Opaque(String::new()) };
        self.types.get(id.0 as usize).unwrap_or(&UNKNOWN)
    }
}
