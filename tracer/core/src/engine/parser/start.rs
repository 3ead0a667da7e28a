//! Starts parsers, ends those that take too much, and remembers which files did that.

use super::limits::ParserLimits;
use super::message::{INDEX_BYTES_MAX, IndexAsk, Terms, never_waits_long, receive, send};
use crate::binary::cache::CacheReadings;
use crate::binary::debuginfod::DebugServers;
use crate::binary::index_store::{IndexDirectory, IndexFiles as _};
use crate::binary::open::FileId;
use crate::engine::error::EngineError;
use crate::model::caller::Caller;
use crate::model::issue::Issue;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Files that are remembered because they ended parsers.
const SUSPECTS_MAX: usize = 1024;
/// How long a process may take to die.
const DYING: Duration = Duration::from_secs(2);
/// How often a file may end a parser before it is refused.
const ENDS_MAX: u32 = 2;

/// The parsers of an engine: one for root, and one for each user who asks right now, for what a user
/// has read must not fall to what another one made.
#[derive(Debug)]
pub(in crate::engine) struct Parsers {
    program: PathBuf,
    pub(super) limits: ParserLimits,
    servers: Option<DebugServers>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    root: Option<Arc<Parser>>,
    users: HashMap<Caller, Weak<Parser>>,
    /// By who asked: a user's program may have made it look as if it were another file's fault.
    suspects: HashMap<(Caller, FileId), (u32, Issue)>,
    readings: CacheReadings,
}

impl Parsers {
    /// `program` is the tracer program.
    pub(in crate::engine) fn new(program: PathBuf, servers: Option<DebugServers>) -> Self {
        let limits = ParserLimits::from_environment();
        Self { program, limits, servers, state: Mutex::default() }
    }

    /// How the cache of root's parser stands.
    pub(in crate::engine) fn readings(&self) -> CacheReadings {
        self.state().readings
    }

    pub(super) fn stands(&self, caller: Caller, readings: CacheReadings) {
        if caller == Caller::Root {
            self.state().readings = readings;
        }
    }

    /// The servers that are asked for whom: a user's build-ids are not told to anybody, who may have
    /// put into them what they like.
    pub(super) fn servers(&self, caller: Caller) -> Option<DebugServers> {
        self.servers.clone().filter(|_| caller == Caller::Root)
    }

    /// The parser for a caller; started now if none runs.
    pub(super) fn get(&self, caller: Caller) -> Result<Arc<Parser>, EngineError> {
        let mut state = self.state();
        let mut last = None;
        let known = match caller {
            Caller::Root => state.root.clone(),
            user => state.users.get(&user).and_then(Weak::upgrade),
        };
        if let Some(parser) = known.filter(|parser| !parser.is_dead()) {
            return Ok(parser);
        }
        let parser = self.start(caller)?;
        match caller {
            Caller::Root => last = state.root.replace(Arc::clone(&parser)),
            user => {
                state.users.retain(|_, parser| parser.strong_count() > 0);
                state.users.insert(user, Arc::downgrade(&parser));
            }
        }
        drop(state);
        // Its end may take a while, and is nobody else's matter.
        drop(last);
        Ok(parser)
    }

    /// A parser that nobody else asks.
    pub(super) fn start(&self, caller: Caller) -> Result<Arc<Parser>, EngineError> {
        let indices = IndexDirectory::of_user().filter(|_| caller == Caller::Root);
        Parser::start(self, indices)
            .map(Arc::new)
            .map_err(|source| EngineError::Parser { program: self.program.clone(), source })
    }

    /// A file ended a parser.
    pub(super) fn suspect(&self, caller: Caller, file: FileId, times: u32, issue: &Issue) {
        let mut state = self.state();
        if state.suspects.len() >= SUSPECTS_MAX {
            state.suspects.retain(|(other, _), _| *other != caller);
        }
        let suspect = state.suspects.entry((caller, file));
        let (ends, last) = suspect.or_insert_with(|| (0, issue.clone()));
        *ends += times;
        *last = issue.clone();
    }

    /// Why a file is not read any more, as long as it is as it was.
    pub(super) fn refusal(&self, caller: Caller, file: FileId) -> Option<Issue> {
        let state = self.state();
        let (_, issue) =
            state.suspects.get(&(caller, file)).filter(|(ends, _)| *ends >= ENDS_MAX)?;
        Some(issue.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A parser that was started.
#[derive(Debug)]
pub(super) struct Parser {
    control: OwnedFd,
    child: Mutex<Child>,
    /// It was ended, if it is not dead yet.
    is_ended: AtomicBool,
}

impl Parser {
    fn start(parsers: &Parsers, directory: Option<IndexDirectory>) -> io::Result<Self> {
        let (control, theirs) = pair()?;
        let (indices, their_indices) = pair()?;
        never_waits_long(control.as_fd(), parsers.limits.time)?;
        let child = Command::new(&parsers.program)
            .arg0("tracer-parser")
            .arg("parser")
            // Ctrl-C in a terminal is for who asks.
            .process_group(0)
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let is_ended = AtomicBool::new(false);
        let parser = Self { control, child: Mutex::new(child), is_ended };
        let terms = Terms { memory: parsers.limits.memory, keeps_indices: directory.is_some() };
        send(parser.control.as_fd(), &terms, Some(their_indices.as_fd()))?;
        if let Some(directory) = directory {
            let serve = move || serve_indices(&indices, &directory);
            std::thread::Builder::new().name("indices".to_owned()).spawn(serve)?;
        }
        Ok(parser)
    }

    /// Begins a session.
    pub(super) fn session(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = pair()?;
        send(self.control.as_fd(), &(), Some(theirs.as_fd()))?;
        Ok(ours)
    }

    /// It reads nothing any more.
    pub(super) fn is_dead(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed) || !matches!(self.child().try_wait(), Ok(None))
    }

    /// Ends it, if it has not ended, and tells how it did. One that the kernel can't end at once, for
    /// it waits for a disk, is not waited for.
    pub(super) fn end(&self) -> io::Result<ExitStatus> {
        self.is_ended.store(true, Ordering::Relaxed);
        self.child().kill()?;
        let start = Instant::now();
        while start.elapsed() < DYING {
            if let Some(status) = self.child().try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(DYING / 1000);
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }

    /// Never held while something is waited for.
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        let _asked = shutdown(&self.control, Shutdown::Both);
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the parser can't be ended");
        }
    }
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Reads and writes indices for a parser until it ends.
fn serve_indices(socket: &OwnedFd, directory: &IndexDirectory) {
    while let Ok(Some((ask, _))) = receive(socket.as_fd(), INDEX_BYTES_MAX, &mut None) {
        match ask {
            IndexAsk::Read(name) => {
                let file = Some(directory).filter(|_| IndexDirectory::is_index(&name));
                let file = file.and_then(|directory| directory.read(&name));
                let fd = file.as_ref().map(|file| file.as_fd());
                if send(socket.as_fd(), &file.is_some(), fd).is_err() {
                    return;
                }
            }
            IndexAsk::Write(name, bytes) if IndexDirectory::is_index(&name) => {
                directory.write(&name, &bytes);
            }
            IndexAsk::Write(..) => {}
        }
    }
}
