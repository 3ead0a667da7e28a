//! The registers of a frame; for callers some are not known.

use tracer_common::wire::{ENTRY_REGISTERS, REGISTERS, RIP, RSP};

/// Register values by their number in a record ([`tracer_common::wire`]); `None` is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Registers {
    now: [Option<u64>; REGISTERS],
    /// Those of the function's entry, where they were kept.
    entry: Option<[u64; ENTRY_REGISTERS]>,
}

impl Registers {
    /// All known, as the kernel saved them.
    pub(super) fn known(values: &[u64; REGISTERS]) -> Self {
        Self { now: values.map(Some), entry: None }
    }

    /// None known.
    pub(super) fn unknown() -> Self {
        Self { now: [None; REGISTERS], entry: None }
    }

    /// The value of a register; `None` also for a number that a record does not have.
    pub(super) fn get(&self, number: usize) -> Option<u64> {
        self.now.get(number).copied().flatten()
    }

    /// Changes a register; numbers that a record does not have are left out.
    pub(super) fn set(&mut self, number: usize, value: Option<u64>) {
        if let Some(slot) = self.now.get_mut(number) {
            *slot = value;
        }
    }

    /// The value of a register when the function was entered.
    pub(super) fn at_entry(&self, number: usize) -> Option<u64> {
        self.entry.as_ref()?.get(number).copied()
    }

    /// Notes the registers of the function's entry.
    pub(super) fn set_entry(&mut self, entry: Option<[u64; ENTRY_REGISTERS]>) {
        self.entry = entry;
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
