//! A virtual machine that runs the guest's cases on a kernel. Without KVM: stock kernels don't start
//! under every nested hypervisor, and emulation runs everywhere.

use super::cases::Run;
use super::home;
use super::packages::Kernel;
use crate::project::command;
use anyhow::{Context as _, Result};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Words of the kernel's own messages that mean that it met a fault.
const FAULTS: &[&str] = &["WARNING:", "BUG:", "Oops", "Kernel panic", "stall", "blocked for more"];

/// What a machine told.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In order.
    pub(crate) cases: Vec<Case>,
    /// What went wrong with the machine itself.
    pub(crate) faults: Vec<String>,
    pub(crate) took: Duration,
}

/// How a case ended.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) passed: bool,
    pub(crate) seconds: String,
    /// What it printed.
    pub(crate) said: Vec<String>,
}

impl Report {
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| !case.passed)
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.failed().next().is_none()
    }

    fn take(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(word @ ("ok" | "fail")), Some(name), Some(seconds)) => self.cases.push(Case {
                name: name.to_owned(),
                passed: word == "ok",
                seconds: seconds.to_owned(),
                said: Vec::new(),
            }),
            _ => {
                let said = line.strip_prefix("| ").unwrap_or(line).to_owned();
                match self.cases.last_mut() {
                    Some(case) => case.said.push(said),
                    None => self.faults.push(said),
                }
            }
        }
    }
}

/// Starts a machine, waits until it has run all cases of the run, and ends it.
///
/// # Errors
///
/// It can't be started.
pub(crate) fn run(kernel: &Kernel, run: &Run, initramfs: &Path) -> Result<Report> {
    let start = Instant::now();
    let console = home().join(format!("{}-{}.console", kernel.series, run.name));
    let cpus = if run.is_smp { "2" } else { "1" };
    let accelerator = if run.is_smp { "tcg,thread=multi" } else { "tcg" };
    let mut machine = command("qemu-system-x86_64")
        .args(["-accel", accelerator, "-cpu", "max", "-smp", cpus, "-m", "1280"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-append")
        .arg(format!("console=ttyS0 loglevel=5 panic=-1 mitigations=off {}", run.parameters()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start qemu-system-x86_64")?;
    let lines = lines_of(machine.stdout.take().context("no standard output")?);
    let mut report = Report::default();
    read(&lines, start + run.patience(), &mut report);
    // Both fail where it has ended already.
    machine.kill().ok();
    machine.wait().ok();
    let messages = fs::read(&console).unwrap_or_default();
    let messages = String::from_utf8_lossy(&messages).into_owned();
    let is_fault = |line: &&str| FAULTS.iter().any(|word| line.contains(word));
    report.faults.extend(messages.lines().filter(is_fault).map(str::to_owned));
    report.took = start.elapsed();
    Ok(report)
}

/// Reads what the guest says until it has said all.
fn read(lines: &Receiver<String>, deadline: Instant, report: &mut Report) {
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line == "end" => return,
            Ok(line) => report.take(&line),
            Err(error) => {
                let what = match error {
                    RecvTimeoutError::Timeout => "the machine had to be stopped",
                    RecvTimeoutError::Disconnected => "the machine stopped by itself",
                };
                let last = report.cases.last().map_or("its start", |case| &case.name);
                report.faults.push(format!("{what} after {last}"));
                return;
            }
        }
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if send.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    lines
}
