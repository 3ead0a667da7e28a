//! A capture: what people and agents see of one hit.

use super::address::Avma;
use super::resolved::{OtherPc, SourceLine, VariableKind};
use super::value::Typed;
use serde::{Deserialize, Serialize};

/// A decoded hit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// Index of the site in the resolution.
    pub site: usize,
    /// Number of the hit at its site, from 1.
    pub hit: u64,
    /// Nanoseconds since boot.
    pub time_boot_ns: u64,
    /// Nanoseconds since the epoch, by the boot clock's offset at decoding.
    pub time_unix_ns: i128,
    /// When the process started, nanoseconds since boot.
    pub start_boot_ns: u64,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// The cpu of the hit.
    pub cpu: u32,
    /// The thread's name.
    pub comm: Vec<u8>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Why the list of frames ends.
    pub stack_end: StackEnd,
    /// Limits met, [`tracer_common::status::flags`].
    pub flags: u16,
    /// The registers by DWARF number ([`tracer_common::wire`]).
    pub registers: Vec<u64>,
}

/// A frame of the stack.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Frame {
    /// The pc; for a caller the return address.
    pub pc: Avma,
    /// The function, demangled.
    pub function: Option<String>,
    /// The module's file name.
    pub module: Option<String>,
    /// Where in the source.
    pub line: Option<SourceLine>,
    /// This frame was inlined into the next one.
    pub inlined: bool,
    /// How it was found.
    pub how: How,
    /// Its variables (of the frames at the hit's pc).
    pub variables: Vec<Variable>,
}

/// How a frame was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum How {
    /// The hit itself: the registers.
    Registers,
    /// By call frame information.
    Cfi,
    /// By the frame pointer, with why CFI did not serve.
    FramePointer(String),
}

/// Why the list of frames ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StackEnd {
    /// The outermost frame was reached.
    Complete,
    /// The copied part of the stack ends; `--stack` raises it.
    StackCut,
    /// No way to find the caller: what was tried.
    Lost(String),
}

/// A variable of a frame.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VariableKind,
    /// Its value.
    pub value: Typed,
    /// Where the value came from.
    pub provenance: Provenance,
    /// The pc that the value is of, for [`Provenance::MovedPc`].
    pub moved: Option<OtherPc>,
}

/// Where a value came from; of several places, the last one in this order counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Provenance {
    /// It was where debug info says that it lives at this pc.
    Live,
    /// The compiler knew it: a constant.
    Constant,
    /// It was not in memory at the hit. It is in the file that is mapped there, and nobody has
    /// written to it.
    MappedFile,
    /// It was not in memory at the hit. Nobody has written to its page yet: it is zero.
    Untouched,
    /// It was not in memory at the hit and was read right after it: it may have changed between.
    ReadAfterHit,
    /// What the caller passed when the function was entered, by the description of the call
    /// (DW_TAG_call_site). A parameter may have been changed since.
    EntryValue,
    /// The same, as a breakpoint at the function's entry kept it.
    EntryProbe,
    /// What it was at another pc that the code came from. It may have been assigned in between to
    /// something that the compiler did not keep.
    MovedPc,
    /// It is not available.
    None,
}
