//! How much one capture may copy; what the user can raise.

use serde::{Deserialize, Serialize};
use tracer_common::limits::{CHUNK_BYTES, RECORD_BYTES, RED_ZONE_BYTES};
use tracer_common::wire::{ITEM_HEADER, RECORD_HEADER};

/// Limits of a capture. The defaults are those of the threat model: 64 KiB, 1000 objects,
/// depth 5, strings of 1024 bytes, 100 elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of stack copied from the stack pointer upwards.
    pub stack_bytes: u32,
    /// Bytes of objects and strings.
    pub bytes_max: u32,
    /// Bytes of a string.
    pub text_bytes_max: u32,
    /// Elements of a slice or array.
    pub items_max: u32,
    /// Pointers followed in a row.
    pub depth_max: u32,
    /// Objects behind pointers.
    pub nodes_max: u32,
    /// Variables at file scope of the code's unit that are shown too.
    pub globals_max: u32,
}

impl Limits {
    /// What an operator gets who asks for nothing.
    pub const DEFAULT: Self = Self {
        stack_bytes: 16 * 1024,
        bytes_max: 64 * 1024,
        text_bytes_max: 1024,
        items_max: 100,
        depth_max: 5,
        nodes_max: 1000,
        globals_max: 0,
    };
    /// What can be asked for at most; bounded by the kernel program's record, see below.
    pub const CEILING: Self = Self {
        stack_bytes: 64 * 1024,
        bytes_max: 160 * 1024,
        text_bytes_max: 64 * 1024,
        items_max: 10_000,
        depth_max: 64,
        nodes_max: 1000,
        globals_max: 1000,
    };

    /// Bytes of the largest record that a capture within these limits makes.
    pub const fn record_bytes_max(&self) -> u32 {
        let stack = match self.stack_bytes {
            0 => 0,
            bytes => bytes + RED_ZONE_BYTES as u32,
        };
        RECORD_HEADER + ITEM_HEADER + stack + self.bytes_max
    }
}

/// A record of the largest capture, with the header and a chunk that is looked through for the end
/// of a string, stays inside the record's space: offsets there are masked and never wrap.
const _: () = {
    let largest = Limits::CEILING.record_bytes_max() + CHUNK_BYTES;
    assert!(largest + 64 < RECORD_BYTES);
};
