//! What a location resolves to in a process.

use super::address::{Avma, FileOffset, Svma};
use super::issue::Issue;
use super::location::{Expression, Location};
use super::reason::Reason;
use super::serial;
use super::types::{TypeGraph, TypeId};
use serde::{Deserialize, Serialize};

/// A place in the source, in the user's words, parsed but not yet looked up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LocationSpec {
    /// `function`, `module!function`, `function+0x12`, `function@caller`.
    Function {
        /// Only in the module with this name or build-id.
        module: Option<String>,
        /// Mangled, demangled, or an unambiguous suffix of the demangled name.
        name: String,
        /// Bytes from the function's start; `None` is its entry.
        offset: Option<u64>,
    },
    /// `file:line`.
    Line {
        /// The file's path or an unambiguous tail of it.
        file: String,
        /// Line number, from 1.
        line: u64,
    },
    /// `*0x401136`: an address in the running process.
    Address(Avma),
}

/// The sites of a location, with the types of all their variables.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Resolved {
    /// At least one.
    pub sites: Vec<Site>,
    /// The types that the sites' variables mention.
    pub types: TypeGraph,
    /// Places of the location that can't be probed, while others can.
    pub issues: Vec<Issue>,
}

impl Resolved {
    /// Does without breakpoints at entries: what is gone is told as gone.
    pub fn leave_entries(&mut self) {
        self.sites.iter_mut().for_each(|site| site.entry = None);
    }
}

/// Index of a module in the list that resolve was given.
pub type ModuleIndex = usize;

/// An address that can be probed, with what is alive there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Site {
    /// The module it is in.
    pub module: ModuleIndex,
    /// The address that the location means.
    pub requested: Avma,
    /// The address that is probed.
    pub pc: Avma,
    /// The same, as stated in the file.
    pub svma: Svma,
    /// The same, in the file.
    pub file_offset: FileOffset,
    /// The bytes of the instruction, as they are in the file.
    pub instruction: Vec<u8>,
    /// The instruction, disassembled.
    pub disassembly: String,
    /// What its trap costs.
    pub trap: TrapClass,
    /// Why this pc: one sentence for people.
    pub why: String,
    /// The function, demangled; `None` where nothing names it.
    pub function: Option<String>,
    /// The functions that the code is inlined into, the one that calls first, the one that it is part
    /// of last; empty where it is a function's own.
    pub inlined_into: Vec<InlinedInto>,
    /// Source file and line of `pc`.
    pub line: Option<SourceLine>,
    /// The canonical frame address at `pc`, by CFI.
    #[serde(with = "serial::words")]
    pub cfa: Option<Expression>,
    /// Variables in scope at `pc`, innermost scope first.
    pub variables: Vec<ScopedVariable>,
    /// Where its function is entered, if that tells values that are gone at `pc`.
    pub entry: Option<Entry>,
}

/// Where a function is entered: a second breakpoint that keeps the registers of each call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The address that is probed: the first instruction, or one of the next that means the same.
    pub pc: Avma,
    /// The same, in the file.
    pub file_offset: FileOffset,
    /// The bytes of the instruction, as they are in the file.
    pub instruction: Vec<u8>,
    /// What its trap costs.
    pub trap: TrapClass,
    /// The canonical frame address at `pc` is the stack pointer plus this.
    pub frame_offset: u32,
    /// Registers that the function has not saved yet at `pc` and that it restores for its caller,
    /// as bits by DWARF number.
    pub untouched: u32,
}

/// A function that another one is inlined into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InlinedInto {
    /// Its name, demangled; `None` where nothing names it.
    pub function: Option<String>,
    /// Where the call is in it.
    pub line: Option<SourceLine>,
}

/// How the kernel executes a probed instruction; it decides what a hit costs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum TrapClass {
    /// Emulated by the kernel: one exception.
    Emulated,
    /// Single-stepped out of line: two exceptions.
    SingleStepped,
}

/// A line of source.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SourceLine {
    /// The path as the compiler recorded it.
    pub file: String,
    /// From 1; 0 where the compiler gives none.
    pub line: u64,
}

/// A variable at one pc.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScopedVariable {
    /// Its name in the source.
    pub name: String,
    /// What it is.
    pub kind: VariableKind,
    /// Its type.
    pub type_id: TypeId,
    /// Where it is at this pc, or why it can't be shown.
    pub location: Result<Location, Reason>,
    /// Where `location` has no value: the value as it was when the function was entered, by what
    /// registers held then. Debug info that gives one for this pc says that it is the same still;
    /// of a parameter without any, the function may have changed it since.
    pub at_entry: Option<Location>,
    /// Where `location` has no value: the value as it was at another pc.
    pub moved: Option<Moved>,
    /// Number of inlined calls around its scope: the function whose code this is has the highest
    /// number among the frames at this pc; 0 is the innermost inlined function.
    pub inline_depth: u32,
}

/// A value of another pc of the same run of the code, by what is the same still, or already.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// What to read at the site.
    pub location: Location,
    /// Where debug info says that this is the variable.
    pub other: OtherPc,
}

/// A pc that a value is of, which is not that of the hit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OtherPc {
    /// The pc.
    pub pc: Avma,
    /// Where in the source the variable's function is there.
    pub line: Option<SourceLine>,
}

/// Where a variable has a location that it does not have at a site.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Elsewhere {
    /// On the nearest line of its function where every probe shows it, else on the nearest where
    /// one does.
    Line {
        /// The line.
        line: SourceLine,
        /// An address of it that can be probed and has the variable.
        pc: Avma,
        /// So has every other address that is probed for the line in this function.
        whole: bool,
    },
    /// At no place of its function that can be probed.
    Nowhere,
    /// Not where it was looked for; there are more lines than that.
    NotFound,
}

/// What a variable is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum VariableKind {
    /// DW_TAG_formal_parameter.
    Parameter,
    /// DW_TAG_variable of the function or a block of it.
    Local,
    /// DW_TAG_variable of the unit, outside of all functions.
    Global,
}
