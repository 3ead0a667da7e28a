//! An ELF file mapped in a process: its addresses, its text, its debug info.

use super::debugfile::{self, Attempt, DebugFiles, Refusal, hex};
use super::dwarf::DebugInfo;
use super::elf::{ElfFile, Segment};
use super::open::{MappedFile, Root};
use crate::model::address::{Avma, FileOffset, Svma};
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::Mapping;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

/// Segments are mapped in whole pages.
const PAGE_BYTES: u64 = 4096;

/// An ELF file mapped in a process. It owns the files and their decompressed sections;
/// [`DebugInfo`] borrows from it.
#[derive(Debug)]
pub struct Module {
    elf: ElfFile,
    bias: u64,
    roots: Vec<Root>,
    debug: OnceLock<DebugFiles>,
}

/// What becomes of a file's bytes at an address where a segment is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loading {
    /// They stay as they are in the file: nobody may write there, the loader included.
    Fixed,
    /// The program may write there.
    Writable,
    /// The loader writes there and protects it then, or it can't be told.
    Relocated,
}

impl Module {
    /// The module that `mappings`, all of one file and one load of it, belong to.
    ///
    /// # Errors
    ///
    /// Those of [`MappedFile::of_process`] and [`ElfFile::parse`];
    /// [`IssueKind::MalformedFile`] where no executable segment explains the mappings.
    pub fn of_process(pid: u32, mappings: &[Mapping]) -> Result<Self, Issue> {
        let Some(first) = mappings.iter().find(|m| m.execute).or(mappings.first()) else {
            return Err(Issue::new(IssueKind::NotMapped, pid.to_string(), ""));
        };
        let elf = ElfFile::parse(MappedFile::of_process(pid, first)?)?;
        let Some(bias) = bias(elf.segments(), mappings) else {
            return Err(Issue::new(
                IssueKind::MalformedFile,
                elf.path().display().to_string(),
                "its executable mappings do not match its segments",
            ));
        };
        let roots = roots(pid);
        Ok(Self { elf, bias, roots, debug: OnceLock::new() })
    }

    /// A file that no process has mapped, at the addresses that it states.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`], also where it can't be opened.
    pub fn from_path(path: &Path) -> Result<Self, Issue> {
        let unopened = |errno: rustix::io::Errno| {
            Issue::new(IssueKind::MalformedFile, path.display().to_string(), errno.to_string())
        };
        let root = Root::host().map_err(unopened)?;
        let elf = ElfFile::parse(root.open(path).map_err(unopened)?)?;
        if elf.segments().is_empty() {
            let kind = IssueKind::MalformedFile;
            return Err(Issue::new(kind, path.display().to_string(), "it has no segments"));
        }
        Ok(Self { elf, bias: 0, roots: vec![root], debug: OnceLock::new() })
    }

    /// The file and its sections.
    pub fn elf(&self) -> &ElfFile {
        &self.elf
    }

    /// Its path in the target.
    pub fn path(&self) -> &Path {
        self.elf.path()
    }

    /// Its file name.
    pub fn name(&self) -> String {
        file_name(self.path())
    }

    /// Its build-id in lower-case hex.
    pub fn build_id(&self) -> Option<String> {
        self.elf.build_id().map(hex)
    }

    /// What to add to an address of the file to get one of the process, modulo 2⁶⁴.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// The address as stated in the file.
    pub fn to_svma(&self, avma: Avma) -> Svma {
        Svma(avma.0.wrapping_sub(self.bias))
    }

    /// The address in the process.
    pub fn to_avma(&self, svma: Svma) -> Avma {
        Avma(svma.0.wrapping_add(self.bias))
    }

    /// A segment of this module covers the address.
    pub fn contains(&self, avma: Avma) -> bool {
        let svma = self.to_svma(avma).0;
        self.elf
            .segments()
            .iter()
            .any(|s| svma.checked_sub(s.svma.0).is_some_and(|at| at < s.memory_bytes))
    }

    /// What becomes of the page of the file at `offset`, which is mapped at `page`. Dynamic
    /// relocations touch a segment that is not writable only if the file says so (DT_TEXTREL), for
    /// the loader must unprotect it first.
    pub fn loading(&self, page: Avma, offset: FileOffset) -> Loading {
        let svma = self.to_svma(page).0;
        let holds =
            |range: &Range<u64>| range.start < svma.saturating_add(PAGE_BYTES) && svma < range.end;
        if self.elf.has_text_relocations() || self.elf.relro().iter().any(holds) {
            return Loading::Relocated;
        }
        let first_page = |address: u64| address & !(PAGE_BYTES - 1);
        let mut here = self.elf.segments().iter().filter(|segment| {
            let end = segment.svma.0.saturating_add(segment.memory_bytes);
            holds(&(first_page(segment.svma.0)..end))
        });
        let (Some(segment), None) = (here.next(), here.next()) else { return Loading::Relocated };
        let into = svma.wrapping_sub(first_page(segment.svma.0));
        match first_page(segment.file_offset.0).checked_add(into) {
            Some(here) if here == offset.0 && segment.write => Loading::Writable,
            Some(here) if here == offset.0 => Loading::Fixed,
            _ => Loading::Relocated,
        }
    }

