//! Programs that others wrote, at work: each waits before its work and shortly before its end, so
//! that it can be probed from the first instruction of the work to the last.

mod input;
mod server;

use crate::project::program;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a program may take to start, and to end when nothing is in its way.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at whether a program waits for us.
const INTERVAL: Duration = Duration::from_millis(2);
/// A pipe of one page: who has more to write than it holds waits for its reader.
const PIPE_BYTES: i32 = 4096;
/// Output that is left in the program while it is looked at: more than the pipe holds.
const UNREAD_BYTES: usize = 2 * PIPE_BYTES as usize;

/// A program with its work.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The program's name.
    pub name: &'static str,
    /// How the names of the files begin whose code is of interest.
    pub files: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// From standard input to standard output: its arguments, and what it reads.
    Filter(&'static [&'static str], fn() -> Vec<u8>),
    /// An HTTP server on a Unix socket.
    Lighttpd,
    /// Commands over a Unix socket.
    Memcached,
}

/// A shell, an interpreter, a compiler, a database, servers, a Go program, a Rust program, and the
/// C library in one of them.
pub const WORKLOADS: &[Workload] = &[
    filter("dash", &["dash"], &[], input::shell),
    filter("python3.11", &["python3.11", "libc.so"], &["-S", "-s", "-B", "-"], input::python),
    filter("cc1", &["cc1"], &["-quiet", "-O2", "-o", "-", "-"], input::c),
    filter("sqlite3", &["libsqlite3.so", "libc.so"], &[":memory:"], input::sql),
    filter("gofmt", &["gofmt"], &[], input::go),
    filter("rg", &["rg"], &["--no-config", "-j1", "-n", "-e", input::PATTERN, "-"], input::text),
    Workload { name: "lighttpd", files: &["lighttpd", "libc.so"], kind: Kind::Lighttpd },
    Workload { name: "memcached", files: &["memcached"], kind: Kind::Memcached },
];

const fn filter(
    name: &'static str,
    files: &'static [&'static str],
    arguments: &'static [&'static str],
    input: fn() -> Vec<u8>,
) -> Workload {
    Workload { name, files, kind: Kind::Filter(arguments, input) }
}

impl Workload {
    /// Where the program is.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn path(&self) -> Result<PathBuf> {
        match self.name {
            "cc1" => {
                let output = Command::new("gcc").arg("-print-prog-name=cc1").output()?;
                Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
            }
            "gofmt" => program("go/gofmt"),
            "rg" => program("ripgrep/bin/rg"),
            "memcached" => program("memcached/gcc-O2/memcached"),
            "lighttpd" => Ok(PathBuf::from("/usr/sbin/lighttpd")),
            name => Ok(Path::new("/usr/bin").join(name)),
        }
    }

    /// Starts it and waits until it waits for its work. `home` is a folder for its files, the same
    /// for all runs that are compared.
    ///
    /// # Errors
    ///
    /// It can't be started, or does not come to wait.
    pub fn start(&self, home: &Path) -> Result<Running> {
        let mut command = Command::new(self.path()?);
        command.current_dir(home).env_clear().env("LC_ALL", "C").env("PYTHONHASHSEED", "0");
        let work = match self.kind {
            Kind::Filter(arguments, input) => {
                let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
                return Running::filter(child.spawn().with_context(|| self.name)?, input());
            }
            Kind::Lighttpd => server::lighttpd(&mut command, home)?,
            Kind::Memcached => server::memcached(&mut command, home)?,
        };
        let child = Ended(command.stdin(Stdio::null()).spawn().with_context(|| self.name)?);
        work.wait_until_served()?;
        Ok(Running { child, work: Work::Served(work), output: Vec::new() })
    }
}

/// A program at work; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Ended,
    work: Work,
    output: Vec<u8>,
}

#[derive(Debug)]
enum Work {
    Filter { input: Option<(ChildStdin, Vec<u8>)>, feeder: Option<JoinHandle<()>>, pipe: File },
    Served(server::Server),
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a program gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// All that it wrote, or answered.
    pub bytes: Vec<u8>,
    /// How it ended; a server by our signal.
    pub status: ExitStatus,
}

