//! A file with the files that its debug info comes from.

use super::debugfile::{Attempt, DebugFiles, Refusal};
use super::dwarf::DebugInfo;
use super::elf::ElfFile;
use super::heap;
use super::index_store::IndexStore;
use crate::model::issue::{Issue, IssueKind};
use std::path::Path;
use std::sync::Arc;

/// A mapped file and its debug files. They own the decompressed sections; all that is read from
/// them borrows from here.
#[derive(Debug)]
pub struct Files {
    /// The file itself.
    pub elf: ElfFile,
    /// Those that its debug info comes from.
    pub debug: DebugFiles,
}

impl Files {
    /// The file whose DWARF sections serve; `None` where there are none.
    pub fn debug_elf(&self) -> Option<&ElfFile> {
        let elf = self.debug.separate.as_ref().unwrap_or(&self.elf);
        elf.has_section(".debug_info").then_some(elf)
    }

    /// The debug info, with indices in `store`.
    ///
    /// # Errors
    ///
    /// [`IssueKind::NoDebugInfo`] with the places that were looked at,
    /// [`IssueKind::DebugInfoMismatch`] where only that of another build was found,
    /// [`IssueKind::MalformedFile`].
    pub fn debug_info(
        self: &Arc<Self>,
        store: Option<Arc<IndexStore>>,
    ) -> Result<DebugInfo, Issue> {
        match self.debug_elf() {
            Some(_) if !self.debug.supplementary_missing => {
                heap::give_back_large_blocks();
                DebugInfo::load(self, store)
            }
            _ => Err(self.no_debug_info(&self.debug.tried)),
        }
    }

    fn no_debug_info(&self, tried: &[Attempt]) -> Issue {
        let mismatches: Vec<_> =
            tried.iter().filter(|a| matches!(a.why, Refusal::Mismatch(_))).collect();
        let list = |a: &[&Attempt]| a.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(", ");
        let subject = self.elf.path().display().to_string();
        if !mismatches.is_empty() {
            return Issue::new(IssueKind::DebugInfoMismatch, subject, list(&mismatches));
        }
        let mut detail = "looked in the file itself".to_owned();
        if !tried.is_empty() {
            detail = format!("{detail}, {}", list(&tried.iter().collect::<Vec<_>>()));
        }
        if self.elf.build_id().is_none() {
            detail.push_str("; it has no build-id");
        }
        Issue::new(IssueKind::NoDebugInfo, subject, detail)
    }

    /// One of them was truncated while it was read: what was read of it may be anything.
    pub(super) fn damaged(&self) -> Option<Issue> {
        let debug = [&self.debug.separate, &self.debug.supplementary, &self.debug.package];
        let mut all = debug.into_iter().flatten().chain([&self.elf]);
        let file = all.find(|file| file.file().is_damaged())?;
        Some(Self::damage_of(file.path()))
    }

    /// What is told of a damaged file.
    pub(super) fn damage_of(path: impl AsRef<Path>) -> Issue {
        let detail = "it was truncated while it was read, or can't be read from its disk";
        Issue::new(IssueKind::MalformedFile, path.as_ref().display().to_string(), detail)
    }

    /// Bytes that it takes beside the mapped files.
    pub(super) fn bytes(&self) -> usize {
        let debug = [&self.debug.separate, &self.debug.supplementary, &self.debug.package];
        debug.into_iter().flatten().chain([&self.elf]).map(ElfFile::bytes).sum()
    }

    /// Gives the pages of the files back that were touched; they are read again when needed.
    pub(super) fn release(&self) {
        let debug = [&self.debug.separate, &self.debug.supplementary, &self.debug.package];
        for file in debug.into_iter().flatten().chain([&self.elf]) {
            file.file().release();
        }
    }
}
