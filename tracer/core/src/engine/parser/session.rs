//! Our end of a session: asks the parser, opens files for it, and bears its death.

use super::desk::Desk;
use super::message::{
    Reply, Request, SAID_BYTES_MAX, Said, Scene, never_waits_long, receive, send,
};
use super::start::{Parser, Parsers};
use crate::engine::error::EngineError;
use crate::model::abilities::HostAbilities;
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::Process;
use crate::model::resolved::Resolved;
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is asked of us meanwhile may take so many times as long as an answer.
const ANSWERS: u32 = 4;
/// Decoding has a sixtieth of a core where others want all of it.
const WAITS_FOR_TURN: u32 = 10;

/// Questions about one process.
#[derive(Debug)]
pub(in crate::engine) struct Session<'e> {
    parsers: &'e Parsers,
    scene: Scene,
    desk: RefCell<Desk>,
    connection: RefCell<Option<Connection>>,
}

#[derive(Debug)]
struct Connection {
    parser: Arc<Parser>,
    socket: OwnedFd,
    /// Nobody else asks this parser, so whatever ends it was asked here.
    is_own: bool,
}

impl<'e> Session<'e> {
    /// Nothing is asked yet.
    pub(in crate::engine) fn new(parsers: &'e Parsers, process: Process, caller: Caller) -> Self {
        let desk = RefCell::new(Desk::new(parsers, process.clone(), caller));
        let scene = Scene { process, caller, host: None, raw: false, sites: None };
        Self { parsers, scene, desk, connection: RefCell::new(None) }
    }

    /// The same on a machine that can do this.
    #[must_use]
    pub(in crate::engine) fn on(mut self, host: HostAbilities) -> Self {
        self.scene.host = Some(host);
        self
    }

    /// Values are shown as they are stored, or as they are meant.
    pub(in crate::engine) fn show_raw(&mut self, raw: bool) {
        self.scene.raw = raw;
    }

    /// What was resolved is kept here too, for a parser that comes after one that died.
    pub(in crate::engine) fn keep(&mut self, resolved: &Resolved, text: &str) {
        self.scene.sites = Some((resolved.clone(), text.to_owned()));
    }

    /// Asks, and waits for the answer. A parser that dies meanwhile may do so of what somebody else
    /// asked, so the question is asked once more, of a parser of its own.
    ///
    /// # Errors
    ///
    /// [`IssueKind::Unread`] where the parser died of it, or took too long; no parser starts.
    pub(super) fn ask(&self, request: &Request) -> Result<Reply, EngineError> {
        loop {
            // What ended it while nobody asked it anything is no file's fault.
            let living = self.connection.take().filter(|to| !to.parser.is_dead());
            let connection = match living {
                Some(connection) => connection,
                None => self.connect(false)?,
            };
            self.desk.borrow_mut().begin();
            match self.converse(&connection, request) {
                Ok(reply) => {
                    // One that nobody else asks has served.
                    self.connection.replace(Some(connection).filter(|to| !to.is_own));
                    return Ok(reply);
                }
                Err(error) => {
                    let is_own = connection.is_own;
                    if let Some(issue) = self.bury(connection, &error) {
                        return Err(issue.into());
                    }
                    debug_assert!(!is_own, "it is asked once more only");
                    self.connection.replace(Some(self.connect(true)?));
                }
            }
        }
    }

    /// Why a file was left out of the last answer.
    pub(super) fn refused(&self) -> Option<Issue> {
        self.desk.borrow().refused().cloned()
    }

    fn connect(&self, is_own: bool) -> Result<Connection, EngineError> {
        let caller = self.scene.caller;
        let parser = if is_own { self.parsers.start(caller)? } else { self.parsers.get(caller)? };
        let begin = || -> io::Result<OwnedFd> {
            let socket = parser.session()?;
            never_waits_long(socket.as_fd(), self.parsers.limits.time)?;
            send(socket.as_fd(), &self.scene, None)?;
            Ok(socket)
        };
        // One that has died just now is noticed by the first question.
        match begin() {
            Ok(socket) => Ok(Connection { parser, socket, is_own }),
            Err(_) if !is_own => {
                // It takes no question, from nobody.
                let _status = parser.end();
                self.connect(true)
            }
            Err(source) => Err(EngineError::ParserGone(source)),
        }
    }

    fn converse(&self, to: &Connection, request: &Request) -> io::Result<Reply> {
        let socket = to.socket.as_fd();
        send(socket, request, None)?;
        // What we do for it is not its time, but it can't have us work without end.
        let time = self.time_for(request);
        let (start, mut patience) = (Instant::now(), Some(time));
        while start.elapsed() < time * ANSWERS {
            let (said, _) = receive(socket, SAID_BYTES_MAX, &mut patience)?
                .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            match said {
                Said::Ask(ask) => {
                    let (answer, file) = self.desk.borrow_mut().answer(ask, self.parsers);
                    send(socket, &answer, file.as_ref().map(|file| file.as_fd()))?;
                }
                Said::TurnTo(at) => self.desk.borrow_mut().turn_to(at),
                Said::Reply(reply, readings) => {
                    self.parsers.stands(self.scene.caller, readings);
                    return Ok(reply);
                }
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }

    /// How long an answer may take. Who decodes goes behind all others, and may wait for its turn.
    fn time_for(&self, request: &Request) -> Duration {
        let time = self.parsers.limits.time;
        if matches!(request, Request::Decode(..)) { time * WAITS_FOR_TURN } else { time }
    }

    /// Ends a parser that did not answer. Gives what is told, if it is told now.
    fn bury(&self, connection: Connection, error: &io::Error) -> Option<Issue> {
        let Connection { parser, is_own, .. } = connection;
        let status = parser.end();
        let timed_out = error.kind() == io::ErrorKind::TimedOut;
        let limits = self.parsers.limits;
        let signal = status.ok().and_then(|status| status.signal());
        let was_killed = !timed_out && signal == Some(libc::SIGKILL);
        let detail = match signal {
            _ if timed_out => format!("it took more than {} s", limits.time.as_secs()),
            Some(signal) if signal != libc::SIGKILL => format!(
                "the process that reads it ended by signal {signal}; it may take {} MiB",
                limits.memory >> 20
            ),
            _ => "the process that reads it was ended".to_owned(),
        };
        let (file, path) = self.desk.borrow().being_read();
        let issue = Issue::new(IssueKind::Unread, path, detail);
        tracing::warn!(%issue, is_own, "a parser died");
        if timed_out || is_own {
            if let Some(file) = file {
                // In a parser of its own it is the second time, if the system did not end it.
                let times = if is_own && !was_killed { 2 } else { 1 };
                self.parsers.suspect(self.scene.caller, file, times, &issue);
            }
            return Some(issue);
        }
        None
    }
}
