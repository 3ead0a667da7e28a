//! A client of the daemon: what the command line asks of it, and what comes back.

use crate::api::json;
use crate::api::probes::ProbeRequest;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::stream::StreamLine;
use crate::api::types::{Error, ErrorLine};
use reqwest::header::LOCATION;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// The host is not looked at: there is one daemon at a socket.
const BASE: &str = "http://tracer";
/// How long a probe that is to be removed may take to tell its end.
const END_PATIENCE: Duration = Duration::from_secs(15);

/// How long a short question may take: a removal by perf events takes some seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// A daemon that answers.
#[derive(Debug)]
pub struct Daemon {
    runtime: Runtime,
    http: Client,
    socket: PathBuf,
}

/// What shows the lines of a stream; `Break` if no more are wanted.
pub type Show<'a> = dyn FnMut(StreamLine) -> ControlFlow<()> + 'a;

impl Daemon {
    /// The daemon at `socket`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// There is one, but not for us; or we can't talk at all.
    pub fn at(socket: &Path) -> Result<Option<Self>, Box<Error>> {
        let shown = || socket.display().to_string();
        match std::os::unix::net::UnixStream::connect(socket) {
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    return Err(Refusal::new(RefusalKind::NotAllowed, shown(), "").into());
                }
                // Too many wait to be let in.
                io::ErrorKind::WouldBlock => {
                    return Err(Refusal::new(RefusalKind::Busy, shown(), error.to_string()).into());
                }
                _ => {
                    tracing::debug!(%error, socket = shown(), "no daemon");
                    return Ok(None);
                }
            },
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let http = Client::builder().unix_socket(socket).no_proxy().build();
        let ours = |error: &dyn std::error::Error| {
            Box::<Error>::from(Refusal::new(RefusalKind::NoDaemon, shown(), text(error)))
        };
        Ok(Some(Self {
            runtime: runtime.map_err(|error| ours(&error))?,
            http: http.map_err(|error| ours(&error))?,
            socket: socket.to_owned(),
        }))
    }

    /// Its process, as the kernel says; `None` where that can't be told.
    pub fn pid(&self) -> Option<u32> {
        let peer = self.runtime.block_on(async {
            UnixStream::connect(&self.socket).await.and_then(|socket| socket.peer_cred())
        });
        peer.ok()?.pid().and_then(|pid| u32::try_from(pid).ok())
    }

    /// What a path gives.
    ///
    /// # Errors
    ///
    /// The daemon's refusal; or it went away.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Error>> {
        let request = self.request(Method::GET, path).timeout(PATIENCE);
        self.runtime.block_on(self.answer(request))
    }

    /// What a path gives when it is to be deleted.
    ///
    /// # Errors
    ///
    /// The daemon's refusal; or it went away.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Error>> {
        let request = self.request(Method::DELETE, path).timeout(PATIENCE);
        self.runtime.block_on(self.answer(request))
    }

    /// What a path gives that is an order in itself.
    ///
    /// # Errors
    ///
    /// The daemon's refusal; or it went away.
    pub fn order<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Error>> {
        let request = self.request(Method::POST, path).timeout(PATIENCE);
        self.runtime.block_on(self.answer(request))
    }

    /// What a path gives for `question`.
    ///
    /// # Errors
    ///
    /// The daemon's refusal; or it went away.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Box<Error>> {
        self.runtime.block_on(self.answer(self.request(Method::POST, path).json(question)))
    }

    /// Places a probe and shows its lines. When `stop` becomes readable, or no more lines are
    /// wanted, it is removed. Its breakpoints are out when this returns.
    ///
    /// # Errors
    ///
    /// The daemon's refusal; or it went away, and the probe with it.
    pub fn snapshot(
        &self,
        request: &ProbeRequest,
        stop: BorrowedFd<'_>,
        show: &mut Show<'_>,
    ) -> Result<(), Box<Error>> {
        self.runtime.block_on(async {
            let mut stop = Stop::new(stop).map_err(|error| self.gone(&error))?;
            let asked = self.request(Method::POST, "/v1/probes").json(request).send();
            // Until there is an answer there is nothing to remove by name; the daemon looks at the
            // connection just before it places a breakpoint.
            let response = tokio::select! {
                response = asked => self.checked(response).await?,
                () = stop.turn(true) => return Err(self.no_end()),
            };
            let path = response.headers().get(LOCATION).and_then(|path| path.to_str().ok());
            let path = path.unwrap_or_default().to_owned();
            let remove = || {
                // Whether it was still there is told by the stream.
                tokio::spawn(self.request(Method::DELETE, &path).send());
            };
            self.lines(response, &mut stop, &remove, show).await
        })
    }

    /// Shows the lines that `path` gives, until they end, no more are wanted or `stop` becomes
    /// readable.
    ///
    /// # Errors
    ///
    /// The daemon's refusal; or it went away.
    pub fn follow(
        &self,
        path: &str,
        stop: BorrowedFd<'_>,
        show: &mut Show<'_>,
    ) -> Result<(), Box<Error>> {
        self.runtime.block_on(async {
            let mut stop = Stop::new(stop).map_err(|error| self.gone(&error))?;
            let response = self.request(Method::GET, path).send().await;
            let mut lines = Lines::of(self.checked(response).await?);
            loop {
                let line = tokio::select! {
                    line = lines.next() => line.map_err(|error| self.gone(&error))?,
                    _ = stop.asked() => return Ok(()),
                };
                let Some(line) = line else { return Ok(()) };
                if show(self.read(&line)?).is_break() {
                    return Ok(());
                }
            }
        })
    }

    /// Shows the lines of a probe of ours up to its last one; `remove` asks for that.
    async fn lines(
        &self,
        response: Response,
        stop: &mut Stop,
        remove: &dyn Fn(),
        show: &mut Show<'_>,
    ) -> Result<(), Box<Error>> {
        let mut lines = Lines::of(response);
        let (mut removing, mut quiet, mut shown) = (false, false, 0);
        loop {
            let line = tokio::select! {
                biased;
                line = lines.next() => line.map_err(|error| self.gone(&error))?,
                () = stop.turn(removing) => {
                    if removing {
                        return Err(self.no_end());
                    }
                    removing = true;
                    remove();
                    continue;
                }
            };
            let Some(line) = line else {
                return Err(self.gone(&io::Error::from(io::ErrorKind::UnexpectedEof)));
            };
            let mut line = self.read(&line)?;
            let is_last = matches!(line, StreamLine::Summary(_) | StreamLine::Error(_));
            match &mut line {
                _ if quiet && !is_last => continue,
                StreamLine::Capture(_) => shown += 1,
                // What was not shown came after the end, as seen from here.
                StreamLine::Summary(line) if quiet => line.summary.written = shown,
                _ => {}
            }
            quiet |= show(line).is_break();
            if is_last {
                return Ok(());
            }
            if quiet && !removing {
                removing = true;
                stop.ask();
                remove();
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{BASE}{path}"))
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Box<Error>> {
        let response = self.checked(request.send().await).await?;
        let bytes = response.bytes().await.map_err(|error| self.gone(&error))?;
        json::read(&bytes).map_err(|error| self.not_understood(&error))
    }

    /// The response, if it is what was asked for.
    async fn checked(&self, response: reqwest::Result<Response>) -> Result<Response, Box<Error>> {
        let response = response.map_err(|error| match error.is_timeout() {
            true => self.no_answer(),
            false => self.gone(&error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let bytes = response.bytes().await.map_err(|error| self.gone(&error))?;
        let line: ErrorLine = json::read(&bytes).map_err(|error| self.not_understood(&error))?;
        Err(Box::new(line.error))
    }

    fn read(&self, line: &[u8]) -> Result<StreamLine, Box<Error>> {
        StreamLine::read(line).map_err(|error| self.not_understood(&error))
    }

    fn gone(&self, error: &dyn std::error::Error) -> Box<Error> {
        self.refusal(RefusalKind::DaemonGone, text(error))
    }

    fn no_end(&self) -> Box<Error> {
        let waited = format!("the probe did not end in {} s", END_PATIENCE.as_secs());
        self.refusal(RefusalKind::Busy, waited)
    }

    fn no_answer(&self) -> Box<Error> {
        let waited = format!("no answer in {} s", PATIENCE.as_secs());
        self.refusal(RefusalKind::Busy, waited)
    }

    fn not_understood(&self, error: &dyn std::error::Error) -> Box<Error> {
        self.refusal(RefusalKind::OtherVersion, text(error))
    }

    fn refusal(&self, kind: RefusalKind, detail: String) -> Box<Error> {
        Refusal::new(kind, self.socket.display().to_string(), detail).into()
    }
}

/// An error with all that is behind it.
fn text(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The lines of a response.
struct Lines {
    response: Response,
    bytes: Vec<u8>,
    /// Bytes in front that hold no line feed.
    searched: usize,
}

impl Lines {
    fn of(response: Response) -> Self {
        Self { response, bytes: Vec::new(), searched: 0 }
    }

    /// The next line; `None` at the end. What is behind the last line feed was cut off.
    ///
    /// Dropped while it waits, it loses nothing.
    async fn next(&mut self) -> reqwest::Result<Option<Vec<u8>>> {
        loop {
            let found = self.bytes.iter().skip(self.searched).position(|byte| *byte == b'\n');
            if let Some(position) = found {
                let rest = self.bytes.split_off(self.searched + position + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.bytes, rest)));
            }
            self.searched = self.bytes.len();
            match self.response.chunk().await? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// A stop that may be asked for, by a socket that becomes readable.
struct Stop {
    socket: UnixStream,
    /// When it was.
    asked: Option<Instant>,
}

impl Stop {
    fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(fd.try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixStream::from_std(socket)?, asked: None })
    }

    /// Asks for it from this side.
    fn ask(&mut self) -> Instant {
        *self.asked.get_or_insert_with(Instant::now)
    }

    /// Waits until it is asked for; gives when it was.
    async fn asked(&mut self) -> Instant {
        if self.asked.is_none()
            && let Err(error) = self.socket.readable().await
        {
            tracing::debug!(%error, "can't wait for a stop: the safe end");
        }
        self.ask()
    }

    /// Waits until it was asked for; once something is done about it, until that was long ago.
    async fn turn(&mut self, done: bool) {
        let asked = self.asked().await;
        if done {
            tokio::time::sleep_until(asked + END_PATIENCE).await;
        }
    }
}
