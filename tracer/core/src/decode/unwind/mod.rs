//! Registers and the copied stack → the physical frames: call frame information first, frame
//! pointers where there is none.

mod walk;
mod x86_64;

pub(super) use walk::walk;

use super::registers::Registers;
use crate::model::address::Avma;
use crate::model::capture::How;

/// A function's activation, inlined functions not expanded.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PhysicalFrame {
    /// Its registers, as far as they can be restored.
    pub(super) registers: Registers,
    /// Where it is; for a caller the return address.
    pub(super) pc: Avma,
    /// Where to look up what `pc` belongs to: for a caller inside the call instruction, for a
    /// call that never returns can be the last instruction of its function.
    pub(super) lookup: Avma,
    /// How it was found.
    pub(super) how: How,
}

#[cfg(test)]
mod tests;
