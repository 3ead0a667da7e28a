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

use crate::code::{self, Code, Edge, Op, TEXT};
use crate::limits::{
    CHUNK_BYTES, QUEUE_LENGTH, RECORD_BYTES, RED_ZONE_BYTES, STACK_DEPTH, TEXT_SCAN_BYTES,
    VISITED_LENGTH, VISITED_TRIES,
};
use crate::machine::{Machine, RecordBytes};
use crate::maps::{Pending, Scratch, Site, State, Visited};
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
    state.items = 0;
    state.flags = 0;
    state.generation = generation;
    state.at = RECORD_HEADER;
    state.end = RECORD_END;
    state.resume = phase::ROOTS;
    state.edge_count = 0;
    let object =
        Pending { address: stack_pointer.wrapping_sub(RED_ZONE_BYTES), ..Pending::default() };
    let want = site.stack_bytes as u64 + RED_ZONE_BYTES;
    begin(state, object, ItemKind::Stack, want);
}

/// Does one step. True when the plan is done; then the record is complete up to `state.at`.
#[inline(always)]
pub fn step<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M) -> bool {
    match scratch.state.phase {
        phase::ROOTS => root(scratch, site, machine),
        phase::COPY => copy(scratch, site, machine),
        phase::EDGES => edges(scratch, site, machine),
        phase::CHASE => chase(scratch, site, machine),
        phase::TEXT => text(scratch, machine),
        phase::SCAN => scan(scratch, machine),
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

/// One operation of the roots.
#[inline(always)]
fn root<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M) {
    let Some(op) = machine.op(scratch.state.op) else {
        scratch.state.phase = phase::DONE;
        return;
    };
    scratch.state.op = scratch.state.op.wrapping_add(1);
    let code = op.code;
    if code == Code::End as u8 {
        scratch.state.resume = phase::CHASE;
        scratch.state.phase = phase::CHASE;
    } else if code == Code::Root as u8 {
        scratch.state.root_end = scratch.state.op.wrapping_add(op.layout);
        scratch.state.stack_used = 0;
    } else if code == Code::Deref as u8 {
        deref(scratch, machine, op.arg);
    } else if code == Code::Copy as u8 {
        let address = pop(&mut scratch.state);
        let count = op.imm as u32;
        let object = Pending { address, layout: op.layout, count, depth: 0, reserved: 0 };
        begin_object(scratch, machine, object);
    } else if code == Code::Chase as u8 {
        let address = pop(&mut scratch.state);
        let count = min(op.imm as u32, site.items_max);
        enqueue(scratch, site, address, op.layout, count, 1);
    } else if code == Code::ChaseSlice as u8 {
        let length = pop(&mut scratch.state);
        let address = pop(&mut scratch.state);
        let count = clamp(length, site, op.imm == 1);
        enqueue(scratch, site, address, op.layout, count, 1);
    } else if code == Code::ChaseText as u8 {
        let address = pop(&mut scratch.state);
        enqueue(scratch, site, address, TEXT, 1, 1);
    } else {
        expression(scratch, machine, op);
    }
}

/// One expression operation other than [`Code::Deref`].
#[inline(always)]
fn expression<M: Machine>(scratch: &mut Scratch, machine: &M, op: Op) {
    let state = &mut scratch.state;
    let code = op.code;
    if code == Code::Const as u8 {
        push(state, op.imm);
    } else if code == Code::Register as u8 {
        let value = machine.register(&scratch.record, op.arg);
        push(state, value.wrapping_add(op.imm));
    } else if code == Code::Pick as u8 {
        let index = state.stack_used.wrapping_sub(1).wrapping_sub(op.arg as u32);
        let value = state.stack[(index & STACK_MASK) as usize];
        push(state, value);
    } else if code == Code::Drop as u8 {
        pop(state);
    } else if code == Code::Swap as u8 {
        let top = pop(state);
        let below = pop(state);
        push(state, top);
        push(state, below);
    } else if code == Code::AddConst as u8 {
        let top = pop(state);
        push(state, top.wrapping_add(op.imm));
    } else if code == Code::Neg as u8 {
        let top = pop(state);
        push(state, top.wrapping_neg());
    } else if code == Code::Not as u8 {
        let top = pop(state);
        push(state, !top);
    } else {
        let b = pop(state);
        let a = pop(state);
        match code::binary(code, a, b) {
            Some(value) => push(state, value),
            None => state.phase = phase::DONE,
        }
    }
}

/// Replaces the address on the stack by what is there, and puts the bytes into the record.
#[inline(always)]
fn deref<M: Machine>(scratch: &mut Scratch, machine: &mut M, size: u8) {
    let state = &mut scratch.state;
    if state.end.wrapping_sub(state.at) < ITEM_HEADER + 8 || state.at > state.end {
        state.flags |= flags::LIMIT_BYTES as u32;
        state.phase = phase::DONE;
        return;
    }
    let address = pop(state);
    let size = if size > 8 { 8 } else { size as u32 };
    state.item_at = state.at;
    state.at = state.at.wrapping_add(ITEM_HEADER);
    state.address = address;
    state.want = size as u64;
    state.layout = 0;
    state.depth = 0;
    state.kind = ItemKind::Deref as u32;
    state.edge_count = 0;
    put_u64(&mut scratch.record, state.at, 0);
    let read = machine.read(&mut scratch.record, state.at, size, address);
    if read {
        state.copied = size;
        let value = get_u64(&scratch.record, state.at);
        push(state, value);
        state.at = state.at.wrapping_add(size);
        finish(scratch, Status::Read);
    } else {
        state.copied = 0;
        state.flags |= flags::ROOT_FAULT as u32;
        state.op = state.root_end;
        finish(scratch, Status::Fault);
    }
    scratch.state.phase = phase::ROOTS;
}

/// Takes the next object from the queue.
#[inline(always)]
fn chase<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &M) {
    let state = &mut scratch.state;
    if state.queue_head == state.queue_tail {
        state.phase = phase::DONE;
        return;
    }
    let object = scratch.queue[(state.queue_head & QUEUE_MASK) as usize];
    state.queue_head = state.queue_head.wrapping_add(1);
    if object.layout == TEXT {
        state.edge_count = 0;
        begin(state, object, ItemKind::Text, site.text_max as u64);
    } else {
        begin_object(scratch, machine, object);
    }
}

