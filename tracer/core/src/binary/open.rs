//! Files of a process and debug files: opened inside their root only, mapped, and held by fd.

use super::guard::GuardedMap;
use super::remote::remote_filesystem;
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::Mapping;
use memmap2::{Mmap, UncheckedAdvice};
use rustix::fs::{FileType, MemfdFlags, Mode, OFlags, ResolveFlags, SealFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Where distributions put separate debug files.
pub const DEBUG_DIRECTORY: &str = "/usr/lib/debug";
/// Rights of one class of users in a file's mode.
const READ: u32 = 0o4;
const SEARCH: u32 = 0o1;
/// Tries for a path that is being renamed while it is resolved (openat2(2), `EAGAIN`).
const RESOLVE_TRIES: u32 = 16;

/// A directory that paths are resolved in; no symbolic link and no `..` leads out of it.
#[derive(Debug)]
pub struct Root {
    prefix: PathBuf,
    directory: OwnedFd,
    reader: Caller,
}

impl Root {
    /// The root directory of the process itself.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn host() -> Result<Self, Errno> {
        Self::at(Path::new("/"), PathBuf::new())
    }

    /// The root directory of another process.
    ///
    /// # Errors
    ///
    /// What the kernel answers; `EACCES` without the right to trace it.
    pub fn of_process(pid: u32) -> Result<Self, Errno> {
        let path = PathBuf::from(format!("/proc/{pid}/root"));
        Self::at(&path, path.clone())
    }

    /// A directory that paths are resolved in, shown as `prefix` in messages.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn at(path: &Path, prefix: PathBuf) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { prefix, directory, reader: Caller::Root })
    }

    /// The same directory, where only what `reader` may read is opened: who may not read a file
    /// must not make us read it for them. Nor does a symbolic link count then, for they may have
    /// made it; and their supplementary groups do not, for we don't know them.
    pub fn read_by(self, reader: Caller) -> Self {
        Self { reader, ..self }
    }

    /// Both are the same directory.
    pub fn is_same(&self, other: &Self) -> bool {
        self.id().is_some_and(|id| other.id() == Some(id))
    }

    /// Device and inode of the directory.
    pub(super) fn id(&self) -> Option<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.directory).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// How `path` inside this root is called outside of it.
    pub fn show(&self, path: &Path) -> PathBuf {
        shown(&self.prefix, path)
    }

    /// What stands before its paths outside of it; empty for the root of this process.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Opens and maps a regular file. `path` is taken from this root, with or without a leading
    /// slash.
    ///
    /// # Errors
    ///
    /// What the kernel answers; `EINVAL` for anything but a regular file.
    pub fn open(&self, path: &Path) -> Result<MappedFile, Errno> {
        MappedFile::new(self.open_file(path)?, path.to_path_buf())
    }

    /// Opens a regular file, as [`Self::open`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`].
    pub(super) fn open_file(&self, path: &Path) -> Result<File, Errno> {
        match self.reader {
            Caller::User { uid, gid } if !self.is_ours(path) => self.open_as(path, uid, gid),
            _ => self.open_any(path),
        }
    }

    /// What the system's administrator put there for all.
    fn is_ours(&self, path: &Path) -> bool {
        let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        self.prefix.as_os_str().is_empty()
            && path.starts_with(DEBUG_DIRECTORY)
            && path.components().all(is_plain)
    }

    /// Goes the way to `path` step by step, as far as a user may.
    fn open_as(&self, path: &Path, uid: u32, gid: u32) -> Result<File, Errno> {
        let may = |handle: &OwnedFd, right: u32| -> Result<(), Errno> {
            let stat = rustix::fs::fstat(handle)?;
            let shift = match (stat.st_uid == uid, stat.st_gid == gid) {
                (true, _) => 6,
                (false, true) => 3,
                (false, false) => 0,
            };
            if (stat.st_mode >> shift) & right != 0 { Ok(()) } else { Err(Errno::ACCESS) }
        };
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut handle = rustix::io::dup(&self.directory)?;
        for part in path.strip_prefix("/").unwrap_or(path).components() {
            let Component::Normal(name) = part else { return Err(Errno::ACCESS) };
            may(&handle, SEARCH)?;
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            handle = rustix::fs::openat2(&handle, name, flags, Mode::empty(), resolve)?;
        }
        may(&handle, READ)?;
        reopen(&handle)
    }

    fn open_any(&self, path: &Path) -> Result<File, Errno> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let mut tries = 0;
        let handle = loop {
            tries += 1;
            match rustix::fs::openat2(&self.directory, inside, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if tries < RESOLVE_TRIES => {}
                other => break other?,
            }
        };
        reopen(&handle)
    }
}

/// What tells a file from all others and, as long as nobody writes to it through a mapping, its
/// contents from earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId {
    device: u64,
    inode: u64,
    bytes: i64,
    modified_ns: i128,
    changed_ns: i128,
}

