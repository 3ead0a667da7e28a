//! A process and what is mapped into it.

use super::address::{Avma, FileOffset};
use super::serial;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A process that can't be confused with a later one of the same pid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id as seen from the initial pid namespace.
    pub pid: u32,
    /// Start time in clock ticks of 10 ms since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
}

/// Which process a probe is wanted in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProcessSpec {
    /// The one with this pid, as seen from the caller.
    Pid(u32),
    /// The first one of the caller that runs this file, now or later.
    Exe(PathBuf),
}

impl fmt::Display for ProcessSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::Exe(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A running process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Which one.
    pub id: ProcessId,
    /// The name of its main thread.
    pub comm: Vec<u8>,
    /// What `/proc/PID/exe` points to.
    #[serde(with = "serial::path")]
    pub exe: PathBuf,
    /// `/proc/PID/maps`, in address order.
    pub mappings: Vec<Mapping>,
}

/// A line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mapping {
    /// Where it is in the process.
    pub range: Range<Avma>,
    /// Where it starts in the file.
    pub file_offset: FileOffset,
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
    /// Shared (`s`), not private (`p`).
    pub shared: bool,
    /// Device (major, minor) and inode of the file; inode 0 is anonymous memory.
    pub file: (u32, u32, u64),
    /// The path as the kernel shows it, without a ` (deleted)` suffix; empty or `[stack]`, … for
    /// memory that is not a file's.
    #[serde(with = "serial::path")]
    pub path: PathBuf,
}

impl Process {
    /// The mapping that holds `address`.
    pub fn mapping_at(&self, address: Avma) -> Option<&Mapping> {
        let index = self.mappings.partition_point(|m| m.range.end <= address);
        self.mappings.get(index).filter(|m| m.range.contains(&address))
    }
}
