//! What decode asks about the code of a process, so that it needs no files and no process.

use super::cfi::UnwindRow;
use crate::model::address::Avma;
use crate::model::resolved::SourceLine;

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
    /// The name of the symbol that starts exactly at `address` (for function pointers).
    fn symbol_at(&self, address: Avma) -> Option<String>;
}

/// A function that a pc is in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CodeFrame {
    /// Its name, demangled.
    pub function: Option<String>,
    /// Where in the source the pc is, as seen from this frame.
    pub line: Option<SourceLine>,
}
