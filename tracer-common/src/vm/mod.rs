//! The capture interpreter: runs a plan one small step at a time.
//!
//! The kernel calls [`step`] from its one bounded loop; each call does one operation, copies one
//! chunk or follows one edge, so that the verifier sees a short straight program and the cost of a
//! hit is the number of steps. Inner loops are the same phase stepped again.
//!
//! ```text
//!             ┌──────────── resume ────────────┐
//!             ▼                                │
//! stack ─▶ ROOTS ──copy──▶ COPY ──▶ EDGES ─────┤
//!             │end                             │
//!             ▼                                │
//!           CHASE ──object──▶ COPY, EDGES ─────┤
//!             │    ──string──▶ TEXT, SCAN ─────┘
//!             ▼ queue empty, or no room
//!           DONE
//! ```

mod chase;
mod copy;
mod entry;
mod roots;
mod text;

use crate::limits::{
    CHUNK_BYTES, QUEUE_LENGTH, RECORD_BYTES, RED_ZONE_BYTES, STACK_DEPTH, VISITED_LENGTH,
};
use crate::machine::{Machine, RecordBytes};
use crate::maps::{Pending, Scratch, Site, State};
use crate::status::{Status, flags};
use crate::wire::{ITEM_HEADER, ItemHeader, ItemKind, RECORD_HEADER};
use core::mem::offset_of;

mod phase {
    pub(super) const ROOTS: u32 = 0;
    pub(super) const COPY: u32 = 1;
    pub(super) const EDGES: u32 = 2;
    pub(super) const CHASE: u32 = 3;
    pub(super) const TEXT: u32 = 4;
    pub(super) const SCAN: u32 = 5;
    pub(super) const DONE: u32 = 6;
}

/// A record ends here at the latest: below the mask, with room for the padding of an item.
const RECORD_END: u32 = RECORD_BYTES - 64;
const RECORD_MASK: u32 = RECORD_BYTES - 1;
const STACK_MASK: u32 = STACK_DEPTH - 1;
const QUEUE_MASK: u32 = QUEUE_LENGTH - 1;
const VISITED_MASK: u64 = VISITED_LENGTH as u64 - 1;

/// Prepares the scratch for a hit whose stack pointer is `stack_pointer`.
/// `generation` must differ from that of every earlier use of this scratch.
#[inline(always)]
pub fn start(scratch: &mut Scratch, site: &Site, stack_pointer: u64, generation: u64) {
    let state = &mut scratch.state;
    state.op = site.op_first;
    state.root_end = site.op_first;
    state.stack_used = 0;
    state.queue_head = 0;
    state.queue_tail = 0;
    state.queued = 0;
    state.nodes_left = 0;
    state.slots = 0;
    state.items = 0;
    state.flags = 0;
    state.generation = generation;
    state.at = RECORD_HEADER;
    state.end = RECORD_END;
    state.resume = phase::ROOTS;
    state.edge_count = 0;
    state.entry_at = 0;
    if site.stack_bytes == 0 {
        state.phase = phase::ROOTS;
        return;
    }
    let object =
        Pending { address: stack_pointer.wrapping_sub(RED_ZONE_BYTES), ..Pending::default() };
    let want = site.stack_bytes as u64 + RED_ZONE_BYTES;
    begin(state, object, ItemKind::Stack, want);
}

/// Does one step. True when the plan is done; then the record is complete up to `state.at`.
#[inline(always)]
pub fn step<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M) -> bool {
    match scratch.state.phase {
        phase::ROOTS => roots::root(scratch, site, machine),
        phase::COPY => copy::copy(scratch, site, machine),
        phase::EDGES => chase::edges(scratch, site, machine),
        phase::CHASE => chase::chase(scratch, site, machine),
        phase::TEXT => text::text(scratch, machine),
        phase::SCAN => text::scan(scratch, machine),
        _ => return true,
    }
    false
}

/// Ends a record whose steps ran out: an item that is not finished has no header yet.
#[inline(always)]
pub fn cut(state: &mut State) {
    state.flags |= flags::LIMIT_STEPS as u32;
    if matches!(state.phase, phase::COPY | phase::TEXT | phase::SCAN) {
        state.at = state.item_at;
    }
}

