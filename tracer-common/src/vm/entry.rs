//! What the registers were when the function was entered, where a breakpoint there kept them.

use super::{begin_item, finish, get_u64, phase};
use crate::machine::Machine;
use crate::maps::{Scratch, Site};
use crate::status::Status;
use crate::wire::{ENTRY_REGISTERS, ItemKind};

const WORD: u32 = 8;
const BYTES: u32 = ENTRY_REGISTERS as u32 * WORD;

/// Puts what was kept for a frame into the record.
#[inline(always)]
pub(super) fn entry<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M, frame: u64) {
    if !begin_item(&mut scratch.state, ItemKind::Entry, frame, BYTES) {
        return;
    }
    let at = scratch.state.at;
    if machine.entry(&mut scratch.record, at, site.entry_key, frame) {
        scratch.state.entry_at = at;
        scratch.state.copied = BYTES;
        scratch.state.at = at.wrapping_add(BYTES);
    }
    finish(scratch, Status::Read);
    scratch.state.phase = phase::ROOTS;
}

/// A register as it was then; `None` where nothing was kept.
#[inline(always)]
pub(super) fn register(scratch: &Scratch, number: u8) -> Option<u64> {
    let at = scratch.state.entry_at;
    if at == 0 || number as usize >= ENTRY_REGISTERS {
        return None;
    }
    Some(get_u64(&scratch.record, at.wrapping_add(number as u32 * WORD)))
}
