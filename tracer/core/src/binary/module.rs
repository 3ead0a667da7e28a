//! An ELF file mapped in a process: its addresses, its text, its debug info.

use super::cache::Cache;
use super::debugfile::{self, hex};
use super::elf::{ElfFile, Segment};
use super::file_code::FileCode;
use super::files::Files;
use super::open::MappedFile;
use super::opener::{FileRoot, Local, Opener};
use crate::model::address::{Avma, FileOffset, Svma};
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::Mapping;
use rustix::io::Errno;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Segments are mapped in whole pages.
const PAGE_BYTES: u64 = 4096;

/// An ELF file mapped in a process: what is read of the file, and where it is mapped.
#[derive(Clone, Debug)]
pub struct Module {
    code: Arc<FileCode>,
    bias: u64,
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
    /// The module that `mappings`, all of one file and one load of it, belong to, with what `cache`
    /// has of the file.
    ///
    /// # Errors
    ///
    /// Those of [`Opener::mapped`] and [`ElfFile::parse`];
    /// [`IssueKind::MalformedFile`] where no executable segment explains the mappings.
    pub fn of_process(
        opener: &Arc<dyn Opener>,
        mappings: &[Mapping],
        cache: &Cache,
        reader: Caller,
    ) -> Result<Self, Issue> {
        let Some(first) = text_of(mappings) else {
            return Err(Issue::new(IssueKind::NotMapped, "a module", ""));
        };
        let unmapped = |errno| unopened(&first.path, errno);
        let file = MappedFile::new(opener.mapped(first)?, first.path.clone()).map_err(unmapped)?;
        let elf = ElfFile::parse(file)?;
        let Some(bias) = bias(elf.segments(), mappings) else {
            return Err(Issue::new(
                IssueKind::MalformedFile,
                elf.path().display().to_string(),
                "its executable mappings do not match its segments",
            ));
        };
        let debug = debugfile::find(&elf, FileRoot::all(opener), &**opener);
        Ok(Self { code: cache.get(Files { elf, debug }, reader), bias })
    }

    /// A file that no process has mapped, at the addresses that it states.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`], also where it can't be opened.
    pub fn from_path(path: &Path, cache: &Cache) -> Result<Self, Issue> {
        let opener: Arc<dyn Opener> = Arc::new(Local::of_host());
        let file = opener.open(0, path).and_then(|file| MappedFile::new(file, path.to_path_buf()));
        let elf = ElfFile::parse(file.map_err(|errno| unopened(path, errno))?)?;
        if elf.segments().is_empty() {
            let kind = IssueKind::MalformedFile;
            return Err(Issue::new(kind, path.display().to_string(), "it has no segments"));
        }
        let debug = debugfile::find(&elf, FileRoot::all(&opener), &*opener);
        Ok(Self { code: cache.get(Files { elf, debug }, Caller::Root), bias: 0 })
    }

    /// What is read of the file.
    pub fn code(&self) -> &FileCode {
        &self.code
    }

    /// The file and its sections.
    pub fn elf(&self) -> &ElfFile {
        &self.code.files().elf
    }

    /// Its path in the target.
    pub fn path(&self) -> &Path {
        self.elf().path()
    }

    /// Its file name.
    pub fn name(&self) -> String {
        file_name(self.path())
    }

    /// Its build-id in lower-case hex.
    pub fn build_id(&self) -> Option<String> {
        self.elf().build_id().map(hex)
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
        self.elf()
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
        if self.elf().has_text_relocations() || self.elf().relro().iter().any(holds) {
            return Loading::Relocated;
        }
        let first_page = |address: u64| address & !(PAGE_BYTES - 1);
        let mut here = self.elf().segments().iter().filter(|segment| {
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
        let segment = self.elf().text_segment(svma)?;
        let at = svma.0.checked_sub(segment.svma.0)?;
        segment.file_offset.0.checked_add(at).map(FileOffset)
    }

    /// `length` bytes of code; `None` unless all of them are in one executable segment.
    pub fn text(&self, svma: Svma, length: usize) -> Option<&[u8]> {
        let segment = self.elf().text_segment(svma)?;
        let left = segment.file_range().end.checked_sub(svma.0)?;
        let start = usize::try_from(self.file_offset(svma)?.0).ok()?;
        let end = start.checked_add(length)?;
        (length as u64 <= left).then(|| self.elf().file().bytes().get(start..end))?
    }

    /// An executable segment of the file holds the address.
    pub fn is_text(&self, svma: Svma) -> bool {
        self.elf().text_segment(svma).is_some()
    }
}

fn unopened(path: &Path, errno: Errno) -> Issue {
    Issue::new(IssueKind::MalformedFile, path.display().to_string(), errno.to_string())
}

/// The mapping that a file is opened by.
pub(super) fn text_of(mappings: &[Mapping]) -> Option<&Mapping> {
    mappings.iter().find(|mapping| mapping.execute).or(mappings.first())
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
