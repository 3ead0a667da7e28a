//! What we and the parser say to each other: a length, then that many bytes; a file descriptor beside
//! them if need be. Both ends are one program, so none of it is a promise.

use crate::binary::cache::CacheReadings;
use crate::binary::debugfile::Attempt;
use crate::binary::opener::RootName;
use crate::engine::findings::Found;
use crate::model::address::Avma;
use crate::model::caller::Caller;
use crate::model::issue::Issue;
use crate::model::process::Process;
use crate::model::serial;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, IoSlice, IoSliceMut, read};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes of a message that is no answer to a question.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Bytes of an index of debug info; more is not kept on disk either.
pub(super) const INDEX_BYTES_MAX: usize = 256 << 20;
/// Bytes that are read at once: a length is believed only as far as its bytes have come.
const PIECE: usize = 1 << 20;

/// The first that a parser is told; its end for indices comes with it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    /// Bytes of memory that it may write to.
    pub(super) memory: u64,
    /// Indices of debug info are kept.
    pub(super) keeps_indices: bool,
}

/// The first that is said in a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scene {
    pub(super) process: Process,
    /// Who asks.
    pub(super) caller: Caller,
}

/// What the parser is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine) enum Request {
    /// Functions that match a pattern.
    Find(String),
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine) enum Reply {
    /// To [`Request::Find`].
    Found(Result<Vec<Found>, Issue>),
}

/// What the parser says in a session.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It needs a file.
    Ask(Ask),
    /// It reads the file that is mapped there now.
    TurnTo(Avma),
    /// The answer to the question, and how its cache stands.
    Reply(Reply, CacheReadings),
}

/// What the parser needs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// The file that is mapped there.
    Mapped(Avma),
    /// Where debug files may be.
    Roots,
    /// A file in one of these.
    Open {
        root: usize,
        #[serde(with = "serial::path")]
        path: PathBuf,
    },
    /// The debug file of a build-id, from a server.
    Fetch(Vec<u8>),
}

/// What it gets. Where it is a file, that comes with it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Mapped(Result<(), Issue>),
    Roots(Vec<RootName>),
    /// Else the number of the system's error.
    Opened(Result<(), i32>),
    Fetched(Result<(), Vec<Attempt>>),
}

/// What the parser wants of the indices on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum IndexAsk {
    /// Answered by whether there is one, which comes with it.
    Read(String),
    /// Not answered.
    Write(String, Vec<u8>),
}

/// Sends one message.
pub(super) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = (bytes.len() as u64).to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = fd.map(|fd| [fd]);
    if let Some(fds) = &fds
        && !control.push(SendAncillaryMessage::ScmRights(fds))
    {
        return Err(Errno::TOOBIG.into());
    }
    // Eight bytes go whole or not at all.
    retry(|| sendmsg(socket, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL))?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let nothing = &mut SendAncillaryBuffer::default();
        let sent = retry(|| sendmsg(socket, &[IoSlice::new(rest)], nothing, SendFlags::NOSIGNAL))?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Receives one message of at most so many bytes; `None` where nobody is there any more. Waits no
/// longer than `patience`, from which the time is taken.
pub(super) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    most: usize,
    patience: &mut Option<Duration>,
) -> io::Result<Option<(T, Option<File>)>> {
    wait(socket, patience)?;
    let mut length = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry(|| {
        let into = &mut [IoSliceMut::new(&mut length)];
        recvmsg(socket, into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    let is_known = received.bytes == 8 && !received.flags.contains(ReturnFlags::CTRUNC);
    if !is_known || length > most || fds.len() > 1 {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let (start, piece) = (bytes.len(), PIECE.min(length - bytes.len()));
        bytes.resize(start + piece, 0);
        wait(socket, patience)?;
        let got = retry(|| read(socket, bytes.get_mut(start..).unwrap_or_default()))?;
        bytes.truncate(start + got);
        if got == 0 {
            return Ok(None);
        }
    }
    let malformed = |_| io::Error::from(io::ErrorKind::InvalidData);
    let message = postcard::from_bytes(&bytes).map_err(malformed)?;
    Ok(Some((message, fds.pop().map(File::from))))
}

/// Waits until something can be read.
fn wait(socket: BorrowedFd<'_>, patience: &mut Option<Duration>) -> io::Result<()> {
    let start = Instant::now();
    let timeout = patience.map(TryInto::try_into).transpose().ok().flatten();
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let ready = match poll(&mut fds, timeout.as_ref()) {
        Ok(ready) => ready > 0,
        Err(Errno::INTR) => true,
        Err(error) => return Err(error.into()),
    };
    if let Some(left) = patience {
        *left = left.saturating_sub(start.elapsed());
    }
    if ready { Ok(()) } else { Err(io::Error::from(io::ErrorKind::TimedOut)) }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Has a socket give up sending to who does not read.
pub(super) fn never_waits_long(socket: BorrowedFd<'_>, time: Duration) -> Result<(), Errno> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    set_socket_timeout(socket, Timeout::Send, Some(time))
}
