//! A place in the source, and its line if the file is here and readable.
//!
//! The path comes from debug info, so it is hostile: it can name a pipe, a device, a file that
//! only root may read, or a file system that hangs. So the file is read on a thread of its own
//! with a deadline, and only if the person who called us may read it.

use super::line::{Ink, Line};
use crate::escape::Escaped;
use rustix::fs::{Access, Mode, OFlags};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// Longer files are not source that someone wrote.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Characters of a line that are shown.
const LINE_CHARS_MAX: usize = 200;
/// How long a file may take.
const DEADLINE: Duration = Duration::from_millis(200);

/// `billing.c:42`. Code that belongs to no line has the file only.
pub(crate) fn at(file: &str, line: Option<u64>) -> Line {
    let place = Line::new().text(Escaped::name(file));
    match line {
        Some(line) => place.text(":").text(line),
        None => place,
    }
}

/// A line of source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SourceText {
    /// The line, without the space around it.
    pub(crate) text: Escaped,
    /// The file was changed after the program was built: the line may be another one.
    pub(crate) newer: bool,
}

impl SourceText {
    /// `    42 | total += item->price;`.
    pub(crate) fn numbered(self, number: u64) -> Line {
        let line = Line::new().with(Ink::Dim, "  ").with(Ink::Dim, number).with(Ink::Dim, " | ");
        let line = line.with(Ink::Dim, self.text);
        match self.newer {
            true => line.with(Ink::Missing, "  (the file is newer than the program)"),
            false => line,
        }
    }
}

/// Lines that were looked up; each is read once.
#[derive(Default)]
pub(crate) struct Sources {
    lines: HashMap<(String, u64), Option<SourceText>>,
}

impl Sources {
    /// Line `line` (from 1) of `file`; `None` if it can't be had. `program` is the file that was
    /// built from it.
    pub(crate) fn line(
        &mut self,
        file: &str,
        line: u64,
        program: Option<&str>,
    ) -> Option<SourceText> {
        if line == 0 || !Path::new(file).is_absolute() {
            return None;
        }
        let key = (file.to_owned(), line);
        if let Some(known) = self.lines.get(&key) {
            return known.clone();
        }
        let found = with_deadline(file.into(), line, program.map(PathBuf::from));
        self.lines.insert(key, found.clone());
        found
    }
}

fn with_deadline(file: PathBuf, line: u64, program: Option<PathBuf>) -> Option<SourceText> {
    let (send, receive) = mpsc::sync_channel(1);
    let reader = std::thread::Builder::new().name("source".to_owned()).spawn(move || {
        // If the deadline has passed nobody listens.
        send.send(read(&file, line, program.as_deref())).unwrap_or_default();
    });
    reader.ok().and_then(|_| receive.recv_timeout(DEADLINE).ok().flatten())
}

fn read(file: &Path, line: u64, program: Option<&Path>) -> Option<SourceText> {
    // access(2) asks for the real user: a binary with capabilities must not show its caller what
    // the caller may not read.
    rustix::fs::access(file, Access::READ_OK).ok()?;
    let flags =
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = File::from(rustix::fs::open(file, flags, Mode::empty()).ok()?);
    let facts = opened.metadata().ok()?;
    if !facts.is_file() || facts.len() > FILE_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let text = bytes.split(|&byte| byte == b'\n').nth(index)?.trim_ascii();
    if text.is_empty() {
        return None;
    }
    let shown: String = String::from_utf8_lossy(text).chars().take(LINE_CHARS_MAX).collect();
    let newer = facts.modified().ok() > program.and_then(built);
    Some(SourceText {
        text: Escaped::name(&shown.replace('\t', " ")),
        newer: newer && program.is_some(),
    })
}

fn built(program: &Path) -> Option<SystemTime> {
    program.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_line_is_shown_escaped_and_trimmed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\n\t  if (x)\treturn \x1b[2J;  \n").unwrap();
        let path = file.path().to_str().unwrap();
        let line = |number| Sources::default().line(path, number, None).map(|line| line.text);
        assert_eq!(line(2).unwrap().as_str(), "if (x) return \\x1b[2J;");
        assert_eq!(line(0), None);
        assert_eq!(line(3), None);
        assert_eq!(line(u64::MAX), None);
    }

    #[test]
    fn a_source_that_is_newer_than_the_program_is_told() {
        let program = tempfile::NamedTempFile::new().unwrap();
        let mut source = tempfile::NamedTempFile::new().unwrap();
        source.write_all(b"x\n").unwrap();
        let path = source.path().to_str().unwrap();
        let built = program.path().to_str();
        source.as_file().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(!Sources::default().line(path, 1, built).unwrap().newer);
        let later = SystemTime::now() + Duration::from_secs(60);
        source.as_file().set_modified(later).unwrap();
        assert!(Sources::default().line(path, 1, built).unwrap().newer);
    }

    #[test]
    fn what_is_no_plain_file_is_neither_read_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.c");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let link = folder.path().join("link.c");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for path in [pipe.as_path(), link.as_path(), Path::new("/dev/zero"), folder.path()] {
            let path = path.to_str().unwrap();
            assert_eq!(Sources::default().line(path, 1, None), None, "{path}");
        }
        assert_eq!(Sources::default().line("relative.c", 1, None), None);
        assert_eq!(Sources::default().line("/no\0file.c", 1, None), None);
    }
}
