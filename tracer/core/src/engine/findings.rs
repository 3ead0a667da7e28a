//! What `find` and `doctor` give to a door.

use crate::model::address::{Avma, Svma};
use crate::model::resolved::SourceLine;

/// A function of a process that can be asked for by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its name, demangled.
    pub function: String,
    /// Path of its module in the target.
    pub module: String,
    /// Where it starts, as stated in the file.
    pub svma: Svma,
    /// Where it starts in the process.
    pub address: Avma,
    /// Where it starts in the source; `None` without debug info.
    pub line: Option<SourceLine>,
}

/// One thing that tracer needs from this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What was looked at, in a word or two: `kernel`, `BTF`, `uprobe_multi`.
    pub name: String,
    /// How it stands.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub remedy: String,
}

/// How a [`Check`] stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, with less than the full promises.
    Warn,
    /// It does not work.
    Fail,
}