#[inline(always)]
fn begin_object<M: Machine>(scratch: &mut Scratch, machine: &M, object: Pending) {
    let state = &mut scratch.state;
    let Some(layout) = machine.layout(object.layout) else {
        state.phase = phase::DONE;
        return;
    };
    state.element_size = layout.size;
    state.edge_first = layout.edge_first;
    state.edge_count = layout.edge_count;
    begin(state, object, ItemKind::Object, layout.size as u64 * object.count as u64);
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
    state.layout = object.layout;
    state.depth = object.depth;
    state.kind = kind as u32;
    state.phase = if kind as u32 == ItemKind::Text as u32 { phase::TEXT } else { phase::COPY };
}

/// Copies the next chunk of an object.
#[inline(always)]
fn copy<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M) {
    let state = &mut scratch.state;
    let remaining = state.allowed.wrapping_sub(state.copied);
    if remaining == 0 {
        let whole = state.want == state.copied as u64;
        if !whole {
            state.flags |= flags::LIMIT_BYTES as u32;
        }
        finish(scratch, if whole { Status::Read } else { Status::LimitBytes });
    } else {
        let address = state.address.wrapping_add(state.copied as u64);
        let length = min(remaining, page_left(address));
        if machine.read(&mut scratch.record, state.at, length, address) {
            state.at = state.at.wrapping_add(length);
            state.copied = state.copied.wrapping_add(length);
            return;
        }
        if state.kind == ItemKind::Stack as u32 {
            skip_stack_page(scratch);
        } else {
            finish(scratch, Status::Fault);
        }
    }
    let state = &mut scratch.state;
    if state.kind == ItemKind::Stack as u32 && state.phase != phase::COPY {
        // The byte limit is for what comes behind the stack.
        state.end = min(state.at.wrapping_add(site.bytes_max), RECORD_END);
    }
}

