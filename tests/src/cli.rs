//! The built binary, run as a person runs it.

use crate::project;
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// What is said on stderr, without `--json`, when the breakpoints are in place.
const ARMED: &str = "probing ";

/// What a run of `tracer` gave.
#[derive(Debug)]
pub struct Done {
    /// All that was written to stdout.
    pub stdout: Vec<u8>,
    /// All that was written to stderr.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub status: ExitStatus,
}

impl Done {
    /// Standard output as text.
    ///
    /// # Errors
    ///
    /// It is not UTF-8.
    pub fn output(&self) -> Result<&str> {
        std::str::from_utf8(&self.stdout).context("stdout is not UTF-8")
    }

    /// Standard error as text.
    ///
    /// # Errors
    ///
    /// It is not UTF-8.
    pub fn errors(&self) -> Result<&str> {
        std::str::from_utf8(&self.stderr).context("stderr is not UTF-8")
    }
}

/// A command that runs the built binary, without a daemon.
///
/// # Errors
///
/// It is not built.
pub fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(project::tracer()?);
    command.args(arguments).env_remove("TRACER_LOG").env_remove("NO_COLOR");
    // Most targets call their functions as often as they can; a test of budgets takes it away again.
    command.env("TRACER_DAEMON", "off").env("TRACER_NO_BUDGETS", "true");
    Ok(command)
}

/// Runs `tracer` to its end.
///
/// # Errors
///
/// It can't be started.
pub fn tracer(arguments: &[&str]) -> Result<Done> {
    RunningTracer::start(&mut command(arguments)?)?.finish()
}

/// A run of `tracer`; dropping it kills it, and with it its breakpoints.
#[derive(Debug)]
pub struct RunningTracer {
    child: Child,
    /// Lines of its standard error, read all the time: a full pipe would stop it.
    errors: Receiver<Vec<u8>>,
    said: Vec<u8>,
}

impl RunningTracer {
    /// Starts a command of [`command`], with its output kept.
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("can't start {command:?}"))?;
        let errors = lines_of(child.stderr.take().context("no standard error")?);
        Ok(Self { child, errors, said: Vec::new() })
    }

    /// Starts `tracer` with `arguments` and waits until its breakpoints are in place. Not for
    /// `--json`, which does not say so.
    ///
    /// # Errors
    ///
    /// It ends before.
    pub fn armed(arguments: &[&str]) -> Result<Self> {
        let mut tracer = Self::start(&mut command(arguments)?)?;
        tracer.wait_for(ARMED)?;
        Ok(tracer)
    }

    /// Waits until it has written a line to stderr that contains `text`.
    ///
    /// # Errors
    ///
    /// It ends before.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        loop {
            let Ok(line) = self.errors.recv() else {
                bail!("it never said {text:?}: {}", String::from_utf8_lossy(&self.said));
            };
            self.said.extend_from_slice(&line);
            if String::from_utf8_lossy(&line).contains(text) {
                return Ok(());
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the reading end of its standard output.
    pub fn close_output(&mut self) {
        drop(self.child.stdout.take());
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Ends it at once, as nothing can be done against.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        Ok(())
    }

    /// Waits until it has ended and gives all that it wrote.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn finish(mut self) -> Result<Done> {
        let output = self.child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            output.map_or(Ok(0), |mut output| output.read_to_end(&mut bytes)).map(|_| bytes)
        });
        let mut stderr = std::mem::take(&mut self.said);
        stderr.extend(self.errors.iter().flatten());
        let stdout = reader.join().map_err(|_| anyhow::anyhow!("the reader of stdout died"))??;
        Ok(Done { stdout, stderr, status: self.child.wait()? })
    }
}

/// Reads lines as they come; the other end hangs up after the last one.
fn lines_of(errors: ChildStderr) -> Receiver<Vec<u8>> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let mut errors = BufReader::new(errors);
        let mut line = Vec::new();
        while errors.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if send.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    lines
}

impl Drop for RunningTracer {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
