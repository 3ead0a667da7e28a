//! Executes a batch of samples in processes of its own, so that one that dies takes nothing along.

#![expect(unsafe_code, reason = "fork, fixed mappings and calls into assembled code")]

use super::inputs::Input;
use super::samples::Sample;
use super::stubs::{
    ARENA, ARENA_BYTES, CODE, CONTROL, CONTROL_BYTES, DATA, FLAGS, PATH, STACK, STATE_BYTES,
    STATES, Stubs, VECTORS, target,
};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How an execution of a sample ended.
#[derive(Debug)]
pub(super) enum Execution {
    /// It ended.
    Done(Box<Outcome>),
    /// The process died by this signal.
    Died(i32),
}

/// All that a sample may have changed.
#[derive(Debug)]
pub(super) struct Outcome {
    /// General-purpose registers by number, flags, path.
    pub(super) registers: [u64; 18],
    /// Vector state, then the arena.
    pub(super) bytes: Vec<u8>,
    /// The process has an out-of-line page: something was single-stepped by now.
    pub(super) stepped: bool,
}

/// An execution's raw result.
#[repr(C)]
struct Slot {
    state: [u8; STATE_BYTES],
    arena: [u8; ARENA_BYTES],
    stepped: u8,
}

/// How long an execution may take.
const SECONDS: u32 = 5;

/// What the processes write beside the results.
#[repr(C)]
struct Head {
    /// The execution that runs or comes next.
    next: AtomicUsize,
}

/// Executes all samples, and gives the results by sample, then by input. `before` is called once,
/// while the first process has mapped the stubs and waits.
pub(super) fn execute(
    stubs: &Stubs,
    batch: &[Sample],
    before: impl FnOnce(),
) -> Vec<Vec<Execution>> {
    let cases: Vec<(usize, &Input)> = batch
        .iter()
        .enumerate()
        .flat_map(|(index, sample)| sample.inputs.iter().map(move |input| (index, input)))
        .collect();
    let shared = Shared::new(cases.len());
    let mut died = vec![None; cases.len()];
    let mut before = Some(before);
    while shared.next() < cases.len() {
        let (pid, go) = spawn(stubs, &cases, &shared);
        if let Some(before) = before.take() {
            before();
        }
        // SAFETY: the descriptor is the write end of our pipe, `status` is ours.
        let status = unsafe {
            assert_eq!(libc::write(go, b"g".as_ptr().cast(), 1), 1);
            libc::close(go);
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            status
        };
        if libc::WIFSIGNALED(status) {
            died[shared.next()] = Some(libc::WTERMSIG(status));
            shared.head().next.fetch_add(1, Ordering::SeqCst);
        }
    }
    let mut all = cases.iter().enumerate().map(|(n, _)| match died[n] {
        Some(signal) => Execution::Died(signal),
        None => Execution::Done(Box::new(outcome(shared.slot(n)))),
    });
    batch.iter().map(|sample| all.by_ref().take(sample.inputs.len()).collect()).collect()
}

/// The parts of a raw result that a program can rely on.
fn outcome(slot: &Slot) -> Outcome {
    let word =
        |n: usize| u64::from_le_bytes(slot.state[n * 8..][..8].try_into().expect("eight bytes"));
    let mut vectors = slot.state[VECTORS as usize..][..832].to_vec();
    // Opcode, instruction and data pointer of the last x87 instruction: processors differ whether
    // they keep them, and the instruction was executed elsewhere. Then what is not state.
    vectors[6..24].fill(0);
    vectors[416..576].fill(0);
    vectors.extend_from_slice(&slot.arena);
    Outcome { registers: std::array::from_fn(word), bytes: vectors, stepped: slot.stepped != 0 }
}

/// Memory shared with the processes: a head, then a slot for each execution.
struct Shared {
    start: *mut u8,
    bytes: usize,
}

