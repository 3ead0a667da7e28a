//! Starts a program so that two runs of it are alike, and makes it work.

use super::programs::{Input, Program, Work};
use super::work::{MEMCACHED, PYTHON};
use crate::targets::{RunningTarget, Target};
use anyhow::{Context, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to start, and for an answer while it is probed or debugged.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at whether a program waits for us.
const INTERVAL: Duration = Duration::from_millis(2);

/// A program that waits for work; dropping it ends it.
#[derive(Debug)]
pub enum Running {
    /// Driven by lines.
    Lines(RunningTarget),
    /// Driven over a socket.
    Socket(Ended, BufReader<UnixStream>),
    /// Driven by its standard input.
    Input(Ended, Input),
}

/// A process that ends when this is dropped.
#[derive(Debug)]
pub struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    /// Starts a build of a program: without address space randomisation, in an environment of
    /// its own. `home` holds its socket; the same path for all runs that are compared.
    ///
    /// # Errors
    ///
    /// It can't be started, or does not come to wait for us.
    pub fn start(program: &Program, build: &str, home: &Path) -> Result<Self> {
        let mut command = Command::new("setarch");
        command.arg("-R").arg(program.path(build)?).current_dir(home).env_clear();
        command.env("LD_PRELOAD", Target::c("alike", "gcc", &["-shared", "-fPIC"])?.program);
        // One heap, whichever thread is the first to need memory.
        command.env("MALLOC_ARENA_MAX", "1").env("LC_ALL", "C").env("PYTHONHASHSEED", "0");
        match program.work {
            Work::Python => {
                command.args(["-S", "-s", "-B", "-c", PYTHON]);
                let target = RunningTarget::start(&mut command)?;
                wait_for_read(target.pid())?;
                Ok(Self::Lines(target))
            }
            Work::Memcached => {
                let socket = home.join("socket");
                std::fs::remove_file(&socket).ok();
                let options = "no_lru_crawler,no_lru_maintainer,no_hashexpand";
                command.args(["-u", "root", "-t", "1", "-m", "16", "-o", options, "-s"]);
                command.arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
                let process = Ended(command.spawn().context("can't start memcached")?);
                let mut stream = BufReader::new(connect(&socket)?);
                // The connection is with the thread that serves it.
                ask(&mut stream, "mn\r\n", "MN")?;
                Ok(Self::Socket(process, stream))
            }
            Work::Input(input) => {
                command.args(input.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
                let start = || format!("can't start {}", input.program);
                let process = Ended(command.spawn().with_context(start)?);
                wait_for_read(process.0.id())?;
                Ok(Self::Input(process, input))
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Lines(target) => target.pid(),
            Self::Socket(process, _) | Self::Input(process, _) => process.0.id(),
        }
    }

    /// Lets it do all its work.
    ///
    /// # Errors
    ///
    /// It ends early, or answers other than it should.
    pub fn work(&mut self) -> Result<()> {
        match self {
            Self::Lines(target) => target.go().map(drop),
            Self::Socket(_, stream) => {
                MEMCACHED.iter().try_for_each(|(command, answer)| ask(stream, command, answer))
            }
            Self::Input(process, input) => {
                let mut stdin = process.0.stdin.take().context("no standard input")?;
                stdin.write_all((input.text)().as_bytes())?;
                drop(stdin);
                let mut written = Vec::new();
                let mut output = process.0.stdout.take().context("no standard output")?;
                output.read_to_end(&mut written)?;
                if written.len() < input.output_min {
                    bail!("{} wrote only {} bytes", input.program, written.len());
                }
                Ok(())
            }
        }
    }
}

/// Sends a command and reads up to the line that ends its answer.
fn ask(stream: &mut BufReader<UnixStream>, command: &str, last: &str) -> Result<()> {
    stream.get_mut().write_all(command.as_bytes())?;
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).with_context(|| format!("no answer to {command:?}"))? == 0 {
            bail!("memcached hangs up after {command:?}: {said:?}");
        }
        said.push_str(&line);
        if line.trim_end() == last {
            return Ok(());
        }
        if line.contains("ERROR") {
            bail!("memcached answers {said:?} to {command:?}");
        }
    }
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = wait_until("memcached does not listen", || UnixStream::connect(socket).ok())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Waits until a process waits in read(2) for its standard input.
fn wait_for_read(pid: u32) -> Result<()> {
    let file = |number: u64| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok();
    wait_until("the program does not read its input", || {
        let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
        let number = call.strip_prefix("0 0x")?.split(' ').next()?;
        let number = u64::from_str_radix(number, 16).ok()?;
        (file(number).is_some() && file(number) == file(0)).then_some(())
    })
}

fn wait_until<T>(otherwise: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{otherwise}");
        }
        std::thread::sleep(INTERVAL);
    }
}
