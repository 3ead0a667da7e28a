//! bpftrace on the same functions, as people use it.

use super::functions::Place;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tracer_core::model::address::Avma;

/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether its breakpoint is there: it does not tell.
const INTERVAL: Duration = Duration::from_millis(5);
/// `int3`.
const BREAKPOINT: u8 = 0xcc;

/// A run of bpftrace; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Bpftrace {
    child: Child,
    breakpoint: Byte,
}

/// The first byte of the function.
#[derive(Debug)]
struct Byte {
    memory: File,
    address: Avma,
}

impl Bpftrace {
    /// Starts it on a function of a process and waits until its breakpoint is there. What it
    /// prints goes nowhere.
    ///
    /// # Errors
    ///
    /// It can't be started or places no breakpoint.
    pub(crate) fn start(pid: u32, place: &Place, function: &str, action: &str) -> Result<Self> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let breakpoint = Byte { memory, address: place.requested };
        let script = format!("uprobe:{}:{function} {{ {action} }}", place.path.display());
        let mut command = Command::new("bpftrace");
        command.args(["-p", &pid.to_string(), "-e", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().context("can't start bpftrace")?;
        let mut bpftrace = Self { child, breakpoint };
        bpftrace.wait_for(true)?;
        Ok(bpftrace)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and waits until its breakpoint is gone.
    ///
    /// # Errors
    ///
    /// The breakpoint stays.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.wait_for(false)
    }

    fn wait_for(&mut self, present: bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.breakpoint.is_present()? != present {
            if present && let Some(status) = self.child.try_wait()? {
                let said = self.child.stderr.take().map(std::io::read_to_string);
                bail!("bpftrace ended: {status}: {}", said.transpose()?.unwrap_or_default());
            }
            if Instant::now() > deadline {
                bail!("bpftrace's breakpoint is not {}", if present { "there" } else { "gone" });
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Byte {
    fn is_present(&self) -> Result<bool> {
        let mut byte = [0];
        self.memory.read_exact_at(&mut byte, self.address.0).context("the target is gone")?;
        Ok(byte == [BREAKPOINT])
    }
}