    /// Where a code address is in the file: by the executable segment that contains it.
    pub fn file_offset(&self, svma: Svma) -> Option<FileOffset> {
        let segment = self.executable_segment(svma)?;
        let at = svma.0.checked_sub(segment.svma.0)?;
        segment.file_offset.0.checked_add(at).map(FileOffset)
    }

    /// `length` bytes of code; `None` unless all of them are in one executable segment.
    pub fn text(&self, svma: Svma, length: usize) -> Option<&[u8]> {
        let segment = self.executable_segment(svma)?;
        let left = segment.file_range().end.checked_sub(svma.0)?;
        let start = usize::try_from(self.file_offset(svma)?.0).ok()?;
        let end = start.checked_add(length)?;
        (length as u64 <= left).then(|| self.elf.file().bytes().get(start..end))?
    }

    /// An executable segment of the file holds the address.
    pub fn is_text(&self, svma: Svma) -> bool {
        self.executable_segment(svma).is_some()
    }

    fn executable_segment(&self, svma: Svma) -> Option<&Segment> {
        self.elf.segments().iter().find(|s| s.execute && s.file_range().contains(&svma.0))
    }

    /// The files that debug info comes from, looked for once.
    pub fn debug_files(&self) -> &DebugFiles {
        self.debug.get_or_init(|| debugfile::find(&self.elf, &self.roots))
    }

    /// The file whose DWARF sections serve; `None` where there are none.
    pub fn debug_elf(&self) -> Option<&ElfFile> {
        let elf = self.debug_files().separate.as_ref().unwrap_or(&self.elf);
        elf.has_section(".debug_info").then_some(elf)
    }

    /// The debug info.
    ///
    /// # Errors
    ///
    /// [`IssueKind::NoDebugInfo`] with the places that were looked at,
    /// [`IssueKind::DebugInfoMismatch`] where only that of another build was found,
    /// [`IssueKind::MalformedFile`].
    pub fn debug_info(&self) -> Result<DebugInfo<'_>, Issue> {
        let files = self.debug_files();
        match self.debug_elf() {
            Some(elf) if !files.supplementary_missing => {
                DebugInfo::load(elf, files.supplementary.as_ref(), &self.elf)
            }
            _ => Err(self.no_debug_info(&files.tried)),
        }
    }

    fn no_debug_info(&self, tried: &[Attempt]) -> Issue {
        let mismatches: Vec<_> =
            tried.iter().filter(|a| matches!(a.why, Refusal::Mismatch(_))).collect();
        let list = |a: &[&Attempt]| a.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(", ");
        let subject = self.path().display().to_string();
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
}

/// Where debug files may be: the target's root, then ours where that is another one.
fn roots(pid: u32) -> Vec<Root> {
    match (Root::of_process(pid).ok(), Root::host().ok()) {
        (Some(target), Some(host)) if !target.is_same(&host) => vec![target, host],
        (target, host) => host.or(target).into_iter().collect(),
    }
}

/// The last component of a path, for people.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What the loader added to the file's addresses: the one value by which an executable segment
/// explains each executable mapping.
fn bias(segments: &[Segment], mappings: &[Mapping]) -> Option<u64> {
    let executable: Vec<_> = mappings.iter().filter(|m| m.execute).collect();
    let candidates = executable.iter().flat_map(|mapping| biases(segments, mapping));
    let mut candidates: Vec<u64> = candidates.collect();
    candidates.sort_unstable();
    candidates.dedup();
    candidates.into_iter().find(|bias| {
        executable.iter().all(|mapping| biases(segments, mapping).any(|other| other == *bias))
    })
}

/// The bias for each executable segment that a mapping may be a part of.
fn biases(segments: &[Segment], mapping: &Mapping) -> impl Iterator<Item = u64> {
    let (start, offset) = (mapping.range.start.0, mapping.file_offset.0);
    segments.iter().filter(|segment| segment.execute).filter_map(move |segment| {
        let first = segment.file_offset.0 & !(PAGE_BYTES - 1);
        let end = segment.file_offset.0.checked_add(segment.file_bytes)?;
        // The mapping starts at `offset` in the file, the segment's address at `file_offset`.
        (first..end).contains(&offset).then(|| {
            start
                .wrapping_sub(offset)
                .wrapping_add(segment.file_offset.0)
                .wrapping_sub(segment.svma.0)
        })
    })
}
