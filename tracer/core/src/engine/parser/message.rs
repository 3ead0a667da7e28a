//! What we and the parser say to each other: a length, then that many bytes; a file descriptor beside
//! them if need be. Both ends are one program, so none of it is a promise.

use crate::binary::cache::CacheReadings;
use crate::binary::debugfile::Attempt;
use crate::binary::opener::RootName;
use crate::engine::event::ModuleLabel;
use crate::engine::findings::{Found, SiteVars};
use crate::model::abilities::HostAbilities;
use crate::model::address::Avma;
use crate::model::caller::Caller;
use crate::model::capture::Capture;
use crate::model::issue::Issue;
use crate::model::limits::Limits;
use crate::model::plan::Plan;
use crate::model::process::Process;
use crate::model::record::Record;
use crate::model::resolved::{LocationSpec, Resolved};
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
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes of a message that is no answer to a question.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Bytes of what a parser says: in memory it may be some times as many.
pub(super) const SAID_BYTES_MAX: usize = 32 << 20;
/// Bytes of an index of debug info; more is not kept on disk either.
pub(super) const INDEX_BYTES_MAX: usize = 256 << 20;
/// What is nested no deeper is read on the stack that there is.
const SHALLOW: u32 = 24;
/// Room for what is nested as deep as it may be.
const DEEP_STACK: usize = 32 << 20;
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
    /// Where something is to be probed: what this machine can do.
    pub(super) host: Option<HostAbilities>,
    /// Values are shown as they are stored.
    pub(super) raw: bool,
    /// What was resolved by a parser before this one, and the location in the user's words.
    pub(super) sites: Option<(Resolved, String)>,
}

/// What the parser is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Functions that match a pattern.
    Find(String),
    /// Where a location, also in the user's words, has variables.
    Vars(LocationSpec, String),
    /// Where to probe, and what to copy there.
    Resolve(Question),
    /// What hits of what was resolved before say.
    Decode(Hits, Limits),
}

/// A location to be probed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::engine) struct Question {
    pub(in crate::engine) location: LocationSpec,
    /// In the user's words.
    pub(in crate::engine) text: String,
    pub(in crate::engine) limits: Limits,
    /// Entries of functions may be probed too.
    pub(in crate::engine) entries: bool,
    /// Hits of it will be decoded.
    pub(in crate::engine) kept: bool,
}

impl Question {
    /// Without entries, and for no hits.
    pub(in crate::engine) fn of(location: &LocationSpec, text: &str, limits: Limits) -> Self {
        let (location, text) = (location.clone(), text.to_owned());
        Self { location, text, limits, entries: false, kept: false }
    }
}

/// What a location resolves to.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine) struct Resolution {
    pub(in crate::engine) resolved: Resolved,
    /// One for each site.
    pub(in crate::engine) plans: Vec<Plan>,
    /// How modules are shown, by index.
    pub(in crate::engine) modules: Vec<ModuleLabel>,
}

/// Records, and what is known beside them: all that there are at once, for who decodes is seldom given
/// its turn.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine) struct Hits {
    /// Each with the index of its site.
    pub(in crate::engine) records: Vec<(usize, Record)>,
    /// Where the code is not what it was when it was resolved.
    pub(in crate::engine) changed: Vec<Range<Avma>>,
    /// What to add to boot time to get wall time, in nanoseconds.
    pub(in crate::engine) wall_minus_boot_ns: i128,
    /// The nice value of who decodes them.
    pub(in crate::engine) nice: i32,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Found(Result<Vec<Found>, Issue>),
    /// The sites, and places that are none.
    Vars(Result<(Vec<SiteVars>, Vec<Issue>), Issue>),
    Resolved(Result<Resolution, Issue>),
    /// Of each hit.
    Captures(Vec<Capture>),
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
pub(super) fn receive<T: DeserializeOwned + Send>(
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
    Ok(Some((message(&bytes)?, fds.pop().map(File::from))))
}

/// Reads a message. One that is nested deep is read once more where there is room for it.
fn message<T: DeserializeOwned + Send>(bytes: &[u8]) -> io::Result<T> {
    let shallow = serial::nested_at_most(SHALLOW, || postcard::from_bytes(bytes));
    if let Ok(message) = shallow {
        return Ok(message);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("deep".to_owned()).stack_size(DEEP_STACK);
        let deep = || serial::nested_at_most(serial::NESTED_MAX, || postcard::from_bytes(bytes));
        let message = thread.spawn_scoped(scope, deep)?.join();
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        message.map_err(|_| malformed())?.map_err(|_| malformed())
    })
}

