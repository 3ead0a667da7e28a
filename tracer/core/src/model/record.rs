//! A record from the kernel, checked: who hit, when, the registers, and the memory image.

use super::address::Avma;
use super::capture::Provenance;
use super::serial;
use serde::{Deserialize, Serialize};
use tracer_common::status::Status;
use tracer_common::wire::{ItemKind, REGISTERS};

/// A decoded record: the image of one hit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Index of the site (the attach cookie).
    pub site: u32,
    /// Number of the hit at its site, from 1.
    pub hit: u64,
    /// Nanoseconds since boot, suspend included.
    pub time_boot_ns: u64,
    /// When the process started, nanoseconds since boot.
    pub start_boot_ns: u64,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// The cpu of the hit.
    pub cpu: u32,
    /// The thread's name, without padding.
    pub comm: Vec<u8>,
    /// By DWARF number, then flags and fs base ([`tracer_common::wire`]).
    pub registers: [u64; REGISTERS],
    /// Limits met, [`tracer_common::status::flags`].
    pub flags: u16,
    /// The memory.
    pub items: Vec<Item>,
    /// Memory that could not be read at the hit and was found otherwise.
    pub late: Vec<LateBytes>,
}

/// Memory that the kernel could not read at the hit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LateBytes {
    /// Where.
    pub address: Avma,
    /// What is there.
    #[serde(with = "serial::bytes")]
    pub bytes: Vec<u8>,
    /// How it was found.
    pub provenance: Provenance,
}

/// A piece of the target's memory, or why it is missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    /// Where.
    pub address: Avma,
    /// Bytes that were asked for; for text its length as far as it was found.
    pub want: u64,
    /// What was copied.
    #[serde(with = "serial::bytes")]
    pub bytes: Vec<u8>,
    /// How it ended.
    #[serde(with = "serial::status")]
    pub status: Status,
    /// For a fault: what is at the first address that is missing still, looked up right after the
    /// hit.
    pub absent: Option<Absence>,
    /// What it was copied for.
    #[serde(with = "serial::item_kind")]
    pub kind: ItemKind,
    /// Number of its layout in the kernel's table, or [`tracer_common::code::TEXT`].
    pub layout: u32,
    /// Pointers followed to come here.
    pub depth: u8,
}

/// Why memory that could not be read at the hit is missing still.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Absence {
    /// A readable mapping is there: the page was not in memory at the hit.
    NotResident,
    /// As before, and it did not arrive in time.
    TooLate,
    /// As before, and more than enough was read.
    LimitBytes,
    /// A mapping is there that may not be read.
    NoAccess,
    /// Nothing is mapped there.
    Unmapped,
}
