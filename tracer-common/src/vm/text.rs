//! NUL-terminated strings: copied up to the limit, then looked through for their real length.

use super::{RECORD_MASK, finish, min, page_left, phase};
use crate::limits::TEXT_SCAN_BYTES;
use crate::machine::{Machine, RecordBytes};
use crate::maps::Scratch;
use crate::status::{Status, flags};

/// Copies the next chunk of a string.
#[inline(always)]
pub(super) fn text<M: Machine>(scratch: &mut Scratch, machine: &mut M) {
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
pub(super) fn scan<M: Machine>(scratch: &mut Scratch, machine: &mut M) {
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
