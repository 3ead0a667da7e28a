//! The parser's end of a session, and of the indices: asks for what it may not open.

use super::message::{Answer, Ask, BYTES_MAX, IndexAsk, Request, Said, receive, send};
use crate::binary::debugfile::Attempt;
use crate::binary::index_store::IndexFiles;
use crate::binary::opener::{Opener, RootName};
use crate::model::address::Avma;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::Mapping;
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A socket that several threads ask through, one after the other.
#[derive(Debug)]
pub(super) struct Channel(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    socket: OwnedFd,
    turned_to: Option<Avma>,
}

impl Channel {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(Mutex::new(Inner { socket, turned_to: None }))
    }

    /// The next that is said in the session; `None` at its end.
    pub(super) fn hear<T: DeserializeOwned + Send>(&self) -> Option<T> {
        let inner = self.inner();
        let heard = receive::<T>(inner.socket.as_fd(), BYTES_MAX, &mut None);
        heard.ok().flatten().map(|(said, _)| said)
    }

    /// Waits for the next question.
    pub(super) fn question(&self) -> Option<Request> {
        self.inner().turned_to = None;
        self.hear()
    }

    pub(super) fn say(&self, said: &Said) -> io::Result<()> {
        send(self.inner().socket.as_fd(), said, None)
    }

    fn ask(&self, ask: Ask) -> io::Result<(Answer, Option<File>)> {
        let inner = self.inner();
        send(inner.socket.as_fd(), &Said::Ask(ask), None)?;
        let answer = receive(inner.socket.as_fd(), BYTES_MAX, &mut None)?;
        answer.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opener for Channel {
    fn mapped(&self, mapping: &Mapping) -> Result<File, Issue> {
        match self.ask(Ask::Mapped(mapping.range.start)) {
            Ok((Answer::Mapped(Ok(())), Some(file))) => Ok(file),
            Ok((Answer::Mapped(Err(issue)), _)) => Err(issue),
            _ => {
                let subject = mapping.path.display().to_string();
                Err(Issue::new(IssueKind::MalformedFile, subject, "nobody opens it"))
            }
        }
    }

    fn roots(&self) -> Vec<RootName> {
        match self.ask(Ask::Roots) {
            Ok((Answer::Roots(roots), _)) => roots,
            _ => Vec::new(),
        }
    }

    fn open(&self, root: usize, path: &Path) -> Result<File, Errno> {
        match self.ask(Ask::Open { root, path: path.to_path_buf() }) {
            Ok((Answer::Opened(Ok(())), Some(file))) => Ok(file),
            Ok((Answer::Opened(Err(errno)), _)) => Err(Errno::from_raw_os_error(errno)),
            _ => Err(Errno::PIPE),
        }
    }

    fn fetch(&self, build_id: &[u8]) -> Result<File, Vec<Attempt>> {
        match self.ask(Ask::Fetch(build_id.to_vec())) {
            Ok((Answer::Fetched(Ok(())), Some(file))) => Ok(file),
            Ok((Answer::Fetched(Err(tried)), _)) => Err(tried),
            _ => Err(Vec::new()),
        }
    }

    fn turn_to(&self, mapping: &Mapping) {
        let mut inner = self.inner();
        if inner.turned_to == Some(mapping.range.start) {
            return;
        }
        inner.turned_to = Some(mapping.range.start);
        // Where nobody hears it, nobody wants to know.
        let _told = send(inner.socket.as_fd(), &Said::TurnTo(mapping.range.start), None);
    }
}

/// The indices on disk, which somebody else reads and writes.
#[derive(Debug)]
pub(super) struct Indices(Mutex<OwnedFd>);

impl Indices {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(Mutex::new(socket))
    }
}

impl IndexFiles for Indices {
    fn read(&self, name: &str) -> Option<File> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(socket.as_fd(), &IndexAsk::Read(name.to_owned()), None).ok()?;
        receive::<bool>(socket.as_fd(), BYTES_MAX, &mut None).ok()??.1
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without it, the file is read again the next time.
        let ask = IndexAsk::Write(name.to_owned(), bytes.to_vec());
        let _kept = send(socket.as_fd(), &ask, None);
    }
}
