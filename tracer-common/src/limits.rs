//! Every cap of the kernel side in one place; each bounds what a single hit can cost.

/// Bytes of a record that offsets can reach; a power of two, for offsets are masked with it.
pub const RECORD_BYTES: u32 = 256 * 1024;
/// The most bytes that one step copies: a page, because a read that crosses into a page which is
/// not there fails as a whole.
pub const CHUNK_BYTES: u32 = 4096;
/// Space behind the reachable record, so that the last masked offset still has room for a chunk.
pub const RECORD_SLACK: u32 = CHUNK_BYTES + 64;
/// Objects that one hit may queue for the pointer chase; a power of two.
pub const QUEUE_LENGTH: u32 = 1024;
/// Slots of the visited set; a power of two, twice the queue.
pub const VISITED_LENGTH: u32 = 2048;
/// Slots tried in the visited set before an object counts as new.
pub const VISITED_TRIES: u32 = 4;
/// Values on the expression stack of a root; a power of two.
pub const STACK_DEPTH: u32 = 8;
/// Interpreter steps for one hit; about 10 ns each, so at most a few hundred microseconds.
pub const STEPS_MAX: u32 = 32 * 1024;
/// Bytes that are looked through to find the real length of a string that is cut.
pub const TEXT_SCAN_BYTES: u32 = 64 * 1024;
/// What a capture rate allows in so many nanoseconds may come all at once: a request is seen whole.
pub const BURST_NS: u64 = 250_000_000;
/// The length of a budget's window, in nanoseconds. Windows are told apart by the kernel's ticks (1 to
/// 10 ms), so one is longer or shorter by up to a tick.
pub const WINDOW_NS: u64 = 10_000_000;
/// Waking a reader costs a hit more than most captures do (an interrupt to ourselves), so it is done no
/// more often than this, in nanoseconds. A reader looks again by itself for longer.
pub const WAKE_EVERY_NS: u64 = 5_000_000;
/// Windows whose budget may be spent in one, beyond its own: when a probe is placed, and after so
/// many in which nothing was spent.
pub const GRACE_WINDOWS: u64 = 10;
/// Budgets: the node's, one for each process that is probed and one for each probe.
pub const BUDGETS: u32 = 2 * SITES;
/// Size of the ring that tells of tripped probes, in bytes.
pub const TRIPS_BYTES: u32 = 64 * 1024;
/// Bytes below the stack pointer that a leaf function may use (psABI x86-64, 3.2.2).
pub const RED_ZONE_BYTES: u64 = 128;
/// Scratch buffers in the pool: one is claimed for the duration of a hit.
pub const SCRATCH_SLOTS: u32 = 16;
/// Sites that can be armed at once.
pub const SITES: u32 = 4096;
/// Places for the registers of threads that entered functions; a power of two.
pub const ENTRIES: u32 = 16 * 1024;
/// Operations of all plans together.
pub const OPS: u32 = 256 * 1024;
/// Layouts of all plans together.
pub const LAYOUTS: u32 = 64 * 1024;
/// Pointer edges of all layouts together.
pub const EDGES: u32 = 128 * 1024;
/// Default size of a ring buffer in bytes.
pub const RING_BYTES: u32 = 8 * 1024 * 1024;
