//! A file that is mapped in a process, read without touching the process.

use super::PAGE_BYTES;
use crate::attach::text::{self, OVERLAY, TMPFS};
use crate::binary::open;
use crate::model::address::FileOffset;
use crate::model::process::Mapping;
use rustix::fs::{Advice, SeekFrom, fadvise, fstat, fstatfs, seek};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;

/// Times of files are taken from a clock that ticks up to 10 ms late.
const CLOCK_MARGIN_NS: i128 = 100_000_000;

/// A file on a filesystem that does not stall.
#[derive(Debug)]
pub(super) struct DataFile {
    file: File,
    filesystem: u64,
    /// Somebody may load it as a program.
    pub(super) is_elf: bool,
}

/// A page of a file, and whether it is known to be what it was at some time.
#[derive(Debug)]
pub(super) struct FilePage {
    /// Fewer than a page at the end of the file.
    pub(super) bytes: Vec<u8>,
    pub(super) unchanged: bool,
}

impl DataFile {
    /// The file behind a mapping.
    pub(super) fn open(pid: u32, mapping: &Mapping) -> Option<Self> {
        let file = open::of_process(pid, mapping).ok()?;
        text::check_filesystem(file.as_fd(), "").ok()?;
        // Another file may have been mapped at the same place meanwhile.
        if fstat(&file).ok()?.st_ino != mapping.file.2 {
            return None;
        }
        let filesystem = fstatfs(&file).ok()?.f_type as u64;
        // Only the page that is asked for, also in the page cache. A wish, no more.
        fadvise(&file, 0, None, Advice::Random).ok();
        let mut magic = [0; 4];
        let is_elf = file.read_exact_at(&mut magic, 0).is_ok() && &magic == b"\x7fELF";
        Some(Self { file, filesystem, is_elf })
    }

    /// A page of the file as the mapping shows it, or would show it. `start_boot_ns` is when the
    /// process started; that the file is unchanged is told since `since_boot_ns`.
    pub(super) fn read(
        &self,
        offset: FileOffset,
        start_boot_ns: u64,
        since_boot_ns: u64,
    ) -> Option<FilePage> {
        if self.filesystem == TMPFS && self.is_hole(offset) {
            // Who handles the faults of shared memory (userfaultfd) decides what will be there.
            return None;
        }
        let bytes = self.read_page(offset)?;
        let changed = changed_boot_ns(&self.file)?;
        let is_before = |time: u64| changed + CLOCK_MARGIN_NS < i128::from(time);
        if self.filesystem == OVERLAY && !is_before(start_boot_ns) {
            // A file that was written to after it was mapped: the mapping may show the one below.
            return None;
        }
        Some(FilePage { bytes, unchanged: is_before(since_boot_ns) })
    }

    fn is_hole(&self, offset: FileOffset) -> bool {
        !seek(&self.file, SeekFrom::Data(offset.0)).is_ok_and(|data| data == offset.0)
    }

    fn read_page(&self, offset: FileOffset) -> Option<Vec<u8>> {
        let mut bytes = vec![0; PAGE_BYTES as usize];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.0.checked_add(length as u64)?).ok()? {
                0 => break,
                more => length += more,
            }
        }
        bytes.truncate(length);
        (length > 0).then_some(bytes)
    }
}

/// When the file or what is said of it was changed last, in nanoseconds since boot. Nobody can set
/// this time.
fn changed_boot_ns(file: &File) -> Option<i128> {
    let stat = fstat(file).ok()?;
    let now = |clock| {
        let now = clock_gettime(clock);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    };
    let changed = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
    Some(changed - (now(ClockId::Realtime) - now(ClockId::Boottime)))
}
