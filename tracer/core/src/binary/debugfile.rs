//! Where the debug info of a file is, and whether it truly belongs to it.
//!
//! Looked for in the file itself, by build-id under `/usr/lib/debug/.build-id`, and by
//! `.gnu_debuglink` beside the file, each in the target's root and in ours; then servers are asked. A file with another
//! build-id is never used: its variables would be wrong with full confidence.

use super::elf::{ElfFile, NO_ELF};
use super::open::{DEBUG_DIRECTORY, MappedFile};
use super::opener::{FileRoot, Opener, fetched};
use crate::model::serial;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// What was found.
#[derive(Debug, Default)]
pub struct DebugFiles {
    /// The separate debug file; `None` where the file's own sections serve or there is none.
    pub separate: Option<ElfFile>,
    /// The file that dwz moved common parts of several debug files to (`.gnu_debugaltlink`).
    pub supplementary: Option<ElfFile>,
    /// The file names a supplementary file that was not found.
    pub supplementary_missing: bool,
    /// The package (`.dwp`) of split units.
    pub package: Option<ElfFile>,
    /// Where files of split units may be; nowhere if there can be none.
    pub(super) places: Places,
    /// What was tried without success.
    pub tried: Vec<Attempt>,
}

/// A place that was looked at in vain.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The path.
    #[serde(with = "serial::path")]
    pub path: PathBuf,
    /// Why it does not serve.
    pub why: Refusal,
}

/// Why a file is not the debug file.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// It could not be opened.
    Unopened(#[serde(with = "errno")] Errno),
    /// It is malformed or has no debug sections.
    Unusable(String),
    /// It belongs to another build.
    Mismatch(String),
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.why {
            // The usual case needs no words.
            Refusal::Unopened(Errno::NOENT) => Ok(()),
            Refusal::Unopened(errno) => write!(f, ": {errno}"),
            Refusal::Unusable(why) | Refusal::Mismatch(why) => write!(f, ": {why}"),
        }
    }
}

/// An error of the system crosses to another process as its number.
mod errno {
    use rustix::io::Errno;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(errno.raw_os_error())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Errno, D::Error> {
        // The kernel's are below this one; others can't be kept in the type.
        let number = i32::deserialize(from)?;
        Ok(Errno::from_raw_os_error(if (1..4096).contains(&number) { number } else { 5 }))
    }
}

