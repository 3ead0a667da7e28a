//! Objects and the stack, a chunk a step.

use super::{RECORD_END, begin, finish, min, page_left, phase};
use crate::machine::Machine;
use crate::maps::{Pending, Scratch, Site};
use crate::status::{Status, flags};
use crate::wire::ItemKind;

/// Copies the next chunk of an object.
#[inline(always)]
pub(super) fn copy<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M) {
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
