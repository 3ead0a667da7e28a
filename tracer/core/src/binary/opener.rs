//! Who opens the files of a process: we ourselves, or somebody who may while we may not.

use super::debugfile::{Attempt, hex};
use super::debuginfod::DebugServers;
use super::elf::ElfFile;
use super::open::{self, FileId, MappedFile, Root};
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::Mapping;
use crate::model::serial;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Opens the files of one process, and debug files for them.
pub trait Opener: fmt::Debug + Send + Sync {
    /// The file behind a mapping.
    ///
    /// # Errors
    ///
    /// Those of [`open::of_process`].
    fn mapped(&self, mapping: &Mapping) -> Result<File, Issue>;
    /// The directories that debug files may be in: the root of the process, then ours where that is
    /// another one.
    fn roots(&self) -> Vec<RootName>;
    /// A file by its path in the root with this number.
    ///
    /// # Errors
    ///
    /// Those of [`Root::open`].
    fn open(&self, root: usize, path: &Path) -> Result<File, Errno>;
    /// The debug file of a build-id, from a server.
    ///
    /// # Errors
    ///
    /// Which servers were asked in vain; none where there are none.
    fn fetch(&self, build_id: &[u8]) -> Result<File, Vec<Attempt>>;
    /// What is done next is done with the file of this mapping.
    fn turn_to(&self, _mapping: &Mapping) {}
}

/// What is known of a root without opening anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RootName {
    /// How it is called in messages.
    #[serde(with = "serial::path")]
    pub prefix: PathBuf,
    /// Device and inode.
    pub id: Option<(u64, u64)>,
}

/// Opens by the rights of this process.
#[derive(Debug)]
pub struct Local {
    pid: u32,
    roots: Vec<Root>,
    servers: Option<DebugServers>,
    /// When the process was there, since the epoch.
    looked_at: Duration,
}

impl Local {
    /// For the files of a process. What `reader` may not read is not opened, but for what is mapped.
    pub fn of_process(pid: u32, reader: Caller, servers: Option<DebugServers>) -> Self {
        let roots = match (Root::of_process(pid).ok(), Root::host().ok()) {
            (Some(target), Some(host)) if !target.is_same(&host) => vec![target, host],
            (target, host) => host.or(target).into_iter().collect(),
        };
        let roots = roots.into_iter().map(|root| root.read_by(reader)).collect();
        let looked_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid, roots, servers, looked_at }
    }

    /// For files that no process has mapped.
    pub fn of_host() -> Self {
        let roots = Root::host().into_iter().collect();
        Self { pid: 0, roots, servers: None, looked_at: Duration::ZERO }
    }
}

impl Local {
    /// The file behind a mapping of the process, when that is gone: a hit may be decoded then, and a
    /// file first be needed.
    pub fn of_ended(&self, mapping: &Mapping) -> Option<File> {
        open::of_ended(self.roots.first()?, mapping, self.looked_at)
    }
}

impl Opener for Local {
    fn mapped(&self, mapping: &Mapping) -> Result<File, Issue> {
        open::of_process(self.pid, mapping)
    }

    fn roots(&self) -> Vec<RootName> {
        let name = |root: &Root| RootName { prefix: root.prefix().to_path_buf(), id: root.id() };
        self.roots.iter().map(name).collect()
    }

    fn open(&self, root: usize, path: &Path) -> Result<File, Errno> {
        self.roots.get(root).ok_or(Errno::NOENT)?.open_file(path)
    }

    fn fetch(&self, build_id: &[u8]) -> Result<File, Vec<Attempt>> {
        let Some(servers) = &self.servers else { return Err(Vec::new()) };
        let attempt = |(url, why)| Attempt { path: PathBuf::from(url), why };
        let elf = servers
            .find(build_id)
            .map_err(|tried| tried.into_iter().map(attempt).collect::<Vec<_>>())?;
        // Without a file descriptor more it is as if there were none.
        let own = elf.file().fd().try_clone_to_owned().map(File::from);
        own.map_err(|_| Vec::new())
    }
}

thread_local! {
    static BEHALF: RefCell<Option<Arc<dyn Opener>>> = const { RefCell::new(None) };
}

/// Opens by the one for whom the thread works: what was read of a file is shared by all who need it,
/// and more of it is opened for whoever asks then.
#[derive(Debug)]
pub struct OnBehalf;

/// For whom this thread works.
pub(super) fn behalf() -> Option<Arc<dyn Opener>> {
    BEHALF.with_borrow(Clone::clone)
}

/// From now on this thread works for `opener`.
pub fn work_for(opener: Option<Arc<dyn Opener>>) {
    BEHALF.with_borrow_mut(|behalf| *behalf = opener);
}

impl Opener for OnBehalf {
    fn mapped(&self, mapping: &Mapping) -> Result<File, Issue> {
        match behalf() {
            Some(opener) => opener.mapped(mapping),
            None => {
                Err(Issue::new(IssueKind::NoPermission, mapping.path.display().to_string(), ""))
            }
        }
    }

    fn roots(&self) -> Vec<RootName> {
        behalf().map(|opener| opener.roots()).unwrap_or_default()
    }

    fn open(&self, root: usize, path: &Path) -> Result<File, Errno> {
        behalf().ok_or(Errno::ACCESS)?.open(root, path)
    }

    fn fetch(&self, build_id: &[u8]) -> Result<File, Vec<Attempt>> {
        behalf().ok_or_else(Vec::new)?.fetch(build_id)
    }

    fn turn_to(&self, mapping: &Mapping) {
        if let Some(opener) = behalf() {
            opener.turn_to(mapping);
        }
    }
}

/// A directory that debug files may be in.
#[derive(Clone, Debug)]
pub(super) struct FileRoot {
    opener: Arc<dyn Opener>,
    number: usize,
    name: RootName,
}

impl FileRoot {
    /// All that an opener knows.
    pub(super) fn all(opener: &Arc<dyn Opener>) -> Vec<Self> {
        let names = opener.roots().into_iter().enumerate();
        let root = |(number, name)| Self { opener: Arc::clone(opener), number, name };
        names.map(root).collect()
    }

    /// Opens and maps a regular file by its path in this root.
    pub(super) fn open(&self, path: &Path) -> Result<MappedFile, Errno> {
        MappedFile::new(self.opener.open(self.number, path)?, path.to_path_buf())
    }

    /// How a path in this root is called outside of it.
    pub(super) fn show(&self, path: &Path) -> PathBuf {
        open::shown(&self.name.prefix, path)
    }

    /// Tells it from others.
    pub(super) fn id(&self) -> Option<(u64, u64)> {
        self.name.id
    }
}

/// The debug file of a build-id from a server, which may give what it likes.
pub(super) fn fetched(opener: &dyn Opener, id: &[u8], tried: &mut Vec<Attempt>) -> Option<ElfFile> {
    match opener.fetch(id) {
        Ok(file) => {
            let mapped = MappedFile::new(file, PathBuf::from(format!("{}.debug", hex(id)))).ok()?;
            ElfFile::parse(mapped).ok().filter(|elf| elf.build_id() == Some(id))
        }
        Err(attempts) => {
            tried.extend(attempts);
            None
        }
    }
}

/// What tells a file that was opened from all others.
///
/// # Errors
///
/// What the kernel answers.
pub fn id_of(file: &File) -> Result<FileId, Errno> {
    Ok(FileId::of(&rustix::fs::fstat(file)?))
}