/// A build-id as it is written.
pub fn hex(build_id: &[u8]) -> String {
    build_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks for the debug info of `binary`. `roots` are the roots that it may be in, the target's
/// first; the last one is ours. Servers are asked last.
pub(super) fn find(binary: &ElfFile, roots: Vec<FileRoot>, opener: &dyn Opener) -> DebugFiles {
    let mut files = find_in(binary, &roots, opener);
    let debug = files.separate.as_ref().unwrap_or(binary);
    // The one section that stays here of all that is split.
    if debug.has_section(".debug_addr") {
        files.package = find_package(binary, debug, &roots);
        files.places = Places { roots, directory: directory_of(binary).to_path_buf() };
    }
    files
}

fn find_in(binary: &ElfFile, roots: &[FileRoot], opener: &dyn Opener) -> DebugFiles {
    let mut files = DebugFiles::default();
    if !binary.has_section(".debug_info") {
        files.separate = find_separate(binary, roots, &mut files.tried);
        // One with symbols only must not hide what a server has.
        let has_all = files.separate.as_ref().is_some_and(|file| file.has_section(".debug_info"));
        if !has_all && let Some(id) = binary.build_id() {
            files.separate = fetched(opener, id, &mut files.tried).or(files.separate);
        }
    }
    let debug = files.separate.as_ref().unwrap_or(binary);
    if let Some(link) = alternate_link(debug) {
        let found = find_supplementary(debug, &link, roots, &mut files.tried)
            .or_else(|| fetched(opener, &link.1, &mut files.tried));
        files.supplementary_missing = found.is_none();
        files.supplementary = found;
    }
    files
}

/// How a candidate proves that it belongs to the file.
enum Proof<'a> {
    BuildId(&'a [u8]),
    Checksum(u32),
}

fn find_separate(
    binary: &ElfFile,
    roots: &[FileRoot],
    tried: &mut Vec<Attempt>,
) -> Option<ElfFile> {
    let mut places: Vec<(&FileRoot, PathBuf)> = Vec::new();
    if let Some(path) = binary.build_id().and_then(build_id_path) {
        places.extend(roots.iter().map(|root| (root, path.clone())));
    }
    let link = debug_link(binary);
    if let Some((name, _)) = &link {
        let directory = directory_of(binary);
        let inside = directory.strip_prefix("/").unwrap_or(directory);
        let beside = [directory.join(name), directory.join(".debug").join(name)];
        // Paths beside the binary are names in the target's root, so they say nothing in ours.
        places.extend(roots.iter().take(1).flat_map(|root| beside.clone().map(|p| (root, p))));
        let global = Path::new(DEBUG_DIRECTORY).join(inside).join(name);
        places.extend(roots.iter().map(|root| (root, global.clone())));
    }
    let proof = match (binary.build_id(), &link) {
        (Some(id), _) => Proof::BuildId(id),
        (None, Some((_, checksum))) => Proof::Checksum(*checksum),
        (None, None) => return None,
    };
    first_that_serves(&places, tried, |candidate| {
        check(candidate, &proof)?;
        let serves = [".debug_info", ".symtab"].iter().any(|name| candidate.has_section(name));
        if serves { Ok(()) } else { Err(Refusal::Unusable("it has no debug sections".to_owned())) }
    })
}

fn first_that_serves(
    places: &[(&FileRoot, PathBuf)],
    tried: &mut Vec<Attempt>,
    check: impl Fn(&ElfFile) -> Result<(), Refusal>,
) -> Option<ElfFile> {
    for (root, path) in places {
        let outcome = open(root, path).and_then(|file| check(&file).map(|()| file));
        match outcome {
            Ok(file) => return Some(file),
            Err(why) => tried.push(Attempt { path: root.show(path), why }),
        }
    }
    None
}

fn open(root: &FileRoot, path: &Path) -> Result<ElfFile, Refusal> {
    let file: MappedFile = root.open(path).map_err(|errno| match errno {
        Errno::NOEXEC => Refusal::Unusable(NO_ELF.to_owned()),
        errno => Refusal::Unopened(errno),
    })?;
    ElfFile::parse(file).map_err(|issue| Refusal::Unusable(issue.detail))
}

fn check(candidate: &ElfFile, proof: &Proof<'_>) -> Result<(), Refusal> {
    match proof {
        Proof::BuildId(wanted) => match candidate.build_id() {
            Some(id) if id == *wanted => Ok(()),
            Some(id) => {
                Err(Refusal::Mismatch(format!("its build-id is {}, not {}", hex(id), hex(wanted))))
            }
            None => Err(Refusal::Mismatch("it has no build-id".to_owned())),
        },
        Proof::Checksum(wanted) => {
            let mut crc = flate2::Crc::new();
            crc.update(candidate.file().bytes());
            if crc.sum() == *wanted {
                return Ok(());
            }
            Err(Refusal::Mismatch(format!("its CRC-32 is {:08x}, not {wanted:08x}", crc.sum())))
        }
    }
}

/// `/usr/lib/debug/.build-id/xx/yyyy.debug`.
fn build_id_path(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let file = format!("{}.debug", hex(rest));
    Some(Path::new(DEBUG_DIRECTORY).join(".build-id").join(hex(&[*first])).join(file))
}

/// The contents of `.gnu_debuglink`: a file name, padding to 4 bytes, the CRC-32 of that file.
fn debug_link(binary: &ElfFile) -> Option<(PathBuf, u32)> {
    let section = binary.section(".gnu_debuglink").ok().flatten()?;
    let name = section.split(|byte| *byte == 0).next()?;
    let checksum_at = (name.len() + 1).next_multiple_of(4);
    let checksum = section.get(checksum_at..)?.first_chunk::<4>()?;
    let name = PathBuf::from(std::str::from_utf8(name).ok()?);
    // A name only: a path would let the file choose what is opened.
    let mut components = name.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Some((name, u32::from_le_bytes(*checksum))),
        _ => None,
    }
}

