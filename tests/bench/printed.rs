//! A run of `tracer` or of another program, whose lines are read as they come.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead as _, BufReader, PipeReader, pipe};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A program that runs; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Printing {
    child: Child,
    output: BufReader<PipeReader>,
    started: Instant,
}

/// A line of its output.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it says.
    pub(crate) text: String,
    /// When we had it.
    read: Instant,
    /// The same, in nanoseconds since boot.
    pub(crate) read_boot_ns: u64,
}

impl Printing {
    /// Starts a program. What it says on stderr is read too.
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let (output, writer) = pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("can't start {command:?}"))?;
        // The command has the pipe's other end, which must be the program's alone.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child, output: BufReader::new(output), started })
    }

    /// The next line that contains `text`.
    ///
    /// # Errors
    ///
    /// It ends before.
    pub(crate) fn line(&mut self, text: &str) -> Result<Line> {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                bail!("it ended without a line that contains {text:?}: {said}");
            }
            if line.contains(text) {
                let read = Instant::now();
                return Ok(Line { text: line, read, read_boot_ns: boot_ns() });
            }
            said += &line;
        }
    }

    /// Milliseconds from its start until we had a line of it.
    pub(crate) fn ms_until(&self, line: &Line) -> f64 {
        (line.read - self.started).as_secs_f64() * 1e3
    }

    /// Tells it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(crate) fn stop(self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.end()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(crate) fn end(mut self) -> Result<()> {
        std::io::copy(&mut self.output, &mut std::io::sink())?;
        self.child.wait()?;
        Ok(())
    }

    /// The most memory that it had so far, in KiB.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        status_kib(self.child.id(), "VmHWM")
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A size in `/proc/PID/status`.
///
/// # Errors
///
/// There is no such process.
pub(crate) fn status_kib(pid: u32, key: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
    value.and_then(|kib| kib.parse().ok()).with_context(|| format!("{key} of {pid}"))
}

fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
