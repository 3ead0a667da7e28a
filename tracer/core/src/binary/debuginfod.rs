//! Debug files from servers (debuginfod), by build-id: asked last, and only those servers that who
//! runs tracer has named in its environment.
//!
//! A file is fetched on a thread of its own into a directory of our own. Whoever needs it waits a
//! little, however many files are needed; one that comes later is there for the next one. A file is
//! used only if it has the build-id that was asked for.

use super::debugfile::{Refusal, hex};
use super::elf::ElfFile;
use super::index_store::bound;
use super::open::MappedFile;
use super::own_directory;
use rustix::fs::AtFlags;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long all that need files wait together in a [`WINDOW`].
const WAIT: Duration = Duration::from_secs(10);
/// See [`WAIT`].
const WINDOW: Duration = Duration::from_secs(60);
/// How long a file may take, if nobody waits for it any more.
const FETCH_TIME: Duration = Duration::from_secs(600);
/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 2 << 30;
/// Bytes of all files in the directory; the least recently fetched ones go.
const CACHE_BYTES_MAX: u64 = 4 << 30;
/// Files that are fetched at once.
const FETCHES_MAX: usize = 4;
/// How long a server that failed is left alone, and a file is not asked for again.
const REST: Duration = Duration::from_secs(300);
/// Files that are known not to be there.
const FAILED_MAX: usize = 4096;
/// The longest build-id; SHA-256 has 32 bytes.
const BUILD_ID_MAX: usize = 64;
/// Below [`own_directory::path`].
const DIRECTORY: &str = "debuginfod";

/// Which servers are asked, and how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerOptions {
    /// `DEBUGINFOD_URLS`, without a slash at the end: `http://HOST:PORT`.
    pub urls: Vec<String>,
    /// Those that are not asked, with the reason.
    pub refused: Vec<(String, &'static str)>,
    /// How long all that need files wait together in a minute (`DEBUGINFOD_TIMEOUT`).
    pub wait: Duration,
    /// How long a file may take (`DEBUGINFOD_MAXTIME`).
    pub fetch: Duration,
    /// Bytes of a file (`DEBUGINFOD_MAXSIZE`).
    pub bytes_max: u64,
    /// Where files are kept.
    pub directory: Option<PathBuf>,
}

impl ServerOptions {
    /// What the environment says, in the words of debuginfod(7).
    pub fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let seconds = |name: &str| number(name).filter(|n| *n > 0).map(Duration::from_secs);
        let (urls, refused) = urls(&std::env::var("DEBUGINFOD_URLS").unwrap_or_default());
        Self {
            urls,
            refused,
            wait: seconds("DEBUGINFOD_TIMEOUT").unwrap_or(WAIT),
            fetch: seconds("DEBUGINFOD_MAXTIME").unwrap_or(FETCH_TIME),
            bytes_max: number("DEBUGINFOD_MAXSIZE").unwrap_or(FILE_BYTES_MAX),
            directory: own_directory::path().map(|path| path.join(DIRECTORY)),
        }
    }
}

/// Servers that are asked, and words that name none of these.
fn urls(text: &str) -> (Vec<String>, Vec<(String, &'static str)>) {
    let (mut urls, mut refused) = (Vec::new(), Vec::new());
    let mut signed = false;
    for word in text.split_ascii_whitespace() {
        // Holds for those behind it (debuginfod_find_debuginfo(3)).
        if let Some(policy) = word.strip_prefix("ima:") {
            signed = policy == "enforcing";
            continue;
        }
        let url = word.trim_end_matches('/');
        let why = if signed {
            Some("its signatures (ima:enforcing) can't be checked")
        } else if !url.starts_with("http://") && !url.starts_with("https://") {
            Some("it is no URL of http or https")
        } else {
            None
        };
        match why {
            Some(why) => refused.push((word.to_owned(), why)),
            None => urls.push(url.to_owned()),
        }
    }
    (urls, refused)
}

/// Why a server gives no file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchError {
    /// It has none.
    NotFound,
    /// It can't be asked.
    Failed(String),
    /// What it gives does not serve, or there is no place for it.
    Unusable(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Failed(why) | Self::Unusable(why) => f.write_str(why),
        }
    }
}

/// How a server is asked. An implementation follows no redirection, for that would let the server
/// choose who is asked.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Writes what a URL gives.
    ///
    /// # Errors
    ///
    /// There is nothing, it takes longer than `patience`, or `to` takes no more.
    fn get(&self, url: &str, patience: Duration, to: &mut dyn Write) -> Result<(), FetchError>;
}

