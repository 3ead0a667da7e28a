//! What was read of files, kept between requests and shared by all processes that map them.
//!
//! A file is known by its identity, looked at each time it is used: a file that was replaced or
//! written to is another one. The debug files that were found for it are part of the identity, so
//! that they are looked for each time too, in the root of the process that asks: what lies in one
//! container tells nothing of another.

use super::debugfile::Attempt;
use super::file_code::FileCode;
use super::files::Files;
use super::index_store::IndexStore;
use super::open::FileId;
use crate::model::caller::Caller;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Files that are kept, at most; each holds up to six file descriptors, and one for each `.dwo` file.
const FILES_MAX: usize = 256;

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheOptions {
    /// Bytes of memory beside the mapped files.
    pub bytes_max: usize,
    /// How long a file must have been as it is. One that changes twice within a tick of the
    /// filesystem's clock looks the same before and after.
    pub settled_after: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { bytes_max: 64 << 20, settled_after: Duration::from_secs(2) }
    }
}

/// How the cache stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CacheReadings {
    /// Files that are kept.
    pub entries: u64,
    /// Bytes that they take beside the mapped files: an estimate.
    pub bytes: u64,
    /// Bytes that they may take while they are not in use.
    pub bytes_max: u64,
    /// Files that were known when they were asked for.
    pub hits: u64,
    /// Files that were not.
    pub misses: u64,
    /// Files that were given up for others.
    pub evictions: u64,
    /// Indices of debug info that were found on disk.
    pub index_hits: u64,
    /// Indices that were not.
    pub index_misses: u64,
}

/// Files with what was read of them.
#[derive(Debug, Default)]
pub struct Cache {
    options: CacheOptions,
    store: Option<Arc<IndexStore>>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Identity, Entry>,
    /// Counts the uses.
    uses: u64,
    readings: CacheReadings,
}

#[derive(Debug)]
struct Entry {
    code: Arc<FileCode>,
    last_use: u64,
}

/// What decides what is read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Identity {
    /// For whom: what one user made known is nothing to another.
    reader: Caller,
    /// Messages name it.
    path: PathBuf,
    file: FileId,
    separate: Option<FileId>,
    supplementary: Option<FileId>,
    package: Option<FileId>,
    /// Where files of split units are looked for.
    roots: Vec<(u64, u64)>,
    tried: Vec<Attempt>,
}

impl Cache {
    /// Nothing is kept yet, but what `store` has of files that were read before.
    pub fn new(options: CacheOptions, store: Option<IndexStore>) -> Self {
        Self { options, store: store.map(Arc::new), kept: Mutex::default() }
    }

    /// What is kept of these files, or the start of it. Only for root an index on disk serves: of a
    /// user's file it might hold what the user wants others to believe of another one.
    pub(super) fn get(&self, files: Files, reader: Caller) -> Arc<FileCode> {
        let identity = Identity::of(&files, reader);
        let mut kept = self.kept();
        kept.uses += 1;
        let last_use = kept.uses;
        if let Some(entry) = kept.files.get_mut(&identity) {
            entry.last_use = last_use;
            let code = Arc::clone(&entry.code);
            kept.readings.hits += 1;
            return code;
        }
        kept.readings.misses += 1;
        let settled = identity.is_settled(self.options.settled_after);
        let store = self.store.clone().filter(|_| settled && reader == Caller::Root);
        let code = Arc::new(FileCode::new(files, store));
        if settled {
            // Nobody will ask for what the file was before.
            kept.files.retain(|other, _| !other.is_other_state_of(&identity));
            kept.files.insert(identity, Entry { code: Arc::clone(&code), last_use });
        }
        code
    }

    /// Gives up what is too much, the least recently used first, and the pages of all files that
    /// are not in use. What is in use stays, whatever it takes.
    pub fn trim(&self) {
        let mut kept = self.kept();
        kept.files.retain(|_, entry| entry.is_in_use() || !entry.code.has_failed());
        for entry in kept.files.values().filter(|entry| !entry.is_in_use()) {
            entry.code.files().release();
        }
        let mut bytes: usize = kept.files.values().map(|entry| entry.code.bytes()).sum();
        while bytes > self.options.bytes_max || kept.files.len() > FILES_MAX {
            let unused = kept.files.iter().filter(|(_, entry)| !entry.is_in_use());
            let oldest = unused.min_by_key(|(_, entry)| entry.last_use);
            let Some(identity) = oldest.map(|(identity, _)| identity.clone()) else { break };
            if let Some(entry) = kept.files.remove(&identity) {
                bytes = bytes.saturating_sub(entry.code.bytes());
                kept.readings.evictions += 1;
            }
        }
    }

    /// How it stands.
    pub fn readings(&self) -> CacheReadings {
        let kept = self.kept();
        let bytes: usize = kept.files.values().map(|entry| entry.code.bytes()).sum();
        let store = self.store.as_ref().map(|store| store.hits_and_misses());
        let (index_hits, index_misses) = store.unwrap_or_default();
        CacheReadings {
            index_hits,
            index_misses,
            entries: kept.files.len() as u64,
            bytes: bytes as u64,
            bytes_max: self.options.bytes_max as u64,
            ..kept.readings
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is complete before anything can go wrong.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.code) > 1
    }
}

impl Identity {
    fn of(files: &Files, reader: Caller) -> Self {
        let id = |file: &Option<super::elf::ElfFile>| file.as_ref().map(|file| file.file().id());
        Self {
            reader,
            path: files.elf.path().to_path_buf(),
            file: files.elf.file().id(),
            separate: id(&files.debug.separate),
            supplementary: id(&files.debug.supplementary),
            package: id(&files.debug.package),
            roots: files.debug.places.ids(),
            tried: files.debug.tried.clone(),
        }
    }

    fn is_settled(&self, after: Duration) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let all = [Some(self.file), self.separate, self.supplementary, self.package];
        all.into_iter().flatten().all(|file| file.is_settled(now, after))
    }

    fn is_other_state_of(&self, other: &Self) -> bool {
        self.path == other.path && self.file.is_same_inode(other.file) && self.file != other.file
    }
}

#[cfg(test)]
mod tests;
