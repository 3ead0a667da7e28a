//! The roots: where each variable is, worked out operation by operation.

use super::chase::{clamp, enqueue};
use super::entry;
use super::{STACK_MASK, begin_item, begin_object, finish, get_u64, min, phase, put_u64};
use crate::code::{self, Code, Op, TEXT};
use crate::machine::Machine;
use crate::maps::{Pending, Scratch, Site, State};
use crate::status::{Status, flags};
use crate::wire::ItemKind;

/// One operation of the roots.
#[inline(always)]
pub(super) fn root<M: Machine>(scratch: &mut Scratch, site: &Site, machine: &mut M) {
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
        let object = Pending { address, layout: op.layout, count, depth: 0, nodes: 0 };
        begin_object(scratch, machine, object);
    } else if code == Code::Chase as u8 {
        let address = pop(&mut scratch.state);
        let count = min(op.imm as u32, site.items_max);
        enqueue(scratch, site, first(address, op.layout, count));
    } else if code == Code::ChaseSlice as u8 {
        let length = pop(&mut scratch.state);
        let address = pop(&mut scratch.state);
        let count = clamp(length, site, op.imm == 1);
        enqueue(scratch, site, first(address, op.layout, count));
    } else if code == Code::ChaseText as u8 {
        let address = pop(&mut scratch.state);
        enqueue(scratch, site, first(address, TEXT, 1));
    } else if code == Code::Entry as u8 {
        let frame = pop(&mut scratch.state);
        entry::entry(scratch, site, machine, frame);
    } else if code == Code::EntryRegister as u8 {
        match entry::register(scratch, op.arg) {
            Some(value) => push(&mut scratch.state, value.wrapping_add(op.imm)),
            None => scratch.state.op = scratch.state.root_end,
        }
    } else {
        expression(scratch, machine, op);
    }
}

/// What a pointer in a root points to.
#[inline(always)]
fn first(address: u64, layout: u32, count: u32) -> Pending {
    Pending { address, layout, count, depth: 1, nodes: 0 }
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
    let address = pop(&mut scratch.state);
    let size = if size > 8 { 8 } else { size as u32 };
    if !begin_item(&mut scratch.state, ItemKind::Deref, address, size) {
        return;
    }
    let state = &mut scratch.state;
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