/// The servers that are asked.
#[derive(Clone, Debug)]
pub struct DebugServers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: ServerOptions,
    transport: Box<dyn Transport>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fetches: HashMap<String, Fetch>,
    /// Servers that failed, and when.
    resting: HashMap<String, Instant>,
    /// Since when how long has been waited.
    waited: Option<(Instant, Duration)>,
}

#[derive(Clone, Debug)]
enum Fetch {
    Running,
    Failed(Vec<(String, FetchError)>, Instant),
}

impl DebugServers {
    /// Nobody is asked yet. `None` where there is nobody to ask, or no place for files.
    pub fn new(options: ServerOptions, transport: Box<dyn Transport>) -> Option<Self> {
        if options.urls.is_empty() || options.directory.is_none() {
            return None;
        }
        let (state, changed) = (Mutex::default(), Condvar::new());
        Some(Self(Arc::new(Shared { options, transport, state, changed })))
    }

    /// The debug file of a build-id; else what was tried.
    pub(super) fn find(&self, build_id: &[u8]) -> Result<ElfFile, Vec<(String, Refusal)>> {
        let id = hex(build_id);
        let all = |why: &str| {
            let refusal = |url: &String| (url.clone(), Refusal::Unusable(why.to_owned()));
            self.0.options.urls.iter().map(refusal).collect::<Vec<_>>()
        };
        if build_id.is_empty() || build_id.len() > BUILD_ID_MAX {
            return Err(all("not asked for a build-id of this length"));
        }
        let directory = self.0.directory().map_err(|why| all(&why))?;
        if let Some(file) = kept(directory.as_fd(), &id) {
            return Ok(file);
        }
        match self.fetch(&id) {
            Some(Fetch::Failed(tried, _)) => {
                let refusal = |(url, why): (String, FetchError)| (url, refusal(why));
                Err(tried.into_iter().map(refusal).collect())
            }
            Some(Fetch::Running) => Err(all("it is being fetched: ask again in a while")),
            None => kept(directory.as_fd(), &id).ok_or_else(|| all("the file is gone again")),
        }
    }

    /// Waits for a file; `None` if it has come.
    fn fetch(&self, id: &str) -> Option<Fetch> {
        let mut state = self.0.state();
        let running = state.fetches.values().filter(|fetch| fetch.is_running()).count();
        match state.fetches.get(id) {
            Some(Fetch::Running) => {}
            Some(Fetch::Failed(_, at)) if at.elapsed() < REST => {
                return state.fetches.get(id).cloned();
            }
            _ if running >= FETCHES_MAX => return Some(Fetch::Running),
            _ => {
                if state.fetches.len() >= FAILED_MAX {
                    state.fetches.retain(|_, fetch| fetch.is_running());
                }
                state.fetches.insert(id.to_owned(), Fetch::Running);
                self.start(&mut state, id);
            }
        }
        let (start, patience) = (Instant::now(), state.patience(self.0.options.wait));
        while state.fetches.get(id).is_some_and(Fetch::is_running) {
            let Some(left) = patience.checked_sub(start.elapsed()).filter(|d| !d.is_zero()) else {
                break;
            };
            let waiting = self.0.changed.wait_timeout(state, left);
            state = waiting.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waited_for(start.elapsed());
        state.fetches.get(id).cloned()
    }

    fn start(&self, state: &mut State, id: &str) {
        let (shared, own) = (Arc::clone(&self.0), id.to_owned());
        let work = move || {
            let outcome = shared.fetch(&own);
            let mut state = shared.state();
            match outcome {
                Ok(()) => drop(state.fetches.remove(&own)),
                Err(tried) => {
                    drop(state.fetches.insert(own, Fetch::Failed(tried, Instant::now())));
                }
            }
            shared.changed.notify_all();
        };
        if let Err(error) = std::thread::Builder::new().name("debuginfod".to_owned()).spawn(work) {
            let why = FetchError::Failed(error.to_string());
            let failed = Fetch::Failed(vec![(String::new(), why)], Instant::now());
            state.fetches.insert(id.to_owned(), failed);
        }
    }
}

impl Fetch {
    fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }
}

impl State {
    /// How long may be waited now.
    fn patience(&mut self, wait: Duration) -> Duration {
        match self.waited {
            Some((since, waited)) if since.elapsed() < WINDOW => wait.saturating_sub(waited),
            _ => {
                self.waited = Some((Instant::now(), Duration::ZERO));
                wait
            }
        }
    }

