//! The registers of threads that entered a function, for the probe that is further inside of it.
//!
//! Each frame has one place in the map. Whoever enters writes there whatever becomes of the probe
//! meanwhile, so what is there for a frame is of the last call that had this frame, or of no call
//! with it. Nothing is waited for: who finds the place being written knows that it is another
//! frame's from now on.

use crate::maps::ENTRIES;
use crate::{atomic, task};
use aya_ebpf::bindings::pt_regs;
use core::ptr::{read_volatile, write_volatile};
use tracer_common::limits::RECORD_BYTES;
use tracer_common::machine::RecordBytes;
use tracer_common::maps::{Entry, Site};
use tracer_common::wire::ENTRY_REGISTERS;

/// A thread enters the function of a site.
#[inline(always)]
pub(crate) fn enter(site: &Site, r: &pt_regs) {
    if task::pid() != site.pid || r.rip != site.pc || !task::started_at(site.start_ticks) {
        return;
    }
    let frame = r.rsp.wrapping_add(u64::from(site.frame_offset));
    let Some(entry) = ENTRIES.get_ptr_mut(Entry::index(site.entry_key, frame)) else { return };
    // SAFETY: the pointer is to a map value, whose words are read and written whole.
    unsafe {
        let seal = read_volatile(&raw const (*entry).seal);
        let opened = seal.wrapping_add(1);
        if seal & 1 != 0 || !atomic::replace(&raw mut (*entry).seal, seal, opened) {
            return;
        }
        write_volatile(&raw mut (*entry).key, site.entry_key);
        write_volatile(&raw mut (*entry).frame, frame);
        let registers = [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15,
        ];
        let mut i = 0;
        while i < ENTRY_REGISTERS {
            write_volatile(&raw mut (*entry).registers[i], registers[i]);
            i += 1;
        }
        atomic::set(&raw mut (*entry).seal, opened.wrapping_add(1));
    }
}

/// Copies what is kept for a frame to `at`; false if nothing is.
#[inline(always)]
pub(crate) fn find(record: &mut RecordBytes, at: u32, key: u64, frame: u64) -> bool {
    let Some(entry) = ENTRIES.get_ptr_mut(Entry::index(key, frame)) else { return false };
    let at = (at & (RECORD_BYTES - 1)) as usize;
    // SAFETY: as in `enter`.
    unsafe {
        let seal = read_volatile(&raw const (*entry).seal);
        let is_here = read_volatile(&raw const (*entry).key) == key
            && read_volatile(&raw const (*entry).frame) == frame;
        if key == 0 || seal & 1 != 0 || !is_here {
            return false;
        }
        let mut i = 0;
        while i < ENTRY_REGISTERS {
            let word = read_volatile(&raw const (*entry).registers[i]);
            record[at + i * 8..at + i * 8 + 8].copy_from_slice(&word.to_le_bytes());
            i += 1;
        }
        // What was read is whole if nobody has begun to write since.
        atomic::add(&raw mut (*entry).seal, 0) == seal
    }
}
