//! The directory where we keep what takes long to find out: it belongs to us, and nobody else may
//! write to it.

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names of files that are being written start so.
const NEW: &str = ".new-";

/// Why a directory does not serve.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The system refuses it.
    #[error("{0}")]
    System(#[from] Errno),
    /// It is another user's.
    #[error("it belongs to user {0}")]
    Foreign(u32),
    /// Others may write to it.
    #[error("others may write to it (mode {0:o})")]
    Open(u32),
}

/// Where this user's is: `TRACER_CACHE_DIR`, else `/var/cache/tracer` for root and `tracer` in the
/// user's cache directory for others; `None` where there is none.
pub fn path() -> Option<PathBuf> {
    let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let of_user = || {
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from("/var/cache/tracer"));
        }
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        Some(caches?.join("tracer"))
    };
    path("TRACER_CACHE_DIR").or_else(of_user).filter(|path| path.is_absolute())
}

/// Opens it; it is made if it is not there.
///
/// # Errors
///
/// It can't be made, or it is not ours alone.
pub fn open(path: &Path) -> Result<OwnedFd, DirectoryError> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        // The user's cache directory may be missing too.
        Err(Errno::NOENT) if path.parent().is_some_and(|p| p.parent().is_some()) => {
            rustix::fs::mkdir(path.parent().unwrap_or(path), Mode::RWXU)?;
            rustix::fs::mkdir(path, Mode::RWXU)?;
        }
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    check_owner(&rustix::fs::fstat(&directory)?)?;
    Ok(directory)
}

fn check_owner(stat: &Stat) -> Result<(), DirectoryError> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(DirectoryError::Foreign(stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(DirectoryError::Open(stat.st_mode & 0o7777));
    }
    Ok(())
}

/// Writes a file, whole or not at all.
///
/// # Errors
///
/// The system's; nothing is left then.
pub fn write(directory: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = Writing::new(directory)?;
    new.file().write_all(bytes)?;
    new.keep_as(name)
}

/// A file that is being written: it is gone again unless it is kept.
#[derive(Debug)]
pub(super) struct Writing<'d> {
    directory: BorrowedFd<'d>,
    name: String,
    file: File,
}

impl<'d> Writing<'d> {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn new(directory: BorrowedFd<'d>) -> io::Result<Self> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        // Two processes may write the same one.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NEW}{}-{number}", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self { directory, name, file: File::from(file) })
    }

    /// What is written to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// What it is called meanwhile.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives it its name.
    ///
    /// # Errors
    ///
    /// The system's; it is gone then.
    pub(super) fn keep_as(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(self.directory, &self.name, self.directory, name)?)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // It is there no more if it was kept.
        let _gone = rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty());
    }
}