#[inline(always)]
fn begin_object<M: Machine>(scratch: &mut Scratch, machine: &M, object: Pending) {
    let state = &mut scratch.state;
    let mut object = object;
    let has_slots = object.layout & Pending::SLOTS != 0;
    object.layout &= !Pending::SLOTS;
    let Some(layout) = machine.layout(object.layout) else {
        state.phase = phase::DONE;
        return;
    };
    let mut want = layout.size as u64 * object.count as u64;
    if has_slots {
        object.address = object.address.wrapping_sub(want);
        want = want.wrapping_add(object.count as u64);
    }
    state.element_size = layout.size;
    state.edge_first = layout.edge_first;
    state.edge_count = layout.edge_count;
    begin(state, object, ItemKind::Object, want);
    state.slots = if has_slots { object.count } else { 0 };
}

/// Begins an item of `want` bytes.
#[inline(always)]
fn begin(state: &mut State, object: Pending, kind: ItemKind, want: u64) {
    if state.at > state.end || state.end - state.at < ITEM_HEADER + 8 {
        state.flags |= flags::LIMIT_BYTES as u32;
        state.phase = phase::DONE;
        return;
    }
    state.item_at = state.at;
    state.at += ITEM_HEADER;
    let room = (state.end - state.at) as u64;
    state.address = object.address;
    state.want = want;
    state.allowed = if want < room { want as u32 } else { room as u32 };
    state.copied = 0;
    state.scanned = 0;
    state.slots = 0;
    state.layout = object.layout;
    state.depth = object.depth;
    state.kind = kind as u32;
    state.phase = if kind as u32 == ItemKind::Text as u32 { phase::TEXT } else { phase::COPY };
}

/// Begins an item of at most `want` bytes that the root itself reads; false if there is no room.
#[inline(always)]
fn begin_item(state: &mut State, kind: ItemKind, address: u64, want: u32) -> bool {
    if state.at > state.end || state.end - state.at < ITEM_HEADER + want + 8 {
        state.flags |= flags::LIMIT_BYTES as u32;
        state.phase = phase::DONE;
        return false;
    }
    state.item_at = state.at;
    state.at += ITEM_HEADER;
    state.address = address;
    state.want = want as u64;
    state.copied = 0;
    state.layout = 0;
    state.depth = 0;
    state.kind = kind as u32;
    state.edge_count = 0;
    true
}

/// Closes the current item: padding, header, and where to go on.
#[inline(always)]
fn finish(scratch: &mut Scratch, status: Status) {
    let state = &mut scratch.state;
    put_u64(&mut scratch.record, state.at, 0);
    state.at = state.at.wrapping_add(7) & !7;
    let record = &mut scratch.record;
    let at = state.item_at;
    put_u64(record, at + offset_of!(ItemHeader, address) as u32, state.address);
    put_u64(record, at + offset_of!(ItemHeader, want) as u32, state.want);
    let size = state.copied as u64 | (state.layout as u64) << 32;
    put_u64(record, at + offset_of!(ItemHeader, copied) as u32, size);
    let what = status as u64 | (state.depth as u64 & 0xff) << 8 | (state.kind as u64 & 0xff) << 16;
    put_u64(record, at + offset_of!(ItemHeader, status) as u32, what);
    state.items = state.items.wrapping_add(1);
    state.element = 0;
    state.index = 0;
    state.edge = 0;
    let follow = state.edge_count != 0 && state.copied >= 8;
    state.phase = if follow { phase::EDGES } else { state.resume };
}

/// Bytes from `address` to the end of its page.
#[inline(always)]
fn page_left(address: u64) -> u32 {
    CHUNK_BYTES - (address as u32 & (CHUNK_BYTES - 1))
}

#[inline(always)]
fn min(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn put_u64(record: &mut RecordBytes, at: u32, value: u64) {
    let at = (at & RECORD_MASK) as usize;
    record[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[inline(always)]
fn get_u64(record: &RecordBytes, at: u32) -> u64 {
    let at = (at & RECORD_MASK) as usize;
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&record[at..at + 8]);
    u64::from_le_bytes(bytes)
}
