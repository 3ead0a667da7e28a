//! Values that stand for others: containers, whose elements are found by a walk over memory, and
//! wrappers. A walk is data, in terms of offsets: `plan` makes the kernel program follow it and
//! `decode` repeats it over what was copied.

use super::serial;
use super::types::{Member, TypeId};
use serde::{Deserialize, Serialize};

/// A number that a value states about itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Number {
    /// A constant.
    Fixed(u64),
    /// `size` bytes (1 to 8) of the value, unsigned.
    Field {
        /// Where in the value.
        offset: u64,
        /// How many.
        size: u8,
    },
    /// A number of what a pointer in the value points to.
    Behind {
        /// Where in the value the pointer is.
        pointer: u64,
        /// Of what is there.
        #[serde(deserialize_with = "serial::nested")]
        number: Box<Self>,
    },
    /// One number where a pointer in the value leads into the value itself, else another one.
    IfInside {
        /// Where in the value the pointer is.
        pointer: u64,
        /// Both numbers.
        #[serde(deserialize_with = "serial::nested")]
        then_or_else: Box<[Self; 2]>,
    },
    /// Two numbers, combined without overflow: a result below zero is no number.
    Of(Arithmetic, #[serde(deserialize_with = "serial::nested")] Box<[Self; 2]>),
}

/// How two numbers are combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Arithmetic {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a * b.
    Mul,
    /// a / b, where nothing may be left over.
    Div,
    /// a >> b.
    Shr,
    /// a & b.
    And,
    /// a + b of 64 bits: from minus one to zero.
    Wrap,
    /// 1 if a > b, else 0.
    Above,
}

impl Number {
    /// The 8 bytes at `offset`.
    pub const fn word(offset: u64) -> Self {
        Self::Field { offset, size: 8 }
    }

    /// This number and another one.
    #[must_use]
    pub fn with(self, arithmetic: Arithmetic, other: Self) -> Self {
        Self::Of(arithmetic, Box::new([self, other]))
    }

    /// The number of elements of `size` bytes between two pointers in the value.
    #[must_use]
    pub fn between(begin: u64, end: u64, size: u64) -> Self {
        let bytes = Self::word(end).with(Arithmetic::Sub, Self::word(begin));
        bytes.with(Arithmetic::Div, Self::Fixed(size))
    }
}

/// Something worth knowing about a value beside what is in it: a capacity, a count of owners.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// What it is.
    pub name: String,
    /// What is said.
    pub says: Says,
}

/// What a [`Note`] says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Says {
    /// A number; words for those that have one, after its sign is extended from 64 bits.
    Number(Number, Vec<(i64, String)>),
    /// The name of the symbol at an address, such as a vtable's.
    Symbol(Number),
    /// What is known from the type alone: a unit.
    Text(String),
}

/// A value that shows another one: `Box`, `std::unique_ptr`, `std::atomic`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Wrapper {
    /// What is shown.
    pub inner: Member,
    /// Zero where what is shown is gone.
    pub alive: Option<Number>,
    /// What is said of it.
    pub notes: Vec<Note>,
}

/// A value that has elements.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Container {
    /// How they are found.
    pub walk: Walk,
    /// What they are.
    pub content: Content,
    /// How many the container says that it has; `None` where only the walk can tell.
    pub count: Option<Number>,
    /// For how many there is room. A container that has more is broken.
    pub capacity: Option<Number>,
    /// What else is said of it.
    pub notes: Vec<Note>,
}

/// What the elements of a container are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Content {
    /// Values of this type.
    Elements(TypeId),
    /// The bytes of a text.
    Text,
    /// Keys with their values, in elements of `size` bytes.
    Pairs {
        /// Bytes of an element.
        size: u64,
        /// The key in it.
        key: Member,
        /// The value in it.
        value: Member,
    },
}

/// Where the elements of a container are. Offsets of pointers are those in the value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Walk {
    /// In the value itself, one behind another.
    Inside {
        /// The first one's offset.
        offset: u64,
    },
    /// One behind another, behind a pointer.
    Run {
        /// To the first one.
        pointer: u64,
    },
    /// As a run, but the first one follows the last one (`VecDeque`).
    Ring {
        /// To the buffer.
        pointer: u64,
        /// Elements that have room in it.
        room: Number,
        /// The index of the first one in it.
        head: Number,
    },
    /// A bit each, behind a pointer, from the least significant bit of each byte on
    /// (`std::vector<bool>`).
    Bits {
        /// To the first byte.
        pointer: u64,
        /// Bits in front of the first one.
        skip: Number,
    },
    /// In blocks of one size, behind a pointer to an array of pointers to them (`std::deque`).
    Blocks {
        /// To the first pointer.
        pointer: u64,
        /// Pointers that count.
        blocks: Number,
        /// Elements in a block.
        room: Number,
        /// Elements in front of the first one.
        skip: Number,
        /// Elements of a block that are copied, where that is not all that are shown.
        copied: u64,
    },
    /// As a run, but behind a header of so many bytes (`Rc<[T]>`).
    Headed {
        /// To the header.
        pointer: u64,
        /// Its bytes.
        header: u64,
    },
    /// One in each node of a chain. It ends with null or where it comes back into the value.
    Chain {
        /// To the first node.
        pointer: u64,
        /// The node's pointer to the next one.
        next: u64,
        /// The node's pointer to the one in front of it.
        previous: Option<u64>,
        /// The element in the node.
        element: u64,
    },
    /// One in each node of a binary tree, in order.
    Tree {
        /// To the leftmost node.
        pointer: u64,
        /// The node's pointers to others, null where there is none.
        left: u64,
        /// As `left`.
        right: u64,
        /// The topmost node's leads into the value.
        parent: u64,
        /// The element in the node.
        element: u64,
    },
    /// Several in each node of a tree whose leaves are all of one height (Rust's `BTreeMap`); the
    /// offsets of [`Content::Pairs`] are those of arrays in a node.
    BTree(BTree),
    /// In slots in front of bytes that tell which ones are taken, from the nearest one on
    /// (hashbrown).
    Table {
        /// To the bytes.
        pointer: u64,
        /// The number of slots less one.
        mask: u64,
    },
}

/// [`Walk::BTree`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BTree {
    /// To the topmost node.
    pub pointer: u64,
    /// Nodes below one another, less one.
    pub height: Number,
    /// The number of elements in a node.
    pub length: Number,
    /// Elements that have room in a node.
    pub room: u64,
    /// The array of elements in a node, if they are no pairs.
    pub elements: u64,
    /// The array of pointers to the nodes below, in those that have some.
    pub below: u64,
    /// The node's pointer to the one above, and its index there.
    pub parent: u64,
    /// As `parent`.
    pub index: Number,
    /// Bytes of a node without nodes below.
    pub leaf_size: u64,
    /// Bytes of one with some.
    pub inner_size: u64,
}
