//! Keeps this process alive when somebody truncates a file that it has mapped.
//!
//! The kernel sends SIGBUS to who reads a page that the file does not have any more, or that can't be
//! read from the disk. Zeros take the place of what is gone then, and the file counts as damaged. The
//! alternative, a copy of each file that others may write to, would cost its whole size in memory,
//! each time, for what hardly ever happens.

use memmap2::Mmap;
use rustix::io::Errno;
use std::ops::Deref;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Files that are mapped at once.
const SLOTS: usize = 20_480;
/// Pages of the processor.
const PAGE_BYTES: usize = 4096;
/// The start of a slot that is being filled; no mapping starts there.
const CLAIMED: usize = 1;

/// A mapping that a signal handler can look up: atomics, for it may run at any moment.
struct Slot {
    /// 0 where the slot is free.
    start: AtomicUsize,
    /// The end of its last page.
    end: AtomicUsize,
    damaged: AtomicBool,
}

static MAPPED: [Slot; SLOTS] = [const {
    Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), damaged: AtomicBool::new(false) }
}; SLOTS];
static INSTALL: Once = Once::new();

/// A mapping of a file that others may truncate.
#[derive(Debug)]
pub(super) struct GuardedMap {
    // Given back before the mapping, whose addresses may be another's then.
    slot: Claim,
    map: Mmap,
}

#[derive(Debug)]
struct Claim(&'static Slot);

impl GuardedMap {
    /// Guards a mapping from now on.
    ///
    /// # Errors
    ///
    /// `ENFILE` where too many are guarded already.
    pub(super) fn new(map: Mmap) -> Result<Self, Errno> {
        INSTALL.call_once(install);
        let claim = |slot: &&Slot| {
            let order = Ordering::AcqRel;
            slot.start.compare_exchange(0, CLAIMED, order, Ordering::Relaxed).is_ok()
        };
        let slot = MAPPED.iter().find(claim).ok_or(Errno::NFILE)?;
        let start = map.as_ptr().addr();
        slot.damaged.store(false, Ordering::Relaxed);
        slot.end.store(start + map.len().next_multiple_of(PAGE_BYTES), Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
        Ok(Self { slot: Claim(slot), map })
    }

    /// Some of it was gone when it was read, and zeros were read instead.
    pub(super) fn is_damaged(&self) -> bool {
        self.slot.0.damaged.load(Ordering::Relaxed)
    }

    /// The mapping.
    pub(super) fn map(&self) -> &Mmap {
        &self.map
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.start.store(0, Ordering::Release);
    }
}

impl Deref for GuardedMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("damaged", &self.damaged).finish_non_exhaustive()
    }
}

#[expect(unsafe_code, reason = "a signal is handled by a function that is named to the system")]
fn install() {
    // SAFETY: the structure is plain data for which zeros are valid; the handler does only what is
    // safe in one: loads and stores of atomics, and system calls.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut())
    };
    if done != 0 {
        tracing::warn!("a file that is truncated while it is read will end this process");
    }
}

#[expect(unsafe_code, reason = "it is told of an address, and changes what is mapped there")]
extern "C" fn handle(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid structure, and with this signal an address.
    let address = unsafe { (*info).si_addr() }.addr();
    let end_of = |slot: &'static Slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Acquire);
        // It may have become another mapping's in between.
        let is_one = start > CLAIMED && slot.start.load(Ordering::Acquire) == start;
        (is_one && (start..end).contains(&address)).then_some((slot, end))
    };
    // SAFETY: as above. Who sends the signal tells any address.
    let is_fault = unsafe { (*info).si_code } > 0;
    if let Some((slot, end)) = MAPPED.iter().find_map(end_of).filter(|_| is_fault) {
        slot.damaged.store(true, Ordering::Relaxed);
        let page = address & !(PAGE_BYTES - 1);
        let bytes = end - page;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the pages are of one mapping, which is read-only and stays until its slot is given
        // back; the thread that reads it has been stopped by this signal.
        let zeros = unsafe {
            libc::mmap(std::ptr::without_provenance_mut(page), bytes, libc::PROT_READ, flags, -1, 0)
        };
        if zeros != libc::MAP_FAILED {
            return;
        }
    }
    // Not ours: what was tried is tried again, and ends the process as it would have.
    // SAFETY: both calls may be made in a handler.
    unsafe {
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
        if (*info).si_code <= 0 {
            libc::raise(libc::SIGBUS);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::binary::open::{MappedFile, Root};
    use std::path::Path;

    fn mapped(directory: &Path) -> MappedFile {
        std::fs::write(directory.join("file"), vec![7; 5 * super::PAGE_BYTES]).unwrap();
        let root = Root::at(directory, directory.to_path_buf()).unwrap();
        root.open(Path::new("file")).unwrap()
    }

    #[test]
    fn what_is_cut_off_a_mapped_file_is_read_as_zeros_and_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = mapped(directory.path());
        let cut = std::fs::OpenOptions::new().write(true).open(directory.path().join("file"));
        assert!(file.bytes().iter().all(|byte| *byte == 7) && !file.is_damaged());
        cut.unwrap().set_len(2 * super::PAGE_BYTES as u64 + 1).unwrap();
        let sum: usize = file.bytes().iter().map(|byte| usize::from(*byte)).sum();
        assert_eq!(sum, 7 * (2 * super::PAGE_BYTES + 1));
        assert!(file.is_damaged());
        // The next file that is mapped there is whole.
        drop(file);
        assert!(!mapped(directory.path()).is_damaged());
    }

    #[test]
    fn a_file_is_cut_while_many_threads_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = mapped(directory.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while file.bytes().iter().all(|byte| *byte == 7) {});
            }
            std::fs::write(directory.path().join("file"), "short").unwrap();
        });
        assert!(file.is_damaged());
    }
}
