//! What is read of a file: the same for all processes that map it.

use super::cfi::{Cfi, CfiSections, Section};
use super::dwarf::DebugInfo;
use super::files::Files;
use super::index_store::IndexStore;
use super::symbols::SymbolTable;
use crate::model::issue::{Issue, IssueKind};
use self_cell::self_cell;
use std::sync::{Arc, OnceLock};

self_cell! {
    struct KeptSymbols {
        owner: Arc<Files>,
        #[covariant]
        dependent: SymbolTable,
    }

    impl {Debug}
}

self_cell! {
    struct KeptCfi {
        owner: Arc<Files>,
        #[covariant]
        dependent: Cfi,
    }

    impl {Debug}
}

/// A file with all that is read from it: read on demand and kept.
#[derive(Debug)]
pub struct FileCode {
    files: Arc<Files>,
    store: Option<Arc<IndexStore>>,
    debug: OnceLock<Result<DebugInfo, Issue>>,
    symbols: OnceLock<Result<KeptSymbols, Issue>>,
    cfi: OnceLock<KeptCfi>,
}

impl FileCode {
    /// Nothing is read yet. Indices of debug info are kept in `store`.
    pub fn new(files: Files, store: Option<Arc<IndexStore>>) -> Self {
        Self {
            files: Arc::new(files),
            store,
            debug: OnceLock::new(),
            symbols: OnceLock::new(),
            cfi: OnceLock::new(),
        }
    }

    /// The file and its debug files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The debug info.
    ///
    /// # Errors
    ///
    /// Those of [`Files::debug_info`]; [`IssueKind::MalformedFile`] where a file was truncated since.
    pub fn debug_info(&self) -> Result<&DebugInfo, Issue> {
        let load = || self.files.debug_info(self.store.clone());
        let info = self.debug.get_or_init(load).as_ref().map_err(Clone::clone);
        let damaged = info.as_ref().map_or_else(|_| self.files.damaged(), |info| info.damaged());
        damaged.map_or(info, Err)
    }

    /// The function symbols.
    ///
    /// # Errors
    ///
    /// Those of [`SymbolTable::load`]; [`IssueKind::MalformedFile`] where a file was truncated since.
    pub fn symbols(&self) -> Result<&SymbolTable<'_>, Issue> {
        let load =
            || KeptSymbols::try_new(Arc::clone(&self.files), |files| SymbolTable::load(files));
        let kept = self.symbols.get_or_init(load).as_ref().map_err(Clone::clone);
        let symbols = kept.map(KeptSymbols::borrow_dependent);
        self.files.damaged().map_or(symbols, Err)
    }

    /// The debug info or the symbols could not be read, or not all of it, which may have had a reason
    /// that passes.
    pub(super) fn has_failed(&self) -> bool {
        let debug = self.debug.get().and_then(|debug| debug.as_ref().ok());
        let is_partial =
            |debug: &DebugInfo| debug.missing_units().is_some() || debug.damaged().is_some();
        if debug.is_some_and(is_partial) {
            return true;
        }
        if self.files.damaged().is_some() {
            return true;
        }
        let is_passing = |issue: &Issue| issue.kind == IssueKind::MalformedFile;
        matches!(self.debug.get(), Some(Err(issue)) if is_passing(issue))
            || matches!(self.symbols.get(), Some(Err(issue)) if is_passing(issue))
    }

    /// Bytes that it takes beside the mapped files.
    pub(super) fn bytes(&self) -> usize {
        let debug = self.debug.get().and_then(|debug| debug.as_ref().ok());
        let symbols = self.symbols.get().and_then(|symbols| symbols.as_ref().ok());
        size_of::<Self>()
            + self.files.bytes()
            + debug.map_or(0, DebugInfo::bytes)
            + symbols.map_or(0, |symbols| symbols.borrow_dependent().bytes())
            + self.cfi.get().map_or(0, |cfi| cfi.borrow_dependent().bytes())
    }

    /// The call frame information.
    pub fn cfi(&self) -> &Cfi<'_> {
        let new = || KeptCfi::new(Arc::clone(&self.files), |files| Cfi::new(cfi_sections(files)));
        self.cfi.get_or_init(new).borrow_dependent()
    }
}

/// What the file has of call frame information, and what its debug file adds.
fn cfi_sections(files: &Files) -> CfiSections<'_> {
    let elf = &files.elf;
    // A section that can't be decompressed is as good as none.
    let bytes = |name| elf.section(name).ok().flatten();
    let section = |name| Some(Section { bytes: bytes(name)?, svma: elf.section_svma(name)? });
    let debug = files.debug_elf().filter(|debug| debug.path() != elf.path());
    CfiSections {
        eh_frame: section(".eh_frame"),
        eh_frame_hdr: section(".eh_frame_hdr"),
        text_svma: elf.section_svma(".text"),
        debug_frame: bytes(".debug_frame"),
        separate_debug_frame: debug.and_then(|d| d.section(".debug_frame").ok().flatten()),
    }
}
