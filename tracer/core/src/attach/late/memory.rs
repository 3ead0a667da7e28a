//! An address space as `/proc` shows it: what its page tables hold, and its bytes.

use super::PAGE_BYTES;
use super::ladder::Held;
use crate::model::address::Avma;
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes of an entry of pagemap.
const ENTRY_BYTES: u64 = 8;
/// Bytes that one entry of the middle page table covers: what a huge page takes.
const HUGE_BYTES: u64 = 2 * 1024 * 1024;

/// The address space that a process had when this was opened; once the process has ended or
/// executed another program, nothing can be read any more.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    memory: Arc<File>,
    pagemap: Arc<File>,
    /// Memory that was never touched may become a whole huge page when it is read.
    grows: bool,
}

/// An entry of pagemap (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry(u64);

impl Entry {
    const PRESENT: u64 = 1 << 63;
    /// Or another entry that is no page, such as one that is being moved.
    const SWAPPED: u64 = 1 << 62;
    const FILE_OR_SHARED: u64 = 1 << 61;
    const GUARD: u64 = 1 << 58;

    /// What the page table holds.
    pub(super) fn held(self) -> Held {
        let is = |bits: u64| self.0 & bits != 0;
        if is(Self::GUARD) {
            Held::Guard
        } else if is(Self::FILE_OR_SHARED) {
            if is(Self::PRESENT) { Held::File } else { Held::FileMoving }
        } else if is(Self::PRESENT | Self::SWAPPED) {
            Held::Own
        } else {
            Held::Nothing
        }
    }
}

impl Memory {
    /// Opens the address space of a process.
    ///
    /// # Errors
    ///
    /// What the kernel answers: there is no such process, or it may not be read.
    pub(super) fn open(pid: u32) -> Result<Self, Error> {
        let open = |name| File::open(format!("/proc/{pid}/{name}")).map(Arc::new);
        Ok(Self { memory: open("mem")?, pagemap: open("pagemap")?, grows: untouched_grows() })
    }

    /// The entry of a page; `None` once the address space is gone.
    pub(super) fn entry(&self, page: Avma) -> Option<Entry> {
        let mut entry = [0; ENTRY_BYTES as usize];
        self.pagemap.read_exact_at(&mut entry, page.0 / PAGE_BYTES * ENTRY_BYTES).ok()?;
        Some(Entry(u64::from_le_bytes(entry)))
    }

    /// Reading this page, which was never touched, could give the process more than the page: the
    /// kernel makes it a huge one where all of that lies in the mapping and none of it is there.
    pub(super) fn would_grow(&self, page: Avma, mapping: &Range<Avma>) -> bool {
        let start = page.0 & !(HUGE_BYTES - 1);
        let Some(end) = start.checked_add(HUGE_BYTES) else { return false };
        let is_inside = mapping.start.0 <= start && end <= mapping.end.0;
        if !self.grows || !is_inside {
            return false;
        }
        let mut entries = vec![0; (HUGE_BYTES / PAGE_BYTES * ENTRY_BYTES) as usize];
        let read = self.pagemap.read_exact_at(&mut entries, start / PAGE_BYTES * ENTRY_BYTES);
        let (entries, _) = entries.as_chunks();
        let is_empty = |entry: &[u8; 8]| Entry(u64::from_le_bytes(*entry)).held() == Held::Nothing;
        read.is_err() || entries.iter().all(is_empty)
    }

    /// The bytes of a page.
    pub(super) fn read(&self, page: Avma) -> Option<Vec<u8>> {
        let mut bytes = vec![0; PAGE_BYTES as usize];
        match self.memory.read_exact_at(&mut bytes, page.0) {
            Ok(()) => Some(bytes),
            Err(error) => {
                if error.kind() != ErrorKind::UnexpectedEof {
                    tracing::debug!(%page, %error, "a page can't be read");
                }
                None
            }
        }
    }
}

/// Transparent huge pages are made, and not by way of the shared huge page of zeros (which is the
/// default): Documentation/admin-guide/mm/transhuge.rst.
fn untouched_grows() -> bool {
    let read = |name| {
        let path = format!("/sys/kernel/mm/transparent_hugepage/{name}");
        std::fs::read_to_string(path).unwrap_or_default()
    };
    read("use_zero_page").trim() == "0" && !read("enabled").contains("[never]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn entries_say_what_the_page_table_holds() {
        let held = |bits: u64| Entry(bits).held();
        let soft_dirty = 1 << 55;
        assert_eq!(held(soft_dirty), Held::Nothing);
        assert_eq!(held(Entry::PRESENT | soft_dirty), Held::Own);
        assert_eq!(held(Entry::SWAPPED), Held::Own);
        assert_eq!(held(Entry::PRESENT | Entry::FILE_OR_SHARED), Held::File);
        assert_eq!(held(Entry::SWAPPED | Entry::FILE_OR_SHARED), Held::FileMoving);
        assert_eq!(held(Entry::SWAPPED | Entry::GUARD), Held::Guard);
    }

    #[test]
    fn this_process_is_read() {
        let memory = Memory::open(std::process::id()).unwrap();
        let bytes = vec![0x5a_u8; 3 * PAGE_BYTES as usize];
        let page = Avma((bytes.as_ptr() as u64).next_multiple_of(PAGE_BYTES));
        assert_eq!(memory.entry(page).unwrap().held(), Held::Own);
        assert_eq!(memory.read(page).unwrap(), vec![0x5a; PAGE_BYTES as usize]);
        assert_eq!(memory.read(Avma(PAGE_BYTES)), None);
    }

    /// LATE-1
    #[test]
    fn after_an_exec_it_is_another_address_space() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "echo; read line; exec cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, mut output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let mut line = |input: &mut std::process::ChildStdin, text: &[u8]| {
            input.write_all(text).unwrap();
            output.read_exact(&mut [0]).unwrap();
        };
        line(&mut input, b"");
        let memory = Memory::open(shell.id()).unwrap();
        let page = Avma(0x40_0000);
        assert!(memory.entry(page).is_some());
        line(&mut input, b"\nx");
        let gone = memory.entry(page);
        drop(input);
        shell.wait().unwrap();
        assert_eq!(gone, None);
    }
}