/// Goes on behind a page of the stack that is not there: a red zone or a large array that was
/// never touched must not hide the callers above it. What was copied so far is an item.
#[inline(always)]
fn skip_stack_page(scratch: &mut Scratch) {
    let state = &mut scratch.state;
    let missing = page_left(state.address.wrapping_add(state.copied as u64));
    let skipped = state.copied.wrapping_add(missing);
    if skipped >= state.allowed {
        finish(scratch, Status::Fault);
        return;
    }
    let object =
        Pending { address: state.address.wrapping_add(skipped as u64), ..Pending::default() };
    let rest = (state.allowed - skipped) as u64;
    if state.copied == 0 {
        // Nothing to tell: the item starts behind the page.
        state.address = object.address;
        state.want = rest;
        state.allowed = rest as u32;
        return;
    }
    finish(scratch, Status::Fault);
    begin(&mut scratch.state, object, ItemKind::Stack, rest);
}

/// Copies the next chunk of a string.
#[inline(always)]
fn text<M: Machine>(scratch: &mut Scratch, machine: &mut M) {
    let state = &mut scratch.state;
    let remaining = state.allowed.wrapping_sub(state.copied);
    if remaining == 0 {
        if (state.allowed as u64) < state.want {
            state.flags |= flags::LIMIT_BYTES as u32;
            finish(scratch, Status::LimitBytes);
        } else {
            state.phase = phase::SCAN;
        }
        return;
    }
    let address = state.address.wrapping_add(state.copied as u64);
    let length = min(remaining, page_left(address));
    let chunk = text_chunk(&mut scratch.record, machine, state.at, length, address);
    state.at = state.at.wrapping_add(chunk.length);
    state.copied = state.copied.wrapping_add(chunk.length);
    if chunk.end == ChunkEnd::Nul {
        state.want = state.copied as u64;
        finish(scratch, Status::Read);
    } else if chunk.end == ChunkEnd::Fault {
        finish(scratch, Status::Fault);
    }
}

