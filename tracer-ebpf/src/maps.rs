//! The maps and the read-only globals.

use aya_ebpf::btf_maps::{ArrayOfMaps, RingBuf};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf as Ring};
use tracer_common::code::{Edge, Layout, Op};
use tracer_common::limits;
use tracer_common::maps::{Budget, Counters, Entry, Kernel, Scratch, Site, SiteState};

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
pub(crate) static BUDGETS: Array<Budget> = Array::with_max_entries(limits::BUDGETS, 0);
#[map]
pub(crate) static ENTRIES: Array<Entry> = Array::with_max_entries(limits::ENTRIES, 0);
/// A ring of its own: a flood of records never keeps the word of a trip from the guardian.
#[map]
pub(crate) static TRIPS: Ring = Ring::with_byte_size(limits::TRIPS_BYTES, 0);
/// Userspace creates the rings; what stands here is their type.
#[btf_map]
pub(crate) static RINGS: ArrayOfMaps<RingBuf<u64, 4096>, { limits::SITES as usize }> =
    ArrayOfMaps::new();

/// Facts about the running kernel, set before the program is loaded.
#[unsafe(no_mangle)]
static KERNEL: Kernel = Kernel {
    group_leader: 0,
    start_boottime: 0,
    fsbase: 0,
    scratch_slots: 0,
    real_cred: 0,
    ids: 0,
    permitted: 0,
    dumpable_in: 0,
    dumpable: 0,
    tick_ns: 0,
    nivcsw: 0,
};

/// The facts, read where the loader put them and not where the compiler saw zeros.
#[inline(always)]
pub(crate) fn kernel() -> Kernel {
    // SAFETY: a static of a plain struct is always readable.
    unsafe { core::ptr::read_volatile(&raw const KERNEL) }
}
