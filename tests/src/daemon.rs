//! A daemon of the test's own, on a socket in a folder of its own, and what is asked of it.

use crate::cli::{self, Done, RunningTracer};
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SendError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a daemon may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// What it says when it can be asked.
const LISTENS: &str = "the daemon listens";

/// A daemon that runs; dropping it ends it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts one with its own defaults.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one with more arguments.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, arguments)
    }

    /// Starts one whose socket is in `folder`.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Result<Self> {
        // A target here makes all of its calls at once, on a slow machine.
        let budgets = ["--process-budget", "25", "--node-budget", "25"];
        let mut command = cli::command(&["daemon", "--metrics-listen", "off"])?;
        command.args(budgets);
        command.args(arguments);
        Self::start_by(&mut command, folder)
    }

    /// Starts one by a command that lacks only the socket, which will be in `folder`.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_by(command: &mut Command, folder: TempDir) -> Result<Self> {
        command.arg("--socket").arg(folder.path().join("sock"));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let errors = child.stderr.take().context("no standard error")?;
        let (said, log) = channel();
        std::thread::spawn(move || {
            // A log that nobody reads any more is read on: a full pipe would stop the daemon.
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if let Err(SendError(line)) = said.send(line)
                    && line.contains("ERROR")
                {
                    eprintln!("daemon: {line}");
                }
            }
        });
        let daemon = Self { child, folder };
        wait_for(&log, LISTENS)?;
        Ok(daemon)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes that read files for it.
    ///
    /// # Errors
    ///
    /// `/proc` can't be read.
    pub fn parsers(&self) -> Result<Vec<u32>> {
        let mut parsers = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // It may have ended meanwhile.
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let Some((front, behind)) = stat.rsplit_once(')') else { continue };
            let mut words = behind.split_whitespace();
            let is_dead = words.next() == Some("Z");
            let is_ours = words.next() == Some(&self.pid().to_string());
            if front.ends_with("(tracer-parser") && is_ours && !is_dead {
                parsers.push(pid);
            }
        }
        parsers.sort_unstable();
        Ok(parsers)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// A command that asks it.
    ///
    /// # Errors
    ///
    /// The binary is not built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = cli::command(arguments)?;
        command.env_remove("TRACER_DAEMON").env("TRACER_SOCKET", self.socket());
        // How breakpoints are placed is the daemon's to know.
        command.env_remove("TRACER_ATTACH");
        Ok(command)
    }

    /// Asks it by the command line and waits for the end.
    ///
    /// # Errors
    ///
    /// The command can't be started.
    pub fn tracer(&self, arguments: &[&str]) -> Result<Done> {
        RunningTracer::start(&mut self.command(arguments)?)?.finish()
    }

    /// Asks it by HTTP, with a body of JSON where there is one.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Answer> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut answer = self.open(method, path, body.as_bytes())?;
        let mut bytes = Vec::new();
        answer.body.read_to_end(&mut bytes)?;
        Ok(Answer { status: answer.status, bytes })
    }

    /// Asks it by HTTP; the body of the answer is there to be read.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn open(&self, method: &str, path: &str, body: &[u8]) -> Result<Open> {
        let mut stream = UnixStream::connect(self.socket())?;
        // HTTP/1.0: the body is all that comes until the end.
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut body = BufReader::new(stream);
        let mut line = String::new();
        body.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status: {line:?}"))?;
        while line.trim_end() != "" {
            line.clear();
            if body.read_line(&mut line)? == 0 {
                bail!("a response without an end of its head");
            }
        }
        Ok(Open { status, body })
    }

    /// All its probes.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn probes(&self) -> Result<Vec<Json>> {
        let answer = self.ask("GET", "/v1/probes", None)?.json()?;
        answer["probes"].as_array().cloned().context("no list")
    }

    /// Its probes that have not ended.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn living(&self) -> Result<Vec<Json>> {
        let lives = |probe: &Json| probe["state"] != "ended" && probe["state"] != "failed";
        Ok(self.probes()?.into_iter().filter(lives).collect())
    }

    /// Asks again and again until no probe lives.
    ///
    /// # Errors
    ///
    /// One does not end.
    pub fn wait_until_none_lives(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let living = self.living()?;
            if living.is_empty() {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("still alive: {living:#?}");
            }
            std::thread::yield_now();
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn send(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, signal)?)
    }

    /// Tells it to end, waits until it has, and gives how, with the folder of its socket.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub fn stop(mut self) -> Result<(ExitStatus, PathBuf)> {
        self.send(Signal::TERM)?;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, self.socket()));
            }
            if start.elapsed() > PATIENCE {
                bail!("the daemon does not end");
            }
            std::thread::yield_now();
        }
    }

    /// Ends it at once, as nothing can be done against; gives the folder, with what it left.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn kill(mut self) -> Result<TempDir> {
        self.child.kill()?;
        self.child.wait()?;
        let elsewhere = tempfile::tempdir()?;
        Ok(std::mem::replace(&mut self.folder, elsewhere))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until a line of a log contains `text`.
fn wait_for(log: &Receiver<String>, text: &str) -> Result<()> {
    let mut all = String::new();
    loop {
        let line = log.recv_timeout(PATIENCE);
        let line = line.with_context(|| format!("it never said {text:?}:\n{all}"))?;
        if line.contains(text) {
            return Ok(());
        }
        all = all + &line + "\n";
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn json(&self) -> Result<Json> {
        serde_json::from_slice(&self.bytes)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// The body as lines of JSON.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn lines(&self) -> Result<Vec<Json>> {
        let lines = self.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).context("no JSON")).collect()
    }
}

/// An answer whose body is not read yet; dropping it closes the connection.
#[derive(Debug)]
pub struct Open {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: BufReader<UnixStream>,
}

impl Open {
    /// The next line as JSON; `None` at the end.
    ///
    /// # Errors
    ///
    /// It is no JSON, or the connection broke.
    pub fn line(&mut self) -> Result<Option<Json>> {
        let mut line = String::new();
        if self.body.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?))
    }
}