impl FileId {
    pub(super) fn of(stat: &Stat) -> Self {
        let ns = |seconds: i64, ns: u64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            bytes: stat.st_size,
            modified_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// The same as numbers; times in ns since the epoch.
    pub fn words(self) -> [u64; 5] {
        // Later than the year 2262, times look the same.
        let ns = |time: i128| i64::try_from(time).unwrap_or(i64::MAX).cast_unsigned();
        let bytes = self.bytes.cast_unsigned();
        [self.device, self.inode, bytes, ns(self.modified_ns), ns(self.changed_ns)]
    }

    /// Both are the same file, in two states or in one.
    pub fn is_same_inode(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// The last change was at least `after` before `now`, a time since the epoch.
    pub fn is_settled(self, now: Duration, after: Duration) -> bool {
        let ns = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        ns(now).saturating_sub(self.changed_ns) >= ns(after)
    }
}

/// A regular file, mapped read-only.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    file: File,
    /// As it was when it was opened.
    id: FileId,
    map: Option<GuardedMap>,
}

impl MappedFile {
    /// A file of our own, as [`own_file`] opens it.
    ///
    /// # Errors
    ///
    /// Those of [`own_file`].
    pub fn own_in(directory: BorrowedFd<'_>, name: &str) -> Result<Self, Errno> {
        Self::new(own_file(directory, name)?, PathBuf::from(name))
    }

    /// Bytes that are in no file, as one that nobody can change.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub(super) fn in_memory(bytes: &[u8], path: &Path) -> Result<Self, Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("debugdata", flags)?);
        file.write_all(bytes).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Self::new(file, path.to_path_buf())
    }

    /// Maps a file that was opened.
    pub(super) fn new(file: File, path: PathBuf) -> Result<Self, Errno> {
        let id = FileId::of(&rustix::fs::fstat(&file)?);
        let map = if id.bytes == 0 { None } else { Some(GuardedMap::new(map(&file)?)?) };
        Ok(Self { path, file, id, map })
    }

    /// The contents.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }

    /// It was truncated since it was opened, or could not be read, and zeros were read instead.
    pub fn is_damaged(&self) -> bool {
        self.map.as_ref().is_some_and(GuardedMap::is_damaged)
    }

    /// Tells the file from all others, and its contents from earlier and later ones.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Gives the pages of the file back that were touched; they are read again when they are
    /// needed. Mapped pages count as our memory.
    pub fn release(&self) {
        let Some(map) = &self.map else { return };
        if let Err(error) = release(map.map()) {
            tracing::debug!(path = %self.path.display(), %error, "pages were not given back");
        }
    }

    /// The open file.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The path inside its root.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file of our own that nobody else may write to, in a directory of our own.
///
/// # Errors
///
/// What the kernel answers; `EPERM` for a file that is another's, or that others may change.
pub(super) fn own_file(directory: BorrowedFd<'_>, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    let stat = rustix::fs::fstat(&file)?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
    if !is_regular || !is_own || stat.st_mode & 0o022 != 0 {
        return Err(Errno::PERM);
    }
    Ok(file)
}

/// How a path inside a root is called outside of it.
pub(super) fn shown(prefix: &Path, path: &Path) -> PathBuf {
    if prefix.as_os_str().is_empty() {
        return path.to_path_buf();
    }
    prefix.join(path.strip_prefix("/").unwrap_or(path))
}

/// The file behind a mapping of a process: by `/proc/PID/map_files`, which reaches deleted and
/// replaced files too, else by its path in the process's root or `/proc/PID/exe`, if that is
/// still the same inode.
///
/// # Errors
///
/// [`IssueKind::NoPermission`], [`IssueKind::ProcessGone`], [`IssueKind::TextChanged`] where
/// the path leads to another file by now, or [`IssueKind::UnsupportedFilesystem`] where opening it
/// could hang.
pub fn of_process(pid: u32, mapping: &Mapping) -> Result<File, Issue> {
    if let Some(filesystem) = remote_filesystem(pid, mapping) {
        let subject = mapping.path.display().to_string();
        let detail = format!("filesystem {filesystem}");
        return Err(Issue::new(IssueKind::UnsupportedFilesystem, subject, detail));
    }
    let range = format!("{:x}-{:x}", mapping.range.start.0, mapping.range.end.0);
    let by_range = format!("/proc/{pid}/map_files/{range}");
    // On some filesystems (btrfs, overlay) the device in `maps` is not the one that stat(2)
    // gives, so the inode is compared only where the kernel does not vouch for the file.
    let refused = match follow(Path::new(&by_range)) {
        Ok(file) => return Ok(file),
        Err(errno) => errno,
    };
    let by_path = Root::of_process(pid).and_then(|root| root.open_any(&mapping.path));
    let by_exe = || follow(Path::new(&format!("/proc/{pid}/exe")));
    let mut replaced = false;
    for file in [by_path].into_iter().chain(std::iter::once_with(by_exe)).flatten() {
        if is_mapped_by(&file, mapping) {
            return Ok(file);
        }
        replaced = true;
    }
    let subject = mapping.path.display().to_string();
    let detail = format!("{by_range}: {refused}");
    Err(match refused {
        Errno::NOENT | Errno::SRCH if has_ended(pid) => {
            Issue::new(IssueKind::ProcessGone, pid.to_string(), subject)
        }
        Errno::PERM | Errno::ACCESS => Issue::new(IssueKind::NoPermission, subject, detail),
        _ if replaced => Issue::new(IssueKind::TextChanged, subject, detail),
        _ => Issue::new(IssueKind::MalformedFile, subject, detail),
    })
}

/// The file behind a mapping of a process that has ended, by its path in what was the root of the
/// process: the same inode, if nothing was done to it from a second before `looked_at` on, a time since
/// the epoch at which it was mapped. An inode that is free may become another file's at once.
pub(super) fn of_ended(root: &Root, mapping: &Mapping, looked_at: Duration) -> Option<File> {
    const SETTLED: Duration = Duration::from_secs(1);
    if remote_filesystem(std::process::id(), mapping).is_some() {
        return None;
    }
    let file = root.open_any(&mapping.path).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let is_untouched = FileId::of(&stat).is_settled(looked_at, SETTLED);
    (is_untouched && is_mapped_by(&file, mapping)).then_some(file)
}

/// A process that has ended has no program any more, though it may be there until its parent has
/// waited for it.
fn has_ended(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_err()
}

/// Follows a link that the kernel made, such as `/proc/PID/exe`.
fn follow(link: &Path) -> Result<File, Errno> {
    reopen(&rustix::fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens what `handle` refers to for reading, if it is a regular file: opening a pipe would
/// block, and opening a device may act on it.
fn reopen(handle: &OwnedFd) -> Result<File, Errno> {
    if FileType::from_raw_mode(rustix::fs::fstat(handle)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(link, flags, Mode::empty())?))
}

fn is_mapped_by(file: &File, mapping: &Mapping) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| {
        let device = stat.st_dev;
        mapping.file == (rustix::fs::major(device), rustix::fs::minor(device), stat.st_ino)
    })
}

