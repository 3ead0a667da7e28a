//! What one hit sends through the ring buffer.
//!
//! A record is a [`RecordHeader`] followed by items. An item is an [`ItemHeader`] followed by
//! `copied` bytes and zeros up to the next multiple of 8. All numbers are little-endian, as the
//! machine's. The first items are the stack: one for each run of its pages that are in memory.

use core::mem::size_of;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of this format; a record of another one is refused.
pub const VERSION: u16 = 12;
/// The first four bytes of a record.
pub const MAGIC: u32 = u32::from_le_bytes(*b"TRCR");
/// Registers in a record: DWARF numbers 0 to 16 of the x86-64 psABI (figure 3.36: rax, rdx, rcx,
/// rbx, rsi, rdi, rbp, rsp, r8 to r15, return address), then the flags and the base of fs.
pub const REGISTERS: usize = 19;
/// Index of rbp in [`RecordHeader::registers`].
pub const RBP: usize = 6;
/// Index of rsp.
pub const RSP: usize = 7;
/// Index of rip.
pub const RIP: usize = 16;
/// Index of rflags.
pub const RFLAGS: usize = 17;
/// Index of the base address of the fs segment.
pub const FS_BASE: usize = 18;

/// Registers of a function's entry: DWARF numbers 0 to 15.
pub const ENTRY_REGISTERS: usize = 16;

/// The fixed part of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RecordHeader {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u16,
    /// Bits of [`crate::status::flags`].
    pub flags: u16,
    /// Bytes of the whole record.
    pub size: u32,
    /// Index of the site, which is the attach cookie.
    pub site: u32,
    /// Number of this hit at its site, from 1, outcomes other than captured included.
    pub hit: u64,
    /// Nanoseconds since boot, suspend included (CLOCK_BOOTTIME).
    pub time_boot_ns: u64,
    /// When the process started, nanoseconds since boot.
    pub start_boot_ns: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// The cpu of the hit.
    pub cpu: u32,
    /// Number of items.
    pub items: u32,
    /// The thread's name, NUL-padded.
    pub comm: [u8; 16],
    /// The registers, see [`REGISTERS`].
    pub registers: [u64; REGISTERS],
}

/// The head of an item: a piece of the target's memory, or why it is missing.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ItemHeader {
    /// Where the bytes are in the target.
    pub address: u64,
    /// Bytes that were asked for; for a string the length found (without NUL).
    pub want: u64,
    /// Bytes that follow.
    pub copied: u32,
    /// The layout that was asked for, or [`crate::code::TEXT`].
    pub layout: u32,
    /// A [`crate::status::Status`].
    pub status: u8,
    /// Pointers followed to come here.
    pub depth: u8,
    /// An [`ItemKind`].
    pub kind: u8,
    /// Always zero.
    pub reserved: [u8; 5],
}

/// What an item was copied for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// The top of the stack, from the red zone upwards.
    Stack = 0,
    /// An object: a root or one found by the chase.
    Object = 1,
    /// A NUL-terminated string, without the NUL.
    Text = 2,
    /// Bytes that a root's expression read.
    Deref = 3,
    /// The [`ENTRY_REGISTERS`] when the function was entered whose frame is at the item's address;
    /// without bytes where they were not kept.
    Entry = 4,
}

impl ItemKind {
    /// The kind with this number.
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Stack,
            1 => Self::Object,
            2 => Self::Text,
            3 => Self::Deref,
            4 => Self::Entry,
            _ => return None,
        })
    }
}

/// Bytes of a [`RecordHeader`].
pub const RECORD_HEADER: u32 = size_of::<RecordHeader>() as u32;
/// Bytes of an [`ItemHeader`].
pub const ITEM_HEADER: u32 = size_of::<ItemHeader>() as u32;

const _: () =
    assert!(RECORD_HEADER == 72 + REGISTERS as u32 * 8 && RECORD_HEADER.is_multiple_of(8));
const _: () = assert!(ITEM_HEADER == 32);
