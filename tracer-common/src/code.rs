//! What a capture plan is written in: operations for the roots, layouts and edges for the chase.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One operation of a plan. Expression operations work on a stack of `u64`;
/// the others end a root and say what to copy.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Op {
    /// A [`Code`].
    pub code: u8,
    /// Register number, byte size or stack index, by code.
    pub arg: u8,
    /// Always zero.
    pub reserved: u16,
    /// Index of a [`Layout`], or the number of operations of a root.
    pub layout: u32,
    /// Constant or addend.
    pub imm: u64,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal,)+) => {
        /// The operations.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name = $value,)+ }

        impl Code {
            /// The operation with this number.
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

codes! {
    /// Ends the roots; the chase begins.
    End = 0,
    /// Begins a root of `layout` operations; where one fails the rest of it is skipped.
    Root = 1,
    /// Pushes `imm`.
    Const = 2,
    /// Pushes DWARF register `arg` plus `imm`.
    Register = 3,
    /// Replaces an address by the `arg` bytes (1 to 8) it points to, zero-extended; the bytes go
    /// into the record too, so that the decoder can evaluate the same expression.
    Deref = 4,
    /// Pushes a copy of the value `arg` below the top.
    Pick = 5,
    /// Removes the top.
    Drop = 6,
    /// Exchanges the two topmost values.
    Swap = 7,
    /// Adds `imm` to the top.
    AddConst = 8,
    /// a + b, where b is the top.
    Add = 9,
    /// a - b.
    Sub = 10,
    /// a * b.
    Mul = 11,
    /// a & b.
    And = 12,
    /// a | b.
    Or = 13,
    /// a ^ b.
    Xor = 14,
    /// a << b, 0 for b > 63.
    Shl = 15,
    /// a >> b without sign, 0 for b > 63.
    Shr = 16,
    /// a >> b with sign.
    Shra = 17,
    /// -a.
    Neg = 18,
    /// !a.
    Not = 19,
    /// a == b, as 0 or 1.
    Eq = 20,
    /// a != b.
    Ne = 21,
    /// a < b, signed; so are the next three.
    Lt = 22,
    /// a <= b.
    Le = 23,
    /// a > b.
    Gt = 24,
    /// a >= b.
    Ge = 25,
    /// Pops an address: copies `imm` elements of `layout` there and follows their edges.
    Copy = 26,
    /// Pops a pointer: queues `imm` elements of `layout` behind it.
    Chase = 27,
    /// Pops a length, then a pointer: queues that many elements of `layout`; `imm` 1 says that
    /// they are text, for which the string limit counts.
    ChaseSlice = 28,
    /// Pops a pointer: queues the NUL-terminated string behind it.
    ChaseText = 29,
    /// Pops the canonical frame address: puts the registers that were kept for it when the function
    /// was entered into the record, or an empty item where none were.
    Entry = 30,
    /// Pushes DWARF register `arg` as it was kept by the last [`Code::Entry`], plus `imm`; ends the
    /// root where nothing was kept.
    EntryRegister = 31,
}

impl Op {
    /// An operation without a layout.
    pub const fn new(code: Code, arg: u8, imm: u64) -> Self {
        Self { code: code as u8, arg, reserved: 0, layout: 0, imm }
    }

    /// An operation on a layout (or, for [`Code::Root`], of a length).
    pub const fn on(code: Code, layout: u32, imm: u64) -> Self {
        Self { code: code as u8, arg: 0, reserved: 0, layout, imm }
    }

    /// The operation's code, if its number is one.
    pub const fn code(self) -> Option<Code> {
        Code::from_u8(self.code)
    }
}

/// The result of a two-operand [`Code`] for `a` (below) and `b` (top); `None` for other codes.
///
/// DWARF 5, 2.5.1.4 and 2.5.1.5, on 64-bit values of the generic type.
#[inline(always)]
pub fn binary(code: u8, a: u64, b: u64) -> Option<u64> {
    // Comparisons of the generic type are signed (DWARF 5, 2.5.1.5).
    let (sa, sb) = (a as i64, b as i64);
    Some(match code {
        c if c == Code::Add as u8 => a.wrapping_add(b),
        c if c == Code::Sub as u8 => a.wrapping_sub(b),
        c if c == Code::Mul as u8 => a.wrapping_mul(b),
        c if c == Code::And as u8 => a & b,
        c if c == Code::Or as u8 => a | b,
        c if c == Code::Xor as u8 => a ^ b,
        c if c == Code::Shl as u8 => {
            if b > 63 {
                0
            } else {
                a << (b & 63)
            }
        }
        c if c == Code::Shr as u8 => {
            if b > 63 {
                0
            } else {
                a >> (b & 63)
            }
        }
        c if c == Code::Shra as u8 => (sa >> if b > 63 { 63 } else { b & 63 }) as u64,
        c if c == Code::Eq as u8 => (a == b) as u64,
        c if c == Code::Ne as u8 => (a != b) as u64,
        c if c == Code::Lt as u8 => (sa < sb) as u64,
        c if c == Code::Le as u8 => (sa <= sb) as u64,
        c if c == Code::Gt as u8 => (sa > sb) as u64,
        c if c == Code::Ge as u8 => (sa >= sb) as u64,
        _ => return None,
    })
}

/// What an object of one type looks like to the chase: its size and where its pointers are.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Layout {
    /// Bytes of one element.
    pub size: u32,
    /// Index of the first [`Edge`].
    pub edge_first: u32,
    /// Number of edges.
    pub edge_count: u32,
    /// Always zero.
    pub reserved: u32,
}

/// The layout number of a NUL-terminated string, which has no [`Layout`].
pub const TEXT: u32 = u32::MAX;

/// A pointer inside an object, and what is behind it. All offsets are those in the element; a field
/// is 8 bytes if nothing else is said.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Edge {
    /// Where the 8-byte pointer is.
    pub offset: u32,
    /// What it points to: a layout, or [`TEXT`].
    pub target: u32,
    /// The number of elements behind it is this field, less the field `count_from`, divided by
    /// `divisor`, plus `plus`. [`Edge::NONE`] where it is `plus` alone.
    pub count_to: u32,
    /// See `count_to`; or [`Edge::NONE`].
    pub count_from: u32,
    /// See `count_to`; 0 is 1.
    pub divisor: u32,
    /// See `count_to`.
    pub plus: u32,
    /// More elements than so many are not copied.
    pub most: u32,
    /// The first element is this field times `factor` bytes behind the pointer; or [`Edge::NONE`].
    pub first: u32,
    /// See `first`.
    pub factor: u32,
    /// The pointer is followed only if this field of `guard_size` bytes is between `guard_low` and
    /// `guard_low` plus `guard_span`, or is not, by [`Edge::UNLESS`]; or [`Edge::NONE`].
    pub guard: u32,
    /// See `guard`.
    pub guard_span: u32,
    /// [`Edge::BYTES`] and what follows it.
    pub flags: u32,
    /// See `guard`.
    pub guard_low: u64,
    /// 1 to 8.
    pub guard_size: u32,
    /// Always zero.
    pub reserved: u32,
}

