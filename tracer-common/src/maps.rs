//! What the maps hold. Both sides use these structs; the layout is the C one.

use crate::limits::{
    ENTRIES, QUEUE_LENGTH, RECORD_BYTES, RECORD_SLACK, STACK_DEPTH, VISITED_LENGTH,
};
use crate::outcome::OUTCOMES;
use crate::wire::ENTRY_REGISTERS;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Map names, as in the object file.
pub mod names {
    /// `Array<Site>`, written by userspace.
    pub const SITES: &str = "SITES";
    /// `Array<SiteState>`, written by the kernel.
    pub const STATES: &str = "STATES";
    /// `PerCpuArray<Counters>`.
    pub const COUNTERS: &str = "COUNTERS";
    /// `Array<Op>`.
    pub const OPS: &str = "OPS";
    /// `Array<Layout>`.
    pub const LAYOUTS: &str = "LAYOUTS";
    /// `Array<Edge>`.
    pub const EDGES: &str = "EDGES";
    /// `Array<Scratch>`.
    pub const SCRATCH: &str = "SCRATCH";
    /// The ring buffers of records, one for each probe, at the index of its first site.
    pub const RINGS: &str = "RINGS";
    /// `Array<Budget>`: [`super::NODE_BUDGET`] first, then those of processes and probes.
    pub const BUDGETS: &str = "BUDGETS";
    /// The ring buffer of [`super::Trip`] records.
    pub const TRIPS: &str = "TRIPS";
    /// `Array<Entry>`, written by the kernel.
    pub const ENTRIES: &str = "ENTRIES";
    /// The program, in both its flavours.
    pub const PROGRAM: &str = "hit";
    /// Global: an [`super::Kernel`].
    pub const KERNEL: &str = "KERNEL";
}

/// Facts about the running kernel that the program can't find itself; a read-only global.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Kernel {
    /// Offset of `group_leader` in `task_struct`, by BTF.
    pub group_leader: u32,
    /// Offset of `start_boottime` (`real_start_time` before 5.5) in `task_struct`.
    pub start_boottime: u32,
    /// Offset of `thread.fsbase` in `task_struct`.
    pub fsbase: u32,
    /// Scratch slots in the pool; a power of two.
    pub scratch_slots: u32,
    /// Offset of `real_cred` in `task_struct`.
    pub real_cred: u32,
    /// Offset of `uid` in `cred`, which the other ids follow as in [`Ids`].
    pub ids: u32,
    /// Offset of `cap_permitted` in `cred`.
    pub permitted: u32,
    /// Offset in `task_struct` of the pointer to what says who may dump the process.
    pub dumpable_in: u32,
    /// Offset of the word there whose two lowest bits say it.
    pub dumpable: u32,
    /// Nanoseconds between two ticks of the kernel (1/HZ).
    pub tick_ns: u32,
    /// Offset of `nivcsw` in `task_struct`.
    pub nivcsw: u32,
}

/// The ids of a task as they lie in the kernel's `struct cred`.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Ids {
    /// Real user.
    pub uid: u32,
    /// Real group.
    pub gid: u32,
    /// Saved user.
    pub suid: u32,
    /// Saved group.
    pub sgid: u32,
    /// Effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
}

/// [`Site::owner_uid`] of a probe whose owner may trace every process.
pub const ANY_OWNER: u32 = u32::MAX;

/// Values of [`Site::action`].
pub mod action {
    /// Send a record.
    pub const CAPTURE: u32 = 0;
    /// Count the hit only.
    pub const COUNT: u32 = 1;
    /// Keep the registers: the site is the entry of a function that the probe is in.
    pub const KEEP: u32 = 2;
}

