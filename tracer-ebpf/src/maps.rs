//! The maps and the read-only globals.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use tracer_common::code::{Edge, Layout, Op};
use tracer_common::limits;
use tracer_common::maps::{Counters, Kernel, Scratch, Site, SiteState};

#[map]
pub(crate) static SITES: Array<Site> = Array::with_max_entries(limits::SITES, 0);
#[map]
pub(crate) static STATES: Array<SiteState> = Array::with_max_entries(limits::SITES, 0);
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(limits::SITES, 0);
#[map]
pub(crate) static OPS: Array<Op> = Array::with_max_entries(limits::OPS, 0);
#[map]
pub(crate) static LAYOUTS: Array<Layout> = Array::with_max_entries(limits::LAYOUTS, 0);
#[map]
pub(crate) static EDGES: Array<Edge> = Array::with_max_entries(limits::EDGES, 0);
#[map]
pub(crate) static SCRATCH: Array<Scratch> = Array::with_max_entries(limits::SCRATCH_SLOTS, 0);
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(limits::RING_BYTES, 0);

/// Facts about the running kernel, set before the program is loaded.
#[unsafe(no_mangle)]
static KERNEL: Kernel = Kernel { group_leader: 0, start_boottime: 0, fsbase: 0, scratch_slots: 0 };

/// The facts, read where the loader put them and not where the compiler saw zeros.
#[inline(always)]
pub(crate) fn kernel() -> Kernel {
    // SAFETY: a static of a plain struct is always readable.
    unsafe { core::ptr::read_volatile(&raw const KERNEL) }
}
