//! Where it was measured: without that a figure means little.

use anyhow::{Context as _, Result};
use std::process::Command;

/// Tells on stderr what machine this is, how busy it is, and what we compare with.
///
/// # Errors
///
/// There is no bpftrace.
pub(crate) fn describe() -> Result<()> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
    eprintln!("{}", read("/proc/version").trim());
    eprintln!("{cpus} cpus {}", model.map_or("", |(_, name)| name));
    eprintln!("load average {}", read("/proc/loadavg").trim());
    let bpftrace = Command::new("bpftrace").arg("--version").output();
    let bpftrace = bpftrace.context("no bpftrace: run `cargo xtask setup`")?;
    eprintln!("{}", String::from_utf8_lossy(&bpftrace.stdout).trim());
    Ok(())
}
