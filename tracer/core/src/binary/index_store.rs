//! Where indices are kept on disk, by build-id: a directory of our own, bounded by bytes.
//!
//! An index spares a look at a whole file, so one of another's making could hide what is there: the
//! directory must belong to us and to nobody else. Whatever goes wrong here, the file is read.

use super::index_file::{Fingerprint, IndexFile, Kind, encode};
use super::open::{MappedFile, own_file};
use super::own_directory;
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes that all indices may take; the least recently used ones go.
const BYTES_MAX: u64 = 256 << 20;
/// Debug info that is smaller is read in no time.
const INDEXED_BYTES_MIN: u64 = 8 << 20;

/// Where indices are kept, and how often one was there.
#[derive(Debug)]
pub struct IndexStore {
    files: Box<dyn IndexFiles>,
    indexed_bytes_min: u64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Files of indices, by name.
pub trait IndexFiles: fmt::Debug + Send + Sync {
    /// One that nobody else may write to, if it is there. It counts as used just now.
    fn read(&self, name: &str) -> Option<File>;
    /// Keeps one, if it can be kept.
    fn write(&self, name: &str, bytes: &[u8]);
}

/// A directory of our own.
#[derive(Debug)]
pub struct IndexDirectory {
    path: PathBuf,
    bytes_max: u64,
    directory: OnceLock<Option<OwnedFd>>,
}

/// An index that can be kept on disk.
pub(super) trait Stored: Sized {
    /// What it is of.
    const KIND: Kind;
    /// Its tables.
    fn tables(&self) -> [&[u8]; 3];
    /// The index that a file holds; `None` where its tables don't fit together.
    fn parse(file: &Arc<IndexFile>) -> Option<Self>;
}

impl IndexStore {
    /// Indices in these files.
    pub fn new(files: impl IndexFiles + 'static) -> Self {
        Self::of(Box::new(files), INDEXED_BYTES_MIN)
    }

    /// Indices in a directory with another bound, and for debug info of at least so many bytes.
    #[cfg(test)]
    fn bounded(path: PathBuf, bytes_max: u64, indexed_bytes_min: u64) -> Self {
        let files = IndexDirectory { bytes_max, ..IndexDirectory::new(path) };
        Self::of(Box::new(files), indexed_bytes_min)
    }

    fn of(files: Box<dyn IndexFiles>, indexed_bytes_min: u64) -> Self {
        Self { files, indexed_bytes_min, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// How often an index was there, and how often not.
    pub(super) fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// The debug info is large enough for an index to pay.
    pub(super) fn pays_for(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.bytes >= self.indexed_bytes_min
    }

    /// An index as `parse` reads it or, where there is none that serves, as `build` makes it from
    /// the file: then it is kept for later, if the file `is_whole` after that.
    pub(super) fn get<T: Stored>(
        &self,
        fingerprint: &Fingerprint,
        build: impl Fn() -> T,
        is_whole: impl Fn() -> bool,
    ) -> T {
        if let Some(found) = self.read(fingerprint) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return found;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let built = build();
        if !is_whole() {
            return built;
        }
        self.write(T::KIND, fingerprint, built.tables());
        // What is on disk takes no memory of ours.
        self.read(fingerprint).unwrap_or(built)
    }

    fn read<T: Stored>(&self, fingerprint: &Fingerprint) -> Option<T> {
        let name = name(T::KIND, fingerprint);
        let file = MappedFile::new(self.files.read(&name)?, PathBuf::from(name)).ok()?;
        T::parse(&Arc::new(IndexFile::check(file, T::KIND, fingerprint)?))
    }

    fn write(&self, kind: Kind, fingerprint: &Fingerprint, tables: [&[u8]; 3]) {
        let bytes = encode(kind, fingerprint, tables);
        self.files.write(&name(kind, fingerprint), &bytes);
    }
}

impl IndexFiles for IndexDirectory {
    fn read(&self, name: &str) -> Option<File> {
        let file = own_file(self.directory()?.as_fd(), name).ok()?;
        touch(&file);
        Some(file)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let Some(directory) = self.directory() else { return };
        if let Err(error) = own_directory::write(directory.as_fd(), name, bytes) {
            tracing::debug!(directory = %self.path.display(), %error, "an index was not kept");
        }
        if let Err(error) = bound(directory, self.bytes_max) {
            tracing::debug!(directory = %self.path.display(), %error, "indices were not counted");
        }
    }
}

impl IndexDirectory {
    /// A directory that is made when it is needed.
    pub fn new(path: PathBuf) -> Self {
        Self { path, bytes_max: BYTES_MAX, directory: OnceLock::new() }
    }

    /// Where this user's indices are kept: `TRACER_CACHE_DIR`, else `/var/cache/tracer` for root
    /// and `tracer` in the user's cache directory for others; `None` where there is none.
    pub fn of_user() -> Option<Self> {
        own_directory::path().map(Self::new)
    }

    /// It is the name of an index, and nothing else in the directory has one like it.
    pub fn is_index(name: &str) -> bool {
        let Some((id, suffix)) = name.split_once('.') else { return false };
        let kinds = [Kind::Functions, Kind::Sources, Kind::Types];
        kinds.iter().any(|kind| kind.suffix() == suffix)
            && !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    }

    fn directory(&self) -> Option<&OwnedFd> {
        let open = || match own_directory::open(&self.path) {
            Ok(directory) => Some(directory),
            Err(error) => {
                tracing::debug!(directory = %self.path.display(), %error, "no index is kept");
                None
            }
        };
        self.directory.get_or_init(open).as_ref()
    }
}

fn name(kind: Kind, fingerprint: &Fingerprint) -> String {
    let id = super::debugfile::hex(&fingerprint.build_id);
    let [_, inode, ..] = fingerprint.file;
    // Build-ids are filled up with zeros. A file may be there more than once, in containers.
    format!("{}-{inode:x}.{}", id.trim_end_matches("00"), kind.suffix())
}

/// Marks an index as used just now.
fn touch(file: &File) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    // Without it, it only goes sooner.
    let _touched = rustix::fs::futimens(file, &times);
}

/// Removes the files that were used longest ago until the rest takes no more than `bytes_max`.
pub(super) fn bound(directory: &OwnedFd, bytes_max: u64) -> Result<(), Errno> {
    let mut files = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        let Ok(stat) = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            files.push(((stat.st_mtime, stat.st_mtime_nsec), name, stat.st_size.unsigned_abs()));
        }
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(.., bytes)| bytes).sum();
    for (_, name, size) in files {
        if bytes <= bytes_max {
            break;
        }
        // Another process may have been quicker.
        let _gone = rustix::fs::unlinkat(directory, &name, AtFlags::empty());
        bytes = bytes.saturating_sub(size);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
