//! Checks of a target's code before and after a breakpoint is placed there.

use super::error::AttachError;
use crate::model::address::{Avma, FileOffset};
use crate::model::issue::{Issue, IssueKind};
use rustix::io::{Errno, pread};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a page of the file may take to arrive. The kernel reads it while every fork on the
/// machine waits, so it must be in the page cache before.
const PAGE_DEADLINE: Duration = Duration::from_secs(2);
/// Bytes that are compared at a site.
pub const COMPARED_BYTES: usize = 16;

/// The magic number of overlayfs in statfs(2).
pub(super) const OVERLAY: u64 = 0x794c_7630;
/// That of tmpfs, which shared memory is of too.
pub(super) const TMPFS: u64 = 0x0102_1994;
/// Filesystems that don't stall: magic numbers of statfs(2).
const FILESYSTEMS: &[(u64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (OVERLAY, "overlay"),
    (TMPFS, "tmpfs"),
];

/// Refuses a file whose filesystem could stall the machine.
///
/// # Errors
///
/// [`IssueKind::UnsupportedFilesystem`].
pub fn check_filesystem(file: BorrowedFd<'_>, name: &str) -> Result<(), Issue> {
    let unsupported = |detail| Issue::new(IssueKind::UnsupportedFilesystem, name, detail);
    let stat = rustix::fs::fstatfs(file).map_err(|e| unsupported(e.to_string()))?;
    let magic = stat.f_type as u64;
    if FILESYSTEMS.iter().any(|(known, _)| *known == magic) {
        return Ok(());
    }
    Err(unsupported(format!("filesystem type {magic:#x}")))
}

/// Reads the bytes of a site from the file within a deadline, so that its page is in memory.
///
/// # Errors
///
/// [`IssueKind::UnsupportedFilesystem`] when the deadline passes, [`IssueKind::MalformedFile`]
/// when the file is too short; the kernel's when it has no thread for it.
pub fn read_page_first(
    file: BorrowedFd<'_>,
    offset: FileOffset,
    name: &str,
) -> Result<Vec<u8>, AttachError> {
    let file: OwnedFd = file
        .try_clone_to_owned()
        .map_err(|e| Issue::new(IssueKind::MalformedFile, name, e.to_string()))?;
    let (send, receive) = mpsc::channel();
    // A thread of its own: a read from a hung filesystem can't be interrupted, only left behind.
    let reader = thread::Builder::new().name("page".to_owned()).spawn(move || {
        let mut bytes = [0; COMPARED_BYTES];
        let read = pread(file.as_fd(), &mut bytes, offset.0).map(|n| bytes[..n].to_vec());
        // The receiver is gone when the deadline passed; nobody needs the bytes then.
        drop(send.send(read));
    });
    // Without a thread there is no deadline.
    reader.map_err(|e| AttachError::kernel("a thread", e))?;
    match receive.recv_timeout(PAGE_DEADLINE) {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(e)) => Err(Issue::new(IssueKind::MalformedFile, name, e.to_string()).into()),
        Err(_) => {
            let detail = format!("a page did not arrive within {} s", PAGE_DEADLINE.as_secs());
            Err(Issue::new(IssueKind::UnsupportedFilesystem, name, detail).into())
        }
    }
}

/// Code of a process as it is in memory now.
///
/// # Errors
///
/// [`IssueKind::ProcessGone`] or [`IssueKind::NoPermission`].
pub fn process_bytes(pid: u32, address: Avma, length: usize) -> Result<Vec<u8>, Issue> {
    let subject = format!("process {pid}");
    let error = |e: std::io::Error| match Errno::from_io_error(&e) {
        Some(Errno::ACCESS | Errno::PERM) => {
            Issue::new(IssueKind::NoPermission, &subject, "reading its memory")
        }
        Some(Errno::IO) => Issue::new(IssueKind::NotMapped, &subject, format!("at {address}")),
        _ => Issue::new(IssueKind::ProcessGone, &subject, e.to_string()),
    };
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(error)?;
    let mut bytes = vec![0; length];
    let read = memory.read_at(&mut bytes, address.0).map_err(error)?;
    if read == 0 {
        return Err(Issue::new(IssueKind::ProcessGone, &subject, "its memory is gone"));
    }
    bytes.truncate(read);
    Ok(bytes)
}