    fn waited_for(&mut self, time: Duration) {
        if let Some((_, waited)) = &mut self.waited {
            *waited = waited.saturating_add(time);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before anything can go wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self) -> Result<OwnedFd, String> {
        let path = self.options.directory.as_deref().ok_or("there is no directory for files")?;
        let above = path.parent().map(own_directory::open).transpose();
        let open = above.and_then(|_above| own_directory::open(path));
        open.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Asks one server after the other.
    fn fetch(&self, id: &str) -> Result<(), Vec<(String, FetchError)>> {
        let mut tried = Vec::new();
        for url in &self.options.urls {
            let resting = self.state().resting.get(url).is_some_and(|at| at.elapsed() < REST);
            let outcome = if resting {
                Err(FetchError::Failed("it failed before, and is asked again later".to_owned()))
            } else {
                self.fetch_from(url, id)
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => {
                    if matches!(error, FetchError::Failed(_)) && !resting {
                        self.state().resting.insert(url.clone(), Instant::now());
                    }
                    tried.push((url.clone(), error));
                }
            }
        }
        Err(tried)
    }

    fn fetch_from(&self, url: &str, id: &str) -> Result<(), FetchError> {
        let failed = |why: String| FetchError::Unusable(why);
        let directory = self.directory().map_err(failed)?;
        let new =
            own_directory::Writing::new(directory.as_fd()).map_err(|e| failed(e.to_string()))?;
        let mut to = Bounded { file: new.file(), left: self.options.bytes_max, refused: None };
        let url = format!("{url}/buildid/{id}/debuginfo");
        let got = self.transport.get(&url, self.options.fetch, &mut to);
        if let Some(why) = to.refused {
            return Err(failed(why));
        }
        got?;
        let mapped = MappedFile::own_in(directory.as_fd(), new.name());
        let elf = mapped.map_err(|errno| failed(errno.to_string()))?;
        let elf = ElfFile::parse(elf).map_err(|issue| failed(issue.detail))?;
        if elf.build_id().map(hex).as_deref() != Some(id) {
            return Err(failed("what it gave has another build-id".to_owned()));
        }
        new.keep_as(&name(id)).map_err(|error| failed(error.to_string()))?;
        if let Err(error) = bound(&directory, CACHE_BYTES_MAX) {
            tracing::debug!(%error, "fetched files were not counted");
        }
        Ok(())
    }
}

fn refusal(error: FetchError) -> Refusal {
    match error {
        FetchError::NotFound => Refusal::Unopened(rustix::io::Errno::NOENT),
        FetchError::Failed(why) | FetchError::Unusable(why) => Refusal::Unusable(why),
    }
}

fn name(id: &str) -> String {
    format!("{id}.debug")
}

/// A file that was fetched before. One that does not belong to its name is removed.
fn kept(directory: BorrowedFd<'_>, id: &str) -> Option<ElfFile> {
    let file = MappedFile::own_in(directory, &name(id)).ok()?;
    let elf =
        ElfFile::parse(file).ok().filter(|elf| elf.build_id().map(hex).as_deref() == Some(id));
    if elf.is_none() {
        let _gone = rustix::fs::unlinkat(directory, name(id), AtFlags::empty());
    }
    elf
}

/// Takes no more than so many bytes.
struct Bounded<'f> {
    file: &'f File,
    left: u64,
    /// Why it takes no more.
    refused: Option<String>,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        let left = left.ok_or_else(|| io::Error::other("it is larger than DEBUGINFOD_MAXSIZE"));
        let written = left.and_then(|left| {
            self.left = left;
            self.file.write(bytes)
        });
        self.refused = written.as_ref().err().map(ToString::to_string);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_can_be_asked_truly_are() {
        let (asked, refused) = urls(
            "http://one:8002/ ima:enforcing http://two ima:ignore http://three file:///etc https://four",
        );
        assert_eq!(asked, ["http://one:8002", "http://three", "https://four"]);
        let refused: Vec<_> = refused.into_iter().map(|(url, _)| url).collect();
        assert_eq!(refused, ["http://two", "file:///etc"]);
    }

    #[test]
    fn all_waits_of_a_minute_together_are_bounded() {
        let mut state = State::default();
        let wait = Duration::from_secs(10);
        assert_eq!(state.patience(wait), wait);
        state.waited_for(Duration::from_secs(7));
        assert_eq!(state.patience(wait), Duration::from_secs(3));
        state.waited_for(Duration::from_secs(7));
        assert_eq!(state.patience(wait), Duration::ZERO);
    }
}
