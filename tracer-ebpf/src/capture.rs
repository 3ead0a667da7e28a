//! Runs the interpreter over BPF helpers and sends the record.

use crate::gate::Pass;
use crate::maps::{EDGES, LAYOUTS, OPS, RINGS};
use crate::{counters, entries, pool, task};
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, pt_regs};
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_loop, bpf_probe_read_user, bpf_probe_read_user_str,
    bpf_ringbuf_output,
};
use aya_ebpf::programs::ProbeContext;
use core::ffi::c_void;
use core::mem::offset_of;
use tracer_common::code::{Edge, Layout, Op};
use tracer_common::limits::{CHUNK_BYTES, RECORD_BYTES, STEPS_MAX, WAKE_EVERY_NS};
use tracer_common::machine::{Machine, RecordBytes};
use tracer_common::maps::{Scratch, Site};
use tracer_common::outcome::Outcome;
use tracer_common::vm;
use tracer_common::wire::{MAGIC, REGISTERS, RSP, RecordHeader, VERSION};

/// What the loop's callback needs.
struct Run {
    scratch: *mut Scratch,
    site: *const Site,
}

/// Captures a hit that passed the gate.
#[inline(always)]
pub(crate) fn capture(
    ctx: &ProbeContext,
    index: u32,
    site: &Site,
    number: u64,
    pass: Pass,
) -> Outcome {
    let Some(slot) = pool::claim() else { return Outcome::LostNoScratch };
    // SAFETY: the slot is ours until it is released.
    let scratch = unsafe { &mut *slot };
    // SAFETY: the context of a uprobe program is the registers of the thread.
    let registers = unsafe { &*(ctx.as_ptr() as *const pt_regs) };
    save_registers(&mut scratch.record, registers);
    // Unlike the hit's number, the slot's own count differs for every use of the slot.
    let generation = scratch.state.generation.wrapping_add(1);
    vm::start(scratch, site, registers.rsp, generation);
    let mut run = Run { scratch: slot, site };
    // SAFETY: the callback gets the context that we pass, which outlives the call.
    let steps =
        unsafe { bpf_loop(STEPS_MAX, step as *mut c_void, (&raw mut run).cast::<c_void>(), 0) };
    if steps < 0 {
        pool::release(slot);
        return Outcome::LostPlan;
    }
    if steps as u32 >= STEPS_MAX {
        vm::cut(&mut scratch.state);
    }
    save_header(scratch, index, number, &pass);
    let sent = send(scratch, site.gate, &pass);
    pool::release(slot);
    if sent { Outcome::Captured } else { Outcome::LostRingFull }
}

/// One step of the interpreter; 1 ends the loop.
extern "C" fn step(_index: u64, run: *mut Run) -> i64 {
    // SAFETY: the loop passes on what `capture` gave it.
    let (scratch, site) = unsafe { (&mut *(*run).scratch, &*(*run).site) };
    vm::step(scratch, site, &mut Kernel) as i64
}

/// The interpreter's world.
struct Kernel;

impl Machine for Kernel {
    #[inline(always)]
    fn register(&self, record: &RecordBytes, number: u8) -> u64 {
        let number = if (number as usize) < REGISTERS { number as usize } else { 0 };
        let at = offset_of!(RecordHeader, registers) + number * 8;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&record[at..at + 8]);
        u64::from_le_bytes(bytes)
    }

    #[inline(always)]
    fn read(&mut self, record: &mut RecordBytes, at: u32, length: u32, address: u64) -> bool {
        let (at, length) = bounded(at, length);
        // SAFETY: `at + length` is inside the record by the masks; the helper checks the address.
        unsafe {
            let to = record.as_mut_ptr().add(at as usize).cast::<c_void>();
            bpf_probe_read_user(to, length, address as *const c_void) == 0
        }
    }

    #[inline(always)]
    fn read_text(
        &mut self,
        record: &mut RecordBytes,
        at: u32,
        length: u32,
        address: u64,
    ) -> Option<u32> {
        let (at, length) = bounded(at, length);
        // SAFETY: as in `read`.
        let read = unsafe {
            let to = record.as_mut_ptr().add(at as usize).cast::<c_void>();
            bpf_probe_read_user_str(to, length, address as *const c_void)
        };
        // Kernels before 6.16 give 0 and not 1 for an empty string.
        match read {
            ..0 => None,
            0 => Some(1),
            read => Some(read as u32),
        }
    }

    #[inline(always)]
    fn entry(&mut self, record: &mut RecordBytes, at: u32, key: u64, frame: u64) -> bool {
        entries::find(record, at, key, frame)
    }

    #[inline(always)]
    fn op(&self, index: u32) -> Option<Op> {
        OPS.get(index).copied()
    }

    #[inline(always)]
    fn layout(&self, index: u32) -> Option<Layout> {
        LAYOUTS.get(index).copied()
    }

    #[inline(always)]
    fn edge(&self, index: u32) -> Option<&Edge> {
        EDGES.get(index)
    }
}

