//! What decode asks about the code of a process, so that it needs no files and no process.

use super::cfi::UnwindRow;
use crate::model::address::Avma;
use crate::model::location::Steps;
use crate::model::reason::Reason;
use crate::model::resolved::SourceLine;
use std::sync::Arc;

/// The code of a process.
pub trait CodeMap {
    /// The file name of the module that holds `pc`.
    fn module_name(&self, pc: Avma) -> Option<String>;
    /// How to unwind from `pc`.
    ///
    /// # Errors
    ///
    /// Why there is no row: no module, no CFI, malformed CFI.
    fn unwind_row(&self, pc: Avma) -> Result<UnwindRow, String>;
    /// The functions that `pc` is in, innermost inlined first, the physical function last.
    /// Empty where nothing is known.
    fn frames(&self, pc: Avma) -> Vec<CodeFrame>;
    /// What debug info tells of the call that returns to `return_address`, by which the function
    /// around `callee` was entered.
    ///
    /// # Errors
    ///
    /// Why nothing is known, or not whether that call led there.
    fn call_site(&self, return_address: Avma, callee: Avma) -> Result<Arc<CallSite>, String>;
    /// The name of the symbol that starts exactly at `address` (for function pointers).
    fn symbol_at(&self, address: Avma) -> Option<String>;
}

/// A call, for the frame of its caller.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CallSite {
    /// For an indirect call, the computation of where it leads, and where it must lead.
    pub target: Option<(Steps, Avma)>,
    /// What was passed in registers, by their DWARF numbers.
    pub arguments: Vec<(u8, Result<Steps, Reason>)>,
}

/// A function that a pc is in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CodeFrame {
    /// Its name, demangled.
    pub function: Option<String>,
    /// Where in the source the pc is, as seen from this frame.
    pub line: Option<SourceLine>,
}