impl Edge {
    /// No field.
    pub const NONE: u32 = u32::MAX;
    /// The elements are text, which may be in the object itself and then is copied with it.
    pub const BYTES: u32 = 1;
    /// The pointer leads to the first of several nodes, as many as elements were counted.
    pub const NODES: u32 = 1 << 1;
    /// The pointer leads from one of these nodes to another, which is no deeper. The last one of an
    /// element's links is followed first, with all behind it.
    pub const LINK: u32 = 1 << 2;
    /// The elements lie in front of the pointer, and behind it a byte for each, the first one for
    /// the nearest; where its top bit is set there is no element.
    pub const SLOTS: u32 = 1 << 3;
    /// Inverts the guard.
    pub const UNLESS: u32 = 1 << 4;
    /// What is behind the pointer is no deeper than what it is in.
    pub const LEVEL: u32 = 1 << 5;

    /// A pointer to one object.
    pub const fn one(offset: u32, target: u32) -> Self {
        Self {
            offset,
            target,
            count_to: Self::NONE,
            count_from: Self::NONE,
            divisor: 1,
            plus: 1,
            most: u32::MAX,
            first: Self::NONE,
            factor: 0,
            guard: Self::NONE,
            guard_span: 0,
            guard_low: 0,
            guard_size: 0,
            flags: 0,
            reserved: 0,
        }
    }

    /// A pointer to as many elements as a field says, but no more than `most`.
    pub const fn many(offset: u32, target: u32, length: u32, most: u32) -> Self {
        Self { count_to: length, plus: 0, most, ..Self::one(offset, target) }
    }
}