impl Output {
    /// Fails unless another run gave the same.
    ///
    /// # Errors
    ///
    /// Says where they differ.
    pub fn require_same(&self, other: &Self) -> Result<()> {
        if self.status != other.status {
            bail!("{}, not {}", other.status, self.status);
        }
        if self.bytes == other.bytes {
            return Ok(());
        }
        let at = self.bytes.iter().zip(&other.bytes).position(|(one, another)| one != another);
        let at = at.unwrap_or(self.bytes.len().min(other.bytes.len()));
        let around = |bytes: &[u8]| {
            let end = bytes.len().min(at + 80);
            let start = at.saturating_sub(80).min(end);
            bytes.get(start..end).unwrap_or_default().escape_ascii().to_string()
        };
        let (one, another) = (around(&self.bytes), around(&other.bytes));
        bail!("the output differs at byte {at}: {another:?}, not {one:?}")
    }
}

impl Running {
    fn filter(mut child: Child, input: Vec<u8>) -> Result<Self> {
        let pipes = (child.stdin.take(), child.stdout.take());
        let child = Ended(child);
        let (Some(stdin), Some(stdout)) = pipes else { bail!("no pipes") };
        rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_BYTES as usize)?;
        let running = Self {
            child,
            work: Work::Filter {
                input: Some((stdin, input)),
                feeder: None,
                pipe: File::from(OwnedFd::from(stdout)),
            },
            output: Vec::new(),
        };
        running.wait_for_call(0)?;
        Ok(running)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Lets it do its work but for the last of `expected`, the length of its output; then it waits.
    ///
    /// # Errors
    ///
    /// It does not come so far.
    pub fn work(&mut self, expected: usize) -> Result<()> {
        let Work::Filter { input, feeder, pipe } = &mut self.work else {
            let Work::Served(server) = &self.work else { return Ok(()) };
            self.output = server.work()?;
            return Ok(());
        };
        let (mut stdin, bytes) = input.take().context("it has worked already")?;
        // One who ends early does not read all.
        *feeder = Some(std::thread::spawn(move || stdin.write_all(&bytes).unwrap_or_default()));
        self.output = vec![0; expected.checked_sub(UNREAD_BYTES).context("too little output")?];
        pipe.read_exact(&mut self.output).context("it ended early")?;
        self.wait_for_call(1)
    }

    /// Lets it end; gives all its output.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub fn finish(mut self) -> Result<Output> {
        match &mut self.work {
            Work::Filter { input, feeder, pipe } => {
                // Without work before, it all happens here.
                if let Some((mut stdin, bytes)) = input.take() {
                    *feeder =
                        Some(std::thread::spawn(move || stdin.write_all(&bytes).unwrap_or(())));
                }
                pipe.read_to_end(&mut self.output)?;
                if let Some(feeder) = feeder.take() {
                    feeder.join().map_err(|_| anyhow::anyhow!("the feeder died"))?;
                }
            }
            Work::Served(server) => {
                if self.output.is_empty() {
                    self.output = server.work()?;
                }
                let pid = rustix::process::Pid::from_child(&self.child.0);
                rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
            }
        }
        Ok(Output { bytes: std::mem::take(&mut self.output), status: self.child.0.wait()? })
    }

    /// Waits until one of its threads waits in a call on a file descriptor.
    fn wait_for_call(&self, fd: i32) -> Result<()> {
        let argument = format!(" {fd:#x} ");
        wait_until(&format!("it never waits for fd {fd}"), || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).ok()?;
            // The number of the call first: read and write are as the descriptors.
            let waits = |task: PathBuf| {
                let call = fs::read_to_string(task.join("syscall")).unwrap_or_default();
                call.starts_with(&format!("{fd}{argument}"))
            };
            tasks.flatten().any(|task| waits(task.path())).then_some(())
        })
    }
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
