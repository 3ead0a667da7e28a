//! The registers of the function's entry, if the record has those of the very call that was hit.

use super::registers::Registers;
use super::unwind::PhysicalFrame;
use crate::model::capture::How;
use crate::model::record::Record;
use crate::model::resolved::Site;
use tracer_common::wire::{ENTRY_REGISTERS, ItemKind};

type Kept = [u64; ENTRY_REGISTERS];

/// What was kept at the entry of the site's function for the frame that was hit. `caller` is the
/// frame around it.
///
/// The kernel program gives what the last call kept that had this frame. A program that copies its
/// stacks away and back has several calls with one frame; what the caller has in its registers tells
/// most of them apart.
pub(super) fn kept(record: &Record, site: &Site, caller: Option<&PhysicalFrame>) -> Option<Kept> {
    let entry = site.entry.as_ref()?;
    let item = record.items.iter().find(|item| item.kind == ItemKind::Entry)?;
    let words = item.bytes.chunks_exact(8).map(word);
    let kept: Kept = words.collect::<Vec<_>>().try_into().ok()?;
    let is_same = |registers: &Registers| {
        let differs = |number: usize| {
            entry.untouched & 1 << number != 0
                && registers.get(number).is_some_and(|value| Some(&value) != kept.get(number))
        };
        !(0..ENTRY_REGISTERS).any(differs)
    };
    let is_known = |frame: &&PhysicalFrame| frame.how == How::Cfi;
    caller.filter(is_known).is_none_or(|frame| is_same(&frame.registers)).then_some(kept)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}
