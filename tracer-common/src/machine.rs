//! The only things that the interpreter knows of the world.

use crate::code::{Edge, Layout, Op};
use crate::limits::{RECORD_BYTES, RECORD_SLACK};

/// The bytes of a record, with the slack behind them.
pub type RecordBytes = [u8; (RECORD_BYTES + RECORD_SLACK) as usize];

/// What the kernel program does with BPF helpers and a test with a memory image.
pub trait Machine {
    /// The value of a DWARF register at the hit; 0 for a number that a record does not have.
    fn register(&self, record: &RecordBytes, number: u8) -> u64;
    /// Copies `length` bytes (at most a chunk) from `address` to `at`; false if any can't be read.
    fn read(&mut self, record: &mut RecordBytes, at: u32, length: u32, address: u64) -> bool;
    /// Copies a string of at most `length` bytes, NUL included (the last byte is always set to
    /// NUL), and gives the bytes copied, NUL included; `None` if one can't be read.
    fn read_text(
        &mut self,
        record: &mut RecordBytes,
        at: u32,
        length: u32,
        address: u64,
    ) -> Option<u32>;
    /// Copies the [`crate::wire::ENTRY_REGISTERS`] that were kept for this frame to `at`; false if
    /// none are.
    fn entry(&mut self, record: &mut RecordBytes, at: u32, key: u64, frame: u64) -> bool;
    /// An operation of the plan.
    fn op(&self, index: u32) -> Option<Op>;
    /// A layout of the plan.
    fn layout(&self, index: u32) -> Option<Layout>;
    /// An edge of a layout.
    fn edge(&self, index: u32) -> Option<&Edge>;
}
