//! The registers of a frame; for callers some are not known.

use tracer_common::wire::{REGISTERS, RIP, RSP};

/// Register values by their number in a record ([`tracer_common::wire`]); `None` is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Registers([Option<u64>; REGISTERS]);

impl Registers {
    /// All known, as the kernel saved them.
    pub(super) fn known(values: &[u64; REGISTERS]) -> Self {
        Self(values.map(Some))
    }

    /// None known.
    pub(super) fn unknown() -> Self {
        Self([None; REGISTERS])
    }

    /// The value of a register; `None` also for a number that a record does not have.
    pub(super) fn get(&self, number: usize) -> Option<u64> {
        self.0.get(number).copied().flatten()
    }

    /// Changes a register; numbers that a record does not have are left out.
    pub(super) fn set(&mut self, number: usize, value: Option<u64>) {
        if let Some(slot) = self.0.get_mut(number) {
            *slot = value;
        }
    }

    /// The stack pointer.
    pub(super) fn sp(&self) -> Option<u64> {
        self.get(RSP)
    }

    /// The instruction pointer.
    pub(super) fn pc(&self) -> Option<u64> {
        self.get(RIP)
    }
}