/// Offset and length as the verifier must see them: right before use.
#[inline(always)]
fn bounded(at: u32, length: u32) -> (u32, u32) {
    let at = core::hint::black_box(at) & (RECORD_BYTES - 1);
    // A whole chunk is allowed, so the mask is one bit wider and the slack covers the rest.
    let length = core::hint::black_box(length) & (CHUNK_BYTES * 2 - 1);
    (at, if length > CHUNK_BYTES { CHUNK_BYTES } else { length })
}

#[inline(always)]
fn save_registers(record: &mut RecordBytes, r: &pt_regs) {
    let registers = [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12,
        r.r13, r.r14, r.r15, r.rip, r.eflags,
    ];
    let mut i = 0;
    while i < registers.len() {
        put(record, offset_of!(RecordHeader, registers) + i * 8, registers[i].to_le_bytes());
        i += 1;
    }
    let at = offset_of!(RecordHeader, registers) + (REGISTERS - 1) * 8;
    put(record, at, task::fs_base().to_le_bytes());
    const { assert!(RSP == 7) };
}

#[inline(always)]
fn save_header(scratch: &mut Scratch, site: u32, number: u64, pass: &Pass) {
    let (items, limits, size) = (scratch.state.items, scratch.state.flags, scratch.state.at);
    let record = &mut scratch.record;
    put(record, offset_of!(RecordHeader, magic), MAGIC.to_le_bytes());
    put(record, offset_of!(RecordHeader, version), VERSION.to_le_bytes());
    put(record, offset_of!(RecordHeader, flags), (limits as u16).to_le_bytes());
    put(record, offset_of!(RecordHeader, size), size.to_le_bytes());
    put(record, offset_of!(RecordHeader, site), site.to_le_bytes());
    put(record, offset_of!(RecordHeader, hit), number.to_le_bytes());
    put(record, offset_of!(RecordHeader, time_boot_ns), pass.time_boot_ns.to_le_bytes());
    put(record, offset_of!(RecordHeader, start_boot_ns), pass.start_boot_ns.to_le_bytes());
    put(record, offset_of!(RecordHeader, pid), task::pid().to_le_bytes());
    put(record, offset_of!(RecordHeader, tid), task::tid().to_le_bytes());
    put(record, offset_of!(RecordHeader, cpu), task::cpu().to_le_bytes());
    put(record, offset_of!(RecordHeader, items), items.to_le_bytes());
    let comm = offset_of!(RecordHeader, comm);
    // SAFETY: 16 bytes are there at this constant offset.
    unsafe { bpf_get_current_comm(record.as_mut_ptr().add(comm).cast::<c_void>(), 16) };
}

#[inline(always)]
fn put<const N: usize>(record: &mut RecordBytes, at: usize, bytes: [u8; N]) {
    record[at..at + N].copy_from_slice(&bytes);
}

/// Sends the record to the ring of the probe whose first site is `gate`.
#[inline(always)]
fn send(scratch: &mut Scratch, gate: u32, pass: &Pass) -> bool {
    let Some(ring) = RINGS.get(gate) else { return false };
    let flags = u64::from(if wakes(gate, pass) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP });
    let size = core::hint::black_box(scratch.state.at) & (RECORD_BYTES - 1);
    let data = scratch.record.as_mut_ptr().cast::<c_void>();
    // SAFETY: the record has `size` bytes by the mask; the ring copies them.
    unsafe {
        let ring = core::ptr::from_ref(ring).cast_mut().cast();
        bpf_ringbuf_output(ring, data, size as u64, flags) == 0
    }
}

/// Whether the record wakes the reader: it does if the last wake is long ago, and if it is the last
/// record, for then the breakpoints must go. Of two hits at once both may.
#[inline(always)]
fn wakes(gate: u32, pass: &Pass) -> bool {
    let Some(state) = counters::state(gate) else { return true };
    // SAFETY: the pointer is to a map value, whose words are read and written whole.
    let woken_ns = unsafe { core::ptr::read_volatile(&raw const (*state).woken_ns) };
    if !pass.is_last && pass.time_boot_ns.wrapping_sub(woken_ns) < WAKE_EVERY_NS {
        return false;
    }
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(&raw mut (*state).woken_ns, pass.time_boot_ns) };
    true
}
