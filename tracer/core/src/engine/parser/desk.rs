//! Opens files for a parser, which may have fallen to what it read: it gets what is mapped in the
//! target, files that a target's own debug info may name, and only ELF files.

use super::message::{Answer, Ask};
use super::start::Parsers;
use crate::binary::elf::NO_ELF;
use crate::binary::open::{DEBUG_DIRECTORY, FileId};
use crate::binary::opener::{Local, Opener as _, id_of};
use crate::model::address::Avma;
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::{Mapping, Process};
use crate::resolve::{self, access};
use rustix::io::{Errno, pread};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Component, Path};

/// ET_REL, ET_EXEC and ET_DYN, not ET_CORE (System V gABI, chapter 4).
const KINDS: [u16; 3] = [1, 2, 3];

/// Opens the files of one process.
#[derive(Debug)]
pub(super) struct Desk {
    process: Process,
    caller: Caller,
    local: Local,
    /// What was handed out, by where it is mapped.
    given: HashMap<Avma, FileId>,
    turned_to: Option<Avma>,
    /// Files that were not handed out since the question came: they ended a parser before.
    refused: Vec<Issue>,
}

impl Desk {
    pub(super) fn new(parsers: &Parsers, process: Process, caller: Caller) -> Self {
        let local = Local::of_process(process.id.pid, caller, parsers.servers(caller));
        let given = HashMap::new();
        Self { process, caller, local, given, turned_to: None, refused: Vec::new() }
    }

    /// A question begins.
    pub(super) fn begin(&mut self) {
        self.turned_to = None;
        self.refused.clear();
    }

    pub(super) fn turn_to(&mut self, at: Avma) {
        self.turned_to = Some(at);
    }

    /// The file that is being read, by its path in the target.
    pub(super) fn being_read(&self) -> (Option<FileId>, String) {
        let id = self.turned_to.and_then(|at| self.given.get(&at).copied());
        let mapping = self.turned_to.and_then(|at| self.process.mapping_at(at));
        let path = mapping.map_or(&self.process.exe, |mapping| &mapping.path);
        (id, path.display().to_string())
    }

    /// Why a file was left out of what was asked last.
    pub(super) fn refused(&self) -> Option<&Issue> {
        self.refused.first()
    }

    pub(super) fn answer(&mut self, ask: Ask, parsers: &Parsers) -> (Answer, Option<File>) {
        match ask {
            Ask::Mapped(at) => with_file(self.mapped(at, parsers), Answer::Mapped),
            Ask::Roots => (Answer::Roots(self.local.roots()), None),
            Ask::Open { root, path } => {
                let opened = self.open(root, &path);
                with_file(opened.map_err(Errno::raw_os_error), Answer::Opened)
            }
            Ask::Fetch(build_id) => with_file(self.local.fetch(&build_id), Answer::Fetched),
        }
    }

    fn mapped(&mut self, at: Avma, parsers: &Parsers) -> Result<File, Issue> {
        let mapping = self.process.mapping_at(at).filter(|mapping| mapping.file.2 != 0);
        let mapping =
            mapping.ok_or_else(|| Issue::new(IssueKind::NotMapped, at.to_string(), ""))?;
        let malformed = |why: &str| {
            Issue::new(IssueKind::MalformedFile, mapping.path.display().to_string(), why)
        };
        // By then another program may be there, whose files are not the caller's to see.
        let file = if self.is_mapped_still(mapping) {
            access::check(self.caller, self.process.id.pid)?;
            let file = self.local.mapped(mapping)?;
            self.is_mapped_still(mapping).then_some(file)
        } else {
            None
        };
        let gone = || Issue::new(IssueKind::ProcessGone, self.process.id.pid.to_string(), "");
        let file = file.or_else(|| self.local.of_ended(mapping)).ok_or_else(gone)?;
        let id = id_of(&file).map_err(|errno| malformed(&errno.to_string()))?;
        if let Some(issue) = parsers.refusal(self.caller, id) {
            self.refused.push(issue.clone());
            return Err(issue);
        }
        if !is_elf(&file) {
            return Err(malformed(NO_ELF));
        }
        self.given.insert(mapping.range.start, id);
        Ok(file)
    }

    /// Whether a file is mapped where it was, in the process that it was.
    fn is_mapped_still(&self, mapping: &Mapping) -> bool {
        let now = resolve::process::read(self.process.id.pid).ok();
        let now = now.filter(|now| now.id == self.process.id);
        let there = now.as_ref().and_then(|now| now.mapping_at(mapping.range.start));
        there.is_some_and(|there| {
            (&there.range, there.file_offset, there.file)
                == (&mapping.range, mapping.file_offset, mapping.file)
        })
    }