/// The contents of `.gnu_debugaltlink`: a path and the build-id of that file.
fn alternate_link(debug: &ElfFile) -> Option<(PathBuf, Vec<u8>)> {
    let section = debug.section(".gnu_debugaltlink").ok().flatten()?;
    let end = section.iter().position(|byte| *byte == 0)?;
    let (path, id) = (section.get(..end)?, section.get(end + 1..)?);
    Some((PathBuf::from(std::str::from_utf8(path).ok()?), id.to_vec()))
}

fn find_supplementary(
    debug: &ElfFile,
    (link, id): &(PathBuf, Vec<u8>),
    roots: &[FileRoot],
    tried: &mut Vec<Attempt>,
) -> Option<ElfFile> {
    let beside = directory_of(debug).join(link);
    let mut paths = vec![beside];
    if let Some(name) = link.file_name() {
        paths.push(Path::new(DEBUG_DIRECTORY).join(".dwz").join(name));
    }
    paths.extend(build_id_path(id));
    let places = allowed(roots, &paths);
    first_that_serves(&places, tried, |candidate| check(candidate, &Proof::BuildId(id)))
}

/// Where files that debug info names may be opened: the names are the target's word, so in our root
/// they may only lead to debug files.
fn allowed<'r>(roots: &'r [FileRoot], paths: &[PathBuf]) -> Vec<(&'r FileRoot, PathBuf)> {
    let mut places = Vec::new();
    for (index, root) in roots.iter().enumerate() {
        let foreign = index > 0;
        let is_allowed = |path: &&PathBuf| {
            let leads_up = path.components().any(|part| part == Component::ParentDir);
            !foreign || (path.starts_with(DEBUG_DIRECTORY) && !leads_up)
        };
        places.extend(paths.iter().filter(is_allowed).map(|path| (root, path.clone())));
    }
    places
}

fn directory_of(file: &ElfFile) -> &Path {
    file.path().parent().unwrap_or(Path::new("/"))
}

/// `PROGRAM.dwp`, beside the program or its debug file. Whether it belongs to the program is told by
/// each of its units.
fn find_package(binary: &ElfFile, debug: &ElfFile, roots: &[FileRoot]) -> Option<ElfFile> {
    let package = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dwp");
        PathBuf::from(name)
    };
    let program = package(binary.path());
    let inside = program.strip_prefix("/").unwrap_or(&program);
    let global = Path::new(DEBUG_DIRECTORY).join(inside);
    let paths = [program.clone(), package(debug.path()), global];
    let places = allowed(roots, &paths);
    places.into_iter().find_map(|(root, path)| {
        let file = open(root, &path).ok()?;
        file.has_section(".debug_cu_index").then_some(file)
    })
}

/// Where files of split units may be.
#[derive(Debug, Default)]
pub(super) struct Places {
    roots: Vec<FileRoot>,
    /// Of the program.
    directory: PathBuf,
}

/// A place where a file may be.
pub(super) struct Place<'p> {
    root: &'p FileRoot,
    inside: PathBuf,
    /// How it is called for people.
    pub(super) path: PathBuf,
}

impl Places {
    /// Where a file may be that the build left at a path: there, or beside the program.
    pub(super) fn of(&self, (path, name): &(PathBuf, Option<PathBuf>)) -> Vec<Place<'_>> {
        let beside = name.as_ref().map(|name| self.directory.join(name));
        let paths: Vec<PathBuf> = [Some(path.clone()), beside].into_iter().flatten().collect();
        let places = allowed(&self.roots, &paths).into_iter();
        places.map(|(root, inside)| Place { root, path: root.show(&inside), inside }).collect()
    }

    /// What tells these roots from those of another process.
    pub(super) fn ids(&self) -> Vec<(u64, u64)> {
        self.roots.iter().filter_map(FileRoot::id).collect()
    }
}

impl Place<'_> {
    /// Opens the file there.
    pub(super) fn open(&self) -> Result<ElfFile, Refusal> {
        open(self.root, &self.inside)
    }
}