/// Looks for the end of a string whose copy is cut, to tell its real length.
#[inline(always)]
fn scan<M: Machine>(scratch: &mut Scratch, machine: &mut M) {
    let state = &mut scratch.state;
    let seen = state.copied as u64 + state.scanned as u64;
    let address = state.address.wrapping_add(seen);
    let length = page_left(address);
    // The chunk lands behind the item's end, where the next item will overwrite it.
    let chunk = if state.scanned < TEXT_SCAN_BYTES {
        text_chunk(&mut scratch.record, machine, state.at, length, address)
    } else {
        Chunk { length: 0, end: ChunkEnd::Fault }
    };
    state.scanned = state.scanned.wrapping_add(chunk.length);
    state.want = seen + chunk.length as u64;
    if chunk.end == ChunkEnd::Nul {
        // The NUL right behind the copied bytes: nothing is cut.
        let cut = state.want > state.copied as u64;
        finish(scratch, if cut { Status::LimitText } else { Status::Read });
    } else if chunk.end == ChunkEnd::Fault {
        finish(scratch, Status::LimitTextAtLeast);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum ChunkEnd {
    Open,
    Nul,
    Fault,
}

#[derive(Clone, Copy)]
struct Chunk {
    /// Bytes of the string, without NUL.
    length: u32,
    end: ChunkEnd,
}

/// Reads up to `length` bytes of a string, never one behind them: those may be on another page.
#[inline(always)]
fn text_chunk<M: Machine>(
    record: &mut RecordBytes,
    machine: &mut M,
    at: u32,
    length: u32,
    address: u64,
) -> Chunk {
    let Some(read) = machine.read_text(record, at, length, address) else {
        return Chunk { length: 0, end: ChunkEnd::Fault };
    };
    if read < length {
        return Chunk { length: read.wrapping_sub(1), end: ChunkEnd::Nul };
    }
    // The last byte was overwritten by the helper's own NUL; fetch the real one.
    let last = length.wrapping_sub(1);
    let last_at = at.wrapping_add(last);
    if !machine.read(record, last_at, 1, address.wrapping_add(last as u64)) {
        return Chunk { length: last, end: ChunkEnd::Fault };
    }
    if record[(last_at & RECORD_MASK) as usize] == 0 {
        Chunk { length: last, end: ChunkEnd::Nul }
    } else {
        Chunk { length, end: ChunkEnd::Open }
    }
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
    state.edge = 0;
    let follow = state.edge_count != 0 && state.copied >= 8;
    state.phase = if follow { phase::EDGES } else { state.resume };
}

/// Follows the next edge of the object that was copied last.
#[inline(always)]
fn edges<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &M) {
    let state = &mut scratch.state;
    let Some(edge) = machine.edge(state.edge_first.wrapping_add(state.edge)) else {
        state.phase = state.resume;
        return;
    };
    let element = state.element;
    state.edge = state.edge.wrapping_add(1);
    if state.edge >= state.edge_count {
        state.edge = 0;
        state.element = state.element.wrapping_add(state.element_size);
        let more = state.element_size != 0 && state.element < state.copied;
        state.phase = if more { phase::EDGES } else { state.resume };
    }
    let depth = state.depth.wrapping_add(1);
    let Some(pointer) = field(scratch, element, edge.offset) else { return };
    let count = if edge.length_offset == Edge::FIXED {
        edge.count
    } else {
        let length = field(scratch, element, edge.length_offset).unwrap_or(0);
        clamp(length, site, edge.count == 1)
    };
    enqueue(scratch, site, pointer, edge.target, count, depth);
}

/// An 8-byte field of the object that was copied last, if it was copied so far.
#[inline(always)]
fn field(scratch: &Scratch, element: u32, offset: u32) -> Option<u64> {
    let state = &scratch.state;
    let end = element as u64 + offset as u64 + 8;
    if end > state.copied as u64 {
        return None;
    }
    let base = state.item_at.wrapping_add(ITEM_HEADER);
    Some(get_u64(&scratch.record, base.wrapping_add(element).wrapping_add(offset)))
}

/// The number of elements of a slice that are copied.
#[inline(always)]
fn clamp(length: u64, site: &Site, text: bool) -> u32 {
    let most = if text { site.text_max } else { site.items_max };
    if length > most as u64 { most } else { length as u32 }
}

/// Queues `count` elements behind a pointer, unless they were queued before.
#[inline(always)]
fn enqueue(scratch: &mut Scratch, site: &Site, address: u64, layout: u32, count: u32, depth: u32) {
    if address == 0 || count == 0 {
        return;
    }
    if depth > site.depth_max {
        scratch.state.flags |= flags::LIMIT_DEPTH as u32;
        return;
    }
    let generation = scratch.state.generation;
    let what = layout as u64 | (count as u64) << 32;
    if seen(&mut scratch.visited, address, what, generation) {
        return;
    }
    let state = &mut scratch.state;
    if state.queue_tail >= site.nodes_max || state.queue_tail >= QUEUE_LENGTH {
        state.flags |= flags::LIMIT_NODES as u32;
        return;
    }
    let slot = &mut scratch.queue[(state.queue_tail & QUEUE_MASK) as usize];
    *slot = Pending { address, layout, count, depth, reserved: 0 };
    state.queue_tail = state.queue_tail.wrapping_add(1);
}

/// Whether the object is in the visited set; puts it there otherwise. Where its few slots are
/// taken it counts as new: copied twice at worst, and the queue is bounded.
#[inline(always)]
fn seen(visited: &mut [Visited], address: u64, what: u64, generation: u64) -> bool {
    // Fibonacci hashing: the high bits of the product depend on all bits of the key.
    let hash = (address ^ what.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let mut tries = 0;
    while tries < VISITED_TRIES {
        let index = (hash.wrapping_add(tries as u64)) & VISITED_MASK;
        let Some(slot) = visited.get_mut(index as usize) else { return false };
        if slot.generation != generation {
            *slot = Visited { address, what, generation };
            return false;
        }
        if slot.address == address && slot.what == what {
            return true;
        }
        tries += 1;
    }
    false
}

#[inline(always)]
fn push(state: &mut State, value: u64) {
    state.stack[(state.stack_used & STACK_MASK) as usize] = value;
    state.stack_used = state.stack_used.wrapping_add(1);
}

/// The top of the stack. An empty stack gives what lies there: plans never pop it, and a wrong
/// address can only fail to be read.
#[inline(always)]
fn pop(state: &mut State) -> u64 {
    state.stack_used = state.stack_used.wrapping_sub(1);
    state.stack[(state.stack_used & STACK_MASK) as usize]
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