/// Waits until something can be read.
fn wait(socket: BorrowedFd<'_>, patience: &mut Option<Duration>) -> io::Result<()> {
    loop {
        let start = Instant::now();
        let timeout = patience.map(TryInto::try_into).transpose().ok().flatten();
        let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        let ready = poll(&mut fds, timeout.as_ref());
        if let Some(left) = patience {
            *left = left.saturating_sub(start.elapsed());
        }
        match ready {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::capture::Provenance;
    use crate::model::value::{Typed, Value};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::AsFd as _;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn nested(depth: usize) -> Typed {
        let start = Typed { type_name: "int".to_owned(), value: Value::Signed(-7) };
        (0..depth).fold(start, |target, _| {
            let (address, provenance) = (Some(8), Provenance::Live);
            let value = Value::Pointer { address, target: Box::new(target), provenance };
            Typed { type_name: "p".to_owned(), value }
        })
    }

    fn said<T: DeserializeOwned + Send>(bytes: &[u8]) -> io::ErrorKind {
        let (ours, theirs) = pair();
        rustix::io::write(&theirs, bytes).unwrap();
        drop(theirs);
        match receive::<T>(ours.as_fd(), 1 << 20, &mut None) {
            Ok(Some(_)) => panic!("it is a message"),
            Ok(None) => io::ErrorKind::UnexpectedEof,
            Err(error) => error.kind(),
        }
    }

    #[test]
    fn messages_cross_with_their_file() {
        let (ours, theirs) = pair();
        let sent = IndexAsk::Write("name".to_owned(), vec![1; 3 << 20]);
        let file = File::open("/proc/self/exe").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| send(theirs.as_fd(), &sent, Some(file.as_fd())).unwrap());
            let (got, file) = receive(ours.as_fd(), 4 << 20, &mut None).unwrap().unwrap();
            let IndexAsk::Write(name, bytes) = got else { panic!("{got:?}") };
            assert_eq!((name.as_str(), bytes.len()), ("name", 3 << 20));
            assert!(file.unwrap().metadata().unwrap().len() > 0);
        });
    }

    /// HOST-4
    #[test]
    fn what_is_no_message_of_ours_is_an_error() {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        assert_eq!(said::<String>(b""), UnexpectedEof);
        assert_eq!(said::<String>(&u64::MAX.to_le_bytes()), InvalidData);
        assert_eq!(said::<String>(&[255, 255, 15, 0, 0, 0, 0, 0, 1]), UnexpectedEof);
        assert_eq!(said::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 9]), InvalidData);
        assert_eq!(said::<Said>(&[1, 0, 0, 0, 0, 0, 0, 0, 9]), InvalidData);
        assert_eq!(said::<String>(&[1, 0, 0]), InvalidData);
    }

    /// HOST-4
    #[test]
    fn what_is_nested_too_deep_is_refused() {
        // Only what reads must do with the stack of a test.
        let with_room = |work: fn()| {
            let thread = std::thread::Builder::new().stack_size(DEEP_STACK);
            thread.spawn(work).unwrap().join().unwrap();
        };
        with_room(|| {
            let deepest = nested(256);
            let bytes = postcard::to_stdvec(&deepest).unwrap();
            assert_eq!(message::<Typed>(&bytes).unwrap(), deepest);
        });
        let [flat, once] = [0, 1].map(|depth| postcard::to_stdvec(&nested(depth)).unwrap());
        // What stands in front of a pointer's target, and the provenance that stands behind it.
        let (front, behind) = (&once[..once.len() - flat.len() - 1], &once[once.len() - 1..]);
        let of = |depth| [front.repeat(depth), flat.clone(), behind.repeat(depth)].concat();
        assert_eq!(message::<Typed>(&of(2)).unwrap(), nested(2));
        assert!(message::<Typed>(&of(1000)).is_err());
        let endless = front.repeat(100_000);
        assert!(message::<Typed>(&endless).is_err());
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let (ours, _theirs) = pair();
        let mut patience = Some(Duration::from_millis(10));
        let error = receive::<String>(ours.as_fd(), 1 << 20, &mut patience).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(patience, Some(Duration::ZERO));
    }
}