/// The parameters of a site. The attach cookie is its index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Site {
    /// 0 while the site is switched off.
    pub enabled: u32,
    /// The target's process id in the initial pid namespace.
    pub pid: u32,
    /// When the target started, in clock ticks of 10 ms since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// The address that is probed.
    pub pc: u64,
    /// Captures allowed for the probe, 0 for no limit.
    pub hit_limit: u64,
    /// Nanoseconds between captures that the rate allows, 0 for no limit.
    pub interval_ns: u64,
    /// Index of the site whose state holds the probe's hit limit and rate, and of its ring: the
    /// probe's first.
    pub gate: u32,
    /// Index of the plan's first operation.
    pub op_first: u32,
    /// Bytes of stack to copy from the stack pointer upwards; the red zone comes on top. 0 copies
    /// neither.
    pub stack_bytes: u32,
    /// Bytes of objects and strings, item headers included.
    pub bytes_max: u32,
    /// Bytes of a string.
    pub text_max: u32,
    /// Elements of a slice.
    pub items_max: u32,
    /// Pointers followed in a row.
    pub depth_max: u32,
    /// Objects queued.
    pub nodes_max: u32,
    /// 1 where the probe has another site at the same place of the file: the file is mapped twice.
    /// A hit runs the program for both, and only the one whose address it is counts it.
    pub has_twin: u32,
    /// What to do with a hit that passes: a value of [`action`].
    pub action: u32,
    /// The user whose processes may be captured, [`ANY_OWNER`] for no such limit.
    pub owner_uid: u32,
    /// Their group.
    pub owner_gid: u32,
    /// Nanoseconds since boot after which no hit is captured, 0 for never.
    pub expires_ns: u64,
    /// What the trap of one hit costs, in nanoseconds, with a program that leaves at once.
    pub trap_ns: u32,
    /// Index of the probe's budget.
    pub budget: u32,
    /// Index of the budget of its process.
    pub process_budget: u32,
    /// At a function's entry: the canonical frame address is the stack pointer plus this.
    pub frame_offset: u32,
    /// Of what is kept at a function's entry, the same number at that entry and at the sites in the
    /// function, and another one each time that their breakpoints are placed; 0 where nothing is.
    pub entry_key: u64,
}

/// The registers of a thread that entered a function. Its place follows from key and frame, and
/// whoever comes later to the same place has it: what is not there any more is missing, never
/// another's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Entry {
    /// Odd while it is being written, and another number after each time.
    pub seal: u64,
    /// [`Site::entry_key`].
    pub key: u64,
    /// The canonical frame address.
    pub frame: u64,
    /// By DWARF number.
    pub registers: [u64; ENTRY_REGISTERS],
}

impl Entry {
    /// Index in the map of what is kept for a frame.
    #[inline(always)]
    pub const fn index(key: u64, frame: u64) -> u32 {
        // Fibonacci hashing: the high bits of the product depend on all bits of the key.
        let hash = (frame ^ key.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as u32 & (ENTRIES - 1)
    }
}

/// Index of the budget of the whole node.
pub const NODE_BUDGET: u32 = 0;

/// The CPU time that hits may cost in a window of [`crate::limits::WINDOW_NS`].
///
/// A cache line of its own: those of different probes are changed on different cpus.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Budget {
    /// Nanoseconds; 0 for no limit.
    pub limit_ns: u64,
    /// Number of the last window in the upper bits, nanoseconds spent in it in the lower
    /// [`Self::SPENT_BITS`].
    pub spent: u64,
    /// 0, or the [`trip`] cause that the probe was tripped for, with [`Self::TOLD`].
    pub tripped: u64,
    /// What may be spent beyond the limits of windows, as a signed number: the first hits may come all
    /// at once, and windows in which nothing is spent give some back.
    pub grace_ns: u64,
    /// When the last hit came after the probe was tripped, in nanoseconds since boot; 0 for none.
    pub last_ns: u64,
    /// Always zero.
    pub reserved: [u64; 3],
}

impl Budget {
    /// Bits of [`Self::spent`] that are nanoseconds: 18 minutes.
    pub const SPENT_BITS: u32 = 40;
    /// In [`Self::tripped`]: the record of it is in the ring.
    pub const TOLD: u64 = 1 << 32;
}

/// Values of [`Trip::cause`].
pub mod trip {
    /// The probe's own budget was spent.
    pub const PROBE: u32 = 1;
    /// The budget of its process was spent, by this probe last.
    pub const PROCESS: u32 = 2;
    /// The node's budget was spent, by this probe last.
    pub const NODE: u32 = 3;
    /// Its time is over.
    pub const EXPIRED: u32 = 4;
}

/// Says that a probe must be taken out now.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Trip {
    /// Index of the probe's first site.
    pub gate: u32,
    /// A value of [`trip`].
    pub cause: u32,
    /// Nanoseconds spent in the window.
    pub spent_ns: u64,
    /// Nanoseconds that the budget allows; 0 where none was spent.
    pub limit_ns: u64,
    /// Hits of the site so far.
    pub hits: u64,
    /// Nanoseconds since boot.
    pub time_boot_ns: u64,
}

