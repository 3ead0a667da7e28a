//! What `find`, `vars` and `doctor` give to a door.

use super::event::ModuleLabel;
use crate::model::address::{Avma, Svma};
use crate::model::issue::Issue;
use crate::model::process::Process;
use crate::model::reason::Reason;
use crate::model::resolved::{Elsewhere, InlinedInto, SourceLine, TrapClass, VariableKind};
use serde::{Deserialize, Serialize};

/// A function of a process that can be asked for by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// Copies of it that are inlined into other functions.
    pub copies: u64,
    /// Some of the functions that call it there.
    pub callers: Vec<String>,
}

/// What a location means in a process and what could be seen there.
#[derive(Clone, Debug)]
pub struct Vars {
    /// The place as the user wrote it.
    pub location_text: String,
    /// The target.
    pub process: Process,
    /// At least one.
    pub sites: Vec<SiteVars>,
    /// Places of the location that can't be probed.
    pub issues: Vec<Issue>,
}

/// A site with the variables of its frames.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SiteVars {
    /// The address that the location means.
    pub requested: Avma,
    /// The address that would be probed.
    pub pc: Avma,
    /// Why this pc.
    pub why: String,
    /// The instruction there, disassembled.
    pub disassembly: String,
    /// What its trap costs.
    pub trap: TrapClass,
    /// The module.
    pub module: ModuleLabel,
    /// The functions that the code of what was asked for is inlined into, the one that calls first.
    pub inlined_into: Vec<InlinedInto>,
    /// The functions that the pc is in, innermost inlined first, the physical one last; at least
    /// one.
    pub frames: Vec<FrameVars>,
}

/// A function that a pc is in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FrameVars {
    /// Its name, demangled.
    pub function: Option<String>,
    /// Where it is in the source.
    pub line: Option<SourceLine>,
    /// Its code is part of the next frame's.
    pub inlined: bool,
    /// Its variables: those in scope, innermost scope first; then, in the first frame, those that
    /// are in scope on its other lines only.
    pub variables: Vec<Placed>,
}

/// A variable with its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// Its name in the source.
    pub name: String,
    /// Its type, as the language writes it.
    pub type_name: String,
    /// What it is.
    pub kind: VariableKind,
    /// Where it is, in words: `in rdi`, `at CFA-40 (rbp-24)`, `constant 7`.
    pub place: Result<String, Missing>,
}

/// Why a variable can't be shown at a site, and where it can.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// Why not here.
    pub reason: Reason,
    /// Where instead.
    pub elsewhere: Elsewhere,
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
