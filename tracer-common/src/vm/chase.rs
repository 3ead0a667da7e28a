//! The pointer chase: the queue, the edges of objects, and what was visited.

use super::{QUEUE_MASK, VISITED_MASK, begin, begin_object, get_u64, phase};
use crate::code::{Edge, TEXT};
use crate::limits::{QUEUE_LENGTH, VISITED_TRIES};
use crate::machine::Machine;
use crate::maps::{Pending, Scratch, Site, Visited};
use crate::status::flags;
use crate::wire::{ITEM_HEADER, ItemKind};

/// Takes the next object from the queue.
#[inline(always)]
pub(super) fn chase<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &M) {
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

/// Follows the next edge of the object that was copied last.
#[inline(always)]
pub(super) fn edges<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &M) {
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
pub(super) fn clamp(length: u64, site: &Site, text: bool) -> u32 {
    let most = if text { site.text_max } else { site.items_max };
    if length > most as u64 { most } else { length as u32 }
}

/// Queues `count` elements behind a pointer, unless they were queued before.
#[inline(always)]
pub(super) fn enqueue(
    scratch: &mut Scratch,
    site: &Site,
    address: u64,
    layout: u32,
    count: u32,
    depth: u32,
) {
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