/// What the kernel program remembers of a site; all fields are changed atomically.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SiteState {
    /// Hits so far.
    pub hits: u64,
    /// Captures claimed against the hit limit.
    pub claimed: u64,
    /// Boot time before which the rate allows no capture (the theoretical arrival time of GCRA).
    pub next_ns: u64,
    /// When the reader was woken last.
    pub woken_ns: u64,
}

/// How the hits of a site ended, one counter for each outcome.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Counters {
    /// Indexed by [`crate::outcome::Outcome`].
    pub outcomes: [u64; OUTCOMES],
    /// Nanoseconds that captures took, from the gate to the ring.
    pub capture_ns: u64,
}

/// An object that waits for the chase.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    /// Where it is.
    pub address: u64,
    /// Its layout, or [`crate::code::TEXT`].
    pub layout: u32,
    /// Elements.
    pub count: u32,
    /// Pointers followed to come here.
    pub depth: u32,
    /// How many nodes a container may have whose first one this is; [`Self::LINKED`] for the others
    /// of its nodes, 0 for all else.
    pub nodes: u32,
}

impl Pending {
    /// A node that another one led to.
    pub const LINKED: u32 = u32::MAX;
    /// In the layout's number: the elements are the slots in front of the address, with a byte for
    /// each behind them.
    pub const SLOTS: u32 = 1 << 30;
}

/// A slot of the visited set; free unless its generation is the current one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Visited {
    /// Where the object is.
    pub address: u64,
    /// Layout and number of elements.
    pub what: u64,
    /// The hit that filled this slot.
    pub generation: u64,
}

/// Where the interpreter is; see [`crate::vm`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// A phase of [`crate::vm`].
    pub phase: u32,
    /// The phase to go on with when the current object is done.
    pub resume: u32,
    /// Where in the record the registers at the function's entry are; 0 for nowhere.
    pub entry_at: u32,
    /// Index of the next operation.
    pub op: u32,
    /// Index of the operation behind the current root.
    pub root_end: u32,
    /// Values on the expression stack.
    pub stack_used: u32,
    /// The expression stack.
    pub stack: [u64; STACK_DEPTH as usize],
    /// Next object of the queue to visit.
    pub queue_head: u32,
    /// Behind the last object of the queue.
    pub queue_tail: u32,
    /// Objects put into the queue.
    pub queued: u32,
    /// Nodes that the current container may have yet.
    pub nodes_left: u32,
    /// Where the next byte of the record goes.
    pub at: u32,
    /// Where the record must end.
    pub end: u32,
    /// Items written.
    pub items: u32,
    /// Limits met, [`crate::status::flags`].
    pub flags: u32,
    /// Distinguishes this hit in the visited set.
    pub generation: u64,
    /// The object being copied: its address.
    pub address: u64,
    /// Bytes asked for.
    pub want: u64,
    /// Bytes that may be copied.
    pub allowed: u32,
    /// Bytes copied.
    pub copied: u32,
    /// Bytes looked through behind a cut string.
    pub scanned: u32,
    /// Where its item header goes.
    pub item_at: u32,
    /// Its layout.
    pub layout: u32,
    /// Its depth.
    pub depth: u32,
    /// Its [`crate::wire::ItemKind`].
    pub kind: u32,
    /// The element whose edges are being followed: its offset in the object.
    pub element: u32,
    /// Its index.
    pub index: u32,
    /// Elements, where a byte for each of them tells whether there is one.
    pub slots: u32,
    /// Bytes of an element.
    pub element_size: u32,
    /// First edge of the layout.
    pub edge_first: u32,
    /// Edges of the layout.
    pub edge_count: u32,
    /// The next edge.
    pub edge: u32,
}

/// All that one hit works with; claimed from a pool, because a uprobe program can be preempted and
/// another one can run on the same cpu meanwhile.
#[repr(C)]
pub struct Scratch {
    /// 1 while claimed.
    pub busy: u32,
    /// Always zero.
    pub reserved: u32,
    /// The interpreter's state.
    pub state: State,
    /// The chase's queue.
    pub queue: [Pending; QUEUE_LENGTH as usize],
    /// The visited set.
    pub visited: [Visited; VISITED_LENGTH as usize],
    /// The record.
    pub record: [u8; (RECORD_BYTES + RECORD_SLACK) as usize],
}