impl Shared {
    fn new(cases: usize) -> Self {
        let bytes = size_of::<Head>() + cases * size_of::<Slot>();
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, placed by the kernel.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start: start.cast(), bytes }
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping starts with a head; zero is valid for it.
        unsafe { &*self.start.cast() }
    }

    fn next(&self) -> usize {
        self.head().next.load(Ordering::SeqCst)
    }

    fn raw_slot(&self, index: usize) -> *mut Slot {
        // SAFETY: `index` is below the number that the mapping was made for.
        unsafe { self.start.add(size_of::<Head>()).cast::<Slot>().add(index) }
    }

    fn slot(&self, index: usize) -> &Slot {
        // SAFETY: plain bytes, and the processes that wrote them have ended.
        unsafe { &*self.raw_slot(index) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// Starts a process that maps the stubs and waits for a byte; gives its pid and where to write.
fn spawn(stubs: &Stubs, cases: &[(usize, &Input)], shared: &Shared) -> (libc::pid_t, RawFd) {
    let (mut ready, mut go) = ([0; 2], [0; 2]);
    // SAFETY: pipes into our arrays; the child calls only async-signal-safe functions, for other
    // threads of the test harness may hold locks.
    unsafe {
        assert_eq!(libc::pipe2(ready.as_mut_ptr(), libc::O_CLOEXEC), 0);
        assert_eq!(libc::pipe2(go.as_mut_ptr(), libc::O_CLOEXEC), 0);
        let pid = libc::fork();
        assert!(pid >= 0, "fork");
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::close(go[1]);
            map(stubs);
            let mut byte = 0_u8;
            libc::write(ready[1], ptr::from_ref(&byte).cast(), 1);
            if libc::read(go[0], ptr::from_mut(&mut byte).cast(), 1) == 1 {
                run(cases, shared);
            }
            libc::_exit(0);
        }
        libc::close(ready[1]);
        libc::close(go[0]);
        let mut byte = 0_u8;
        assert_eq!(libc::read(ready[0], ptr::from_mut(&mut byte).cast(), 1), 1, "the child waits");
        libc::close(ready[0]);
        (pid, go[1])
    }
}

/// Maps stubs, arena and control area at their addresses.
///
/// # Safety
///
/// To be called in a child of fork only: it ends the process where an address is taken.
unsafe fn map(stubs: &Stubs) {
    let read_write = libc::PROT_READ | libc::PROT_WRITE;
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let code = libc::PROT_READ | libc::PROT_EXEC;
    for (at, bytes, protection, flags, fd) in [
        (CODE, stubs.len(), code, libc::MAP_PRIVATE, stubs.file().as_raw_fd()),
        (ARENA, ARENA_BYTES, read_write, anonymous, -1),
        (CONTROL, CONTROL_BYTES, read_write, anonymous, -1),
    ] {
        let flags = flags | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: with MAP_FIXED_NOREPLACE no mapping that exists is touched.
        unsafe {
            if libc::mmap(at as *mut _, bytes, protection, flags, fd, 0) == libc::MAP_FAILED {
                libc::_exit(1);
            }
        }
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP] {
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Executes all cases that are left.
///
/// # Safety
///
/// [`map`] must have been called.
unsafe fn run(cases: &[(usize, &Input)], shared: &Shared) {
    let head = shared.head();
    while let Some(&(index, input)) = cases.get(shared.next()) {
        let (before, behind) = STATES;
        let (at, sample) = target(index);
        // SAFETY: all addresses are inside the mappings of `map`, which are ours; the stub keeps
        // to the C calling convention; the slot is the one of this execution.
        unsafe {
            ptr::write_bytes(CONTROL as *mut u8, 0, 2 * 0x1000);
            for offset in 0..ARENA_BYTES {
                *(ARENA as *mut u8).add(offset) = (offset * 7 + offset / 256) as u8;
            }
            ptr::copy_nonoverlapping(input.data.as_ptr(), DATA as *mut u8, input.data.len());
            // Memory operands relative to rsp find the same data.
            let near_stack = (STACK + 0x40) as *mut u8;
            ptr::copy_nonoverlapping(input.data.as_ptr(), near_stack, input.data.len());
            *(STACK as *mut u64) = input.stack_top;
            ptr::copy_nonoverlapping(input.registers.as_ptr(), before as *mut u64, 16);
            *((before + FLAGS) as *mut u64) = input.flags;
            let vectors = (before + VECTORS) as *mut u8;
            ptr::copy_nonoverlapping(input.vectors.as_ptr(), vectors, input.vectors.len());
            *((behind + PATH) as *mut u64) = 0xee;
            *(at as *mut u64) = sample;
            // A branch gone wrong may go round for ever.
            libc::alarm(SECONDS);
            let stub: extern "C" fn() = std::mem::transmute(CODE as *const ());
            stub();
            let slot = shared.raw_slot(shared.next());
            ptr::copy_nonoverlapping(behind as *const u8, (*slot).state.as_mut_ptr(), STATE_BYTES);
            ptr::copy_nonoverlapping(ARENA as *const u8, (*slot).arena.as_mut_ptr(), ARENA_BYTES);
            (*slot).stepped = u8::from(has_out_of_line_page());
        }
        head.next.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether the kernel has mapped its page for single-stepping into this process
/// (`xol_add_vma` in kernel/events/uprobes.c names it).
fn has_out_of_line_page() -> bool {
    const NAME: &[u8] = b"[uprobes]";
    let mut buffer = [0_u8; 16 * 1024];
    let mut filled = 0;
    // SAFETY: plain reads into our buffer, no more than there is room for.
    unsafe {
        let fd = libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY);
        while filled < buffer.len() {
            let room = buffer.len() - filled;
            let got = libc::read(fd, buffer.as_mut_ptr().add(filled).cast(), room);
            if got <= 0 {
                break;
            }
            filled += got as usize;
        }
        libc::close(fd);
    }
    buffer[..filled].windows(NAME.len()).any(|window| window == NAME)
}