#[expect(unsafe_code, reason = "mapping a file is unsafe by nature; the files are large")]
fn map(file: &File) -> Result<Mmap, Errno> {
    // SAFETY: nothing keeps a reference across a change of the bytes that would break an
    // invariant: they are only ever parsed as untrusted bytes, bounds-checked against the mapped
    // length. See `guard.rs` for a file that another process truncates meanwhile.
    unsafe { Mmap::map(file) }.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[expect(unsafe_code, reason = "memmap2 can't know that nothing is written to the mapping")]
fn release(map: &Mmap) -> std::io::Result<()> {
    // SAFETY: the mapping is of a file and read-only, so what is dropped is what the file holds.
    unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_link_does_not_lead_out_of_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("inside"), b"in").unwrap();
        symlink("/inside", path.join("absolute")).unwrap();
        symlink("../../../../../../inside", path.join("upwards")).unwrap();
        symlink("/etc/passwd", path.join("passwd")).unwrap();
        let root = Root::at(path, path.to_path_buf()).unwrap();
        for name in ["inside", "/inside", "/absolute", "/upwards", "../../inside"] {
            assert_eq!(root.open(Path::new(name)).unwrap().bytes(), b"in", "{name}");
        }
        assert_eq!(root.open(Path::new("/passwd")).unwrap_err(), Errno::NOENT);
    }

    #[test]
    fn a_user_gets_what_they_could_read_themselves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let own = path.join("own");
        for (name, mode) in [("closed", 0o700), ("own", 0o755)] {
            std::fs::create_dir(path.join(name)).unwrap();
            std::fs::write(path.join(name).join("file"), b"in").unwrap();
            std::fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
        }
        std::fs::write(own.join("private"), b"in").unwrap();
        std::fs::set_permissions(own.join("private"), Permissions::from_mode(0o600)).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        symlink("../closed/file", own.join("link")).unwrap();
        let user = Caller::User { uid: 54_321, gid: 54_321 };
        let open = |reader, file: &str| {
            let root = Root::at(path, path.to_path_buf()).unwrap().read_by(reader);
            root.open(Path::new(file)).map(drop)
        };
        for file in ["/closed/file", "/own/private", "/own/link", "/own/../closed/file"] {
            assert!(open(user, file).is_err(), "{file}");
            assert_eq!(open(Caller::Root, file), Ok(()), "{file}");
        }
        assert_eq!(open(user, "/closed/nothing"), Err(Errno::ACCESS), "whether it is there");
        assert_eq!(open(user, "/own/file"), Ok(()));
    }

    #[test]
    fn pipes_and_devices_are_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        let root = Root::at(directory.path(), PathBuf::new()).unwrap();
        assert_eq!(root.open(Path::new("/pipe")).unwrap_err(), Errno::INVAL);
        assert_eq!(Root::host().unwrap().open(Path::new("/dev/zero")).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("empty"), b"").unwrap();
        let root = Root::at(directory.path(), PathBuf::new()).unwrap();
        assert!(root.open(Path::new("empty")).unwrap().bytes().is_empty());
    }
}
