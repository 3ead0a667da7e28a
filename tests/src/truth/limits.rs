//! How far both views look.

use serde_json::{Value, json};
use tracer_core::model::limits::Limits;

/// Pointers followed in a row.
pub const DEPTH: u32 = 3;
/// Elements of an array or slice.
pub const ITEMS: u32 = 10;
/// Bytes of a string.
pub const TEXT_BYTES: u32 = 64;
/// Frames of the stack, inlined ones not counted.
pub const STACK_FRAMES: u32 = 8;
/// Leaves of one hit that gdb looks at.
const LEAVES: u32 = 30_000;

/// The limits for tracer: nothing else shall keep it from what gdb shows.
pub const TRACER: Limits = Limits {
    bytes_max: Limits::CEILING.bytes_max,
    text_bytes_max: TEXT_BYTES,
    items_max: ITEMS,
    depth_max: DEPTH,
    nodes_max: Limits::CEILING.nodes_max,
    ..Limits::DEFAULT
};

/// The limits for gdb.
pub fn gdb() -> Value {
    json!({
        "depth": DEPTH,
        "items": ITEMS,
        "text": TEXT_BYTES,
        "frames": STACK_FRAMES,
        "leaves": LEAVES,
    })
}