    fn open(&self, root: usize, path: &Path) -> Result<File, Errno> {
        // What a target's files name says nothing in our root, but for debug files.
        let leads_up = path.components().any(|part| part == Component::ParentDir);
        if root > 0 && (leads_up || !path.starts_with(DEBUG_DIRECTORY)) {
            return Err(Errno::ACCESS);
        }
        let file = self.local.open(root, path)?;
        if is_elf(&file) { Ok(file) } else { Err(Errno::NOEXEC) }
    }
}

fn with_file<E>(
    opened: Result<File, E>,
    answer: impl FnOnce(Result<(), E>) -> Answer,
) -> (Answer, Option<File>) {
    match opened {
        Ok(file) => (answer(Ok(())), Some(file)),
        Err(error) => (answer(Err(error)), None),
    }
}

/// An object, a program or a library: what is in a core is memory.
fn is_elf(file: &File) -> bool {
    let mut head = [0; 18];
    let is_whole = pread(file, &mut head, 0) == Ok(head.len());
    let kind = u16::from_le_bytes([head[16], head[17]]);
    is_whole && head.starts_with(b"\x7fELF") && KINDS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve;
    use std::io::{Read as _, Write as _};
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    fn desk() -> (Parsers, Desk) {
        let parsers = Parsers::new("/nonexistent".into(), None);
        let process = resolve::process::read(std::process::id()).unwrap();
        let desk = Desk::new(&parsers, process, Caller::Root);
        (parsers, desk)
    }

    /// HOST-4
    #[test]
    fn only_what_is_mapped_and_only_elf_files_are_handed_out() {
        let (parsers, mut desk) = desk();
        let own = Avma(self::desk as *const () as usize as u64);
        let start = desk.process.mapping_at(own).unwrap().range.start;
        let (answer, file) = desk.answer(Ask::Mapped(start), &parsers);
        assert!(matches!(answer, Answer::Mapped(Ok(()))) && file.is_some());
        let (answer, file) = desk.answer(Ask::Mapped(Avma(8)), &parsers);
        assert!(matches!(answer, Answer::Mapped(Err(_))) && file.is_none());
        let directory = tempfile::tempdir().unwrap();
        let core = directory.path().join("core");
        std::fs::write(&core, [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[4, 0]].concat())
            .unwrap();
        for (root, path, expected) in [
            (0, "/etc/passwd", Errno::NOEXEC),
            (0, core.to_str().unwrap(), Errno::NOEXEC),
            (0, "/etc", Errno::INVAL),
            // There is one root only here; another one would be ours.
            (1, "/usr/lib/debug/x", Errno::NOENT),
            (1, "/usr/lib/debug/../../bin/true", Errno::ACCESS),
            (1, "/bin/true", Errno::ACCESS),
        ] {
            let (answer, file) =
                desk.answer(Ask::Open { root, path: PathBuf::from(path) }, &parsers);
            let Answer::Opened(Err(errno)) = answer else { panic!("{answer:?}") };
            assert!(file.is_none() && errno == expected.raw_os_error(), "{path}: {errno}");
        }
    }

    /// SEM-5
    #[test]
    fn of_a_process_that_has_ended_only_files_that_nobody_touched_since_are_handed_out() {
        let directory = tempfile::tempdir().unwrap();
        let young = directory.path().join("young");
        std::fs::copy("/bin/cat", &young).unwrap();
        let parsers = Parsers::new("/nonexistent".into(), None);
        for (program, is_given) in [(Path::new("/bin/cat"), true), (&young, false)] {
            let mut command = Command::new(program);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
            // Who answers is there.
            child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
            let process = resolve::process::read(child.id()).unwrap();
            let mut desk = Desk::new(&parsers, process, Caller::Root);
            child.kill().unwrap();
            child.wait().unwrap();
            let Process { mappings, exe, .. } = &desk.process;
            let start = mappings.iter().find(|it| it.path == *exe).unwrap().range.start;
            let (answer, file) = desk.answer(Ask::Mapped(start), &parsers);
            assert_eq!(file.is_some(), is_given, "{answer:?}");
        }
    }

    /// HOST-4
    #[test]
    fn a_file_that_ended_two_parsers_is_not_handed_out() {
        let (parsers, mut desk) = desk();
        let own = Avma(self::desk as *const () as usize as u64);
        let start = desk.process.mapping_at(own).unwrap().range.start;
        desk.answer(Ask::Mapped(start), &parsers);
        desk.turn_to(start);
        let (file, path) = desk.being_read();
        let issue = Issue::new(IssueKind::Unread, path, "");
        for refused in [false, true] {
            parsers.suspect(Caller::Root, file.unwrap(), 1, &issue);
            desk.begin();
            let (answer, _) = desk.answer(Ask::Mapped(start), &parsers);
            assert_eq!(matches!(answer, Answer::Mapped(Err(_))), refused);
            assert_eq!(desk.refused(), refused.then_some(&issue));
        }
    }
}
