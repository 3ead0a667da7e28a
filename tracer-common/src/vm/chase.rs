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
    if object.nodes == Pending::LINKED {
        // What is left out here is told by the container itself.
        if state.nodes_left == 0 {
            return;
        }
        state.nodes_left = state.nodes_left.wrapping_sub(1);
    } else if object.nodes != 0 {
        state.nodes_left = object.nodes.wrapping_sub(1);
    }
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
    let is_taken = scratch.state.slots == 0 || slot_is_taken(scratch);
    let state = &mut scratch.state;
    let Some(edge) = machine.edge(state.edge_first.wrapping_add(state.edge)) else {
        state.phase = state.resume;
        return;
    };
    let element = state.element;
    state.edge = state.edge.wrapping_add(1);
    if state.edge >= state.edge_count || !is_taken {
        state.edge = 0;
        state.index = state.index.wrapping_add(1);
        state.element = state.element.wrapping_add(state.element_size);
        let more = state.element_size != 0
            && state.element < state.copied
            && (state.slots == 0 || state.index < state.slots);
        state.phase = if more { phase::EDGES } else { state.resume };
    }
    if is_taken && is_open(scratch, element, edge) {
        follow(scratch, site, element, edge);
    }
}

/// Whether the slot whose edges are followed has an element in it: the bytes that tell are behind
/// the slots.
#[inline(always)]
fn slot_is_taken(scratch: &Scratch) -> bool {
    let state = &scratch.state;
    let behind = state.slots.wrapping_sub(1).wrapping_sub(state.index);
    let at = state.slots.wrapping_mul(state.element_size).wrapping_add(behind);
    at < state.copied && {
        let base = state.item_at.wrapping_add(ITEM_HEADER);
        get_u64(&scratch.record, base.wrapping_add(at)) & 0x80 == 0
    }
}

/// Whether the guard of an edge lets it through.
#[inline(always)]
fn is_open(scratch: &Scratch, element: u32, edge: &Edge) -> bool {
    if edge.guard == Edge::NONE {
        return true;
    }
    let size = if edge.guard_size < 8 { edge.guard_size } else { 8 };
    let Some(value) = field(scratch, element, edge.guard, size) else { return false };
    let value = value & (u64::MAX >> ((64 - size * 8) & 63));
    let inside = value.wrapping_sub(edge.guard_low) <= edge.guard_span as u64;
    inside == (edge.flags & Edge::UNLESS == 0)
}

/// Queues what is behind the pointer of an edge.
#[inline(always)]
fn follow(scratch: &mut Scratch, site: &Site, element: u32, edge: &Edge) {
    let Some(pointer) = field(scratch, element, edge.offset, 8) else { return };
    if pointer == 0 {
        return;
    }
    let mut length = edge.plus as u64;
    if edge.count_to != Edge::NONE {
        let Some(mut to) = field(scratch, element, edge.count_to, 8) else { return };
        if edge.count_from != Edge::NONE {
            let Some(from) = field(scratch, element, edge.count_from, 8) else { return };
            to = if from < to { to.wrapping_sub(from) } else { 0 };
        }
        if edge.divisor > 1 {
            to /= edge.divisor as u64;
        }
        // Where it overflows, it is no number of elements.
        length = if to > u32::MAX as u64 { to } else { to.wrapping_add(length) };
    }
    let mut address = pointer;
    if edge.first != Edge::NONE {
        let Some(first) = field(scratch, element, edge.first, 8) else { return };
        address = address.wrapping_add(first.wrapping_mul(edge.factor as u64));
    }
    let state = &scratch.state;
    let count = if length < edge.most as u64 { length as u32 } else { edge.most };
    let inside = address.wrapping_sub(state.address);
    if edge.flags & Edge::BYTES != 0
        && inside <= state.copied as u64
        && inside.wrapping_add(count as u64) <= state.copied as u64
    {
        // A short text in the object itself.
        return;
    }
    let level = edge.flags & (Edge::LINK | Edge::LEVEL) != 0;
    let depth = state.depth.wrapping_add(if level { 0 } else { 1 });
    let layout = edge.target;
    let mut object = Pending { address, layout, count, depth, nodes: 0 };
    if edge.flags & Edge::LINK != 0 {
        object.nodes = Pending::LINKED;
    } else if edge.flags & Edge::NODES != 0 {
        object.count = if count == 0 { 0 } else { 1 };
        object.nodes = count;
    } else if edge.flags & Edge::SLOTS != 0 {
        object.layout = layout | Pending::SLOTS;
    }
    enqueue(scratch, site, object);
}

/// A field of the object that was copied last, if it was copied so far; its low `size` bytes count.
#[inline(always)]
fn field(scratch: &Scratch, element: u32, offset: u32, size: u32) -> Option<u64> {
    let state = &scratch.state;
    let end = element as u64 + offset as u64 + size as u64;
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

/// Queues an object, unless it was queued before.
#[inline(always)]
pub(super) fn enqueue(scratch: &mut Scratch, site: &Site, object: Pending) {
    if object.address == 0 || object.count == 0 {
        return;
    }
    if object.depth > site.depth_max {
        scratch.state.flags |= flags::LIMIT_DEPTH as u32;
        return;
    }
    let generation = scratch.state.generation;
    let what = object.layout as u64 | (object.count as u64) << 32;
    if seen(&mut scratch.visited, object.address, what, generation) {
        return;
    }
    let state = &mut scratch.state;
    if state.queued >= site.nodes_max || state.queued >= QUEUE_LENGTH {
        state.flags |= flags::LIMIT_NODES as u32;
        return;
    }
    state.queued = state.queued.wrapping_add(1);
    let mut at = state.queue_tail;
    if object.nodes == Pending::LINKED {
        // The nodes of a container come one behind another, in front of what they point to.
        at = state.queue_head.wrapping_sub(1);
        state.queue_head = at;
    } else {
        state.queue_tail = at.wrapping_add(1);
    }
    scratch.queue[(at & QUEUE_MASK) as usize] = object;
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
