//! Where a variable is at one pc, in the few forms that plan and decode both understand.

use super::reason::Reason;
use super::serial;
use serde::{Deserialize, Serialize};
use tracer_common::code::Op;

/// A loop-free computation over registers and memory; leaves one value. Made of the expression
/// operations of [`tracer_common::code::Code`] only, so that the kernel program can run it and
/// the decoder can repeat it over the record.
pub type Expression = Vec<Op>;

/// A computation that the kernel program can't do, for it needs what only the decoder knows.
pub type Steps = Vec<Step>;

/// A step of a computation in the decoder, on a stack of `u64`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Step {
    /// An operation that the kernel program has too.
    Op(#[serde(with = "serial::words")] Op),
    /// Pushes what a register held when the function was entered (DW_OP_entry_value), by its
    /// DWARF number: the caller may tell.
    Entry(u8),
    /// a / b, where b is the top (DW_OP_div).
    Divide(Sign),
    /// The rest of that division (DW_OP_mod).
    Remainder(Sign),
    /// Puts the top below the two values under it (DW_OP_rot).
    Rotate,
    /// Goes on at the step with this number, which comes later (DW_OP_skip).
    Skip(usize),
    /// Pops a value; goes on there if it is not 0 (DW_OP_bra).
    Branch(usize),
}

/// How operands are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Sign {
    /// In two's complement.
    Signed,
    /// Not negative.
    Unsigned,
    /// It is not known: there is a result only where both ways give the same.
    Either,
}

/// Where a value is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Location {
    /// In DWARF register 0 to 16.
    Register(u8),
    /// In memory, at the address that the expression gives.
    Memory(#[serde(with = "serial::words")] Expression),
    /// Nowhere: the expression gives the value itself (DW_OP_stack_value).
    Value(#[serde(with = "serial::words")] Expression),
    /// Nowhere: these are its bytes (DW_OP_implicit_value, DW_AT_const_value).
    Bytes(Vec<u8>),
    /// Nowhere: the steps give the value itself, in the decoder alone.
    Derived(Steps),
    /// A pointer that was not kept, `offset` bytes into a value whose place is known
    /// (DW_OP_implicit_pointer).
    Points {
        /// Where the value is that it points into.
        #[serde(deserialize_with = "serial::nested")]
        to: Result<Box<Location>, Reason>,
        /// Bytes.
        offset: i64,
    },
    /// In several places; pieces in ascending order of the value's bytes (DW_OP_piece).
    Pieces(#[serde(deserialize_with = "serial::nested")] Vec<Piece>),
    /// The same where not all pieces are of whole bytes (DW_OP_bit_piece), from the least
    /// significant bit on.
    Bits(#[serde(deserialize_with = "serial::nested")] Vec<BitPiece>),
}

/// Some bits of a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BitPiece {
    /// How many, at most 64.
    pub width: u32,
    /// How many bits of what is there come before them; 64 together with `width` at most.
    pub shift: u32,
    /// Where they are, a value of up to 8 bytes; `None` where the compiler did not keep them.
    pub location: Option<Location>,
}

/// A part of a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Bytes of this part.
    pub size: u32,
    /// Where it is; `None` where the compiler did not keep it. Never [`Location::Pieces`].
    pub location: Option<Location>,
}
