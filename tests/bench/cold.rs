//! How long the first probe in a program takes of which nothing is known, and how much memory,
//! beside gdb's `break`.

use super::Extent;
use super::figure::{Figure, rounded};
use super::hits::median;
use super::printed::Printing;
use anyhow::{Context as _, Result};
use serde_json::json;
use std::process::Command;
use tempfile::tempdir;
use tracer_tests::cli;

/// Runs of each that count; they take turns.
const RUNS: usize = 5;

/// What a run took until the breakpoint was placed.
struct Run {
    ms: f64,
    peak_kib: u64,
}

/// Compares them on a running process.
///
/// # Errors
///
/// One of them can't place its breakpoint.
pub(crate) fn compare(pid: &str, function: &str, extent: Extent) -> Result<Vec<Figure>> {
    // Then the files are in memory.
    let _first = (tracer(pid, function)?, gdb(pid, function)?);
    let runs = if extent == Extent::Full { RUNS } else { 1 };
    let (mut ours, mut gdbs) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("cold: run {run} of {runs}");
        ours.push(tracer(pid, function)?);
        gdbs.push(gdb(pid, function)?);
    }
    Ok(vec![figure("cold_tracer", &ours), figure("cold_gdb", &gdbs)])
}

fn figure(bench: &'static str, runs: &[Run]) -> Figure {
    let middle =
        |of: fn(&Run) -> f64| json!(rounded(median(&runs.iter().map(of).collect::<Vec<_>>())));
    let values = vec![
        ("ms", middle(|run| run.ms)),
        ("peak_mb", middle(|run| run.peak_kib as f64 * 1.024 / 1e3)),
    ];
    Figure::Other { bench, values }
}

fn tracer(pid: &str, function: &str) -> Result<Run> {
    // What a run before has kept is not found.
    let nothing = tempdir()?;
    let mut command = cli::command(&["snapshot", "-p", pid, function])?;
    command.env("TRACER_CACHE_DIR", nothing.path());
    let mut tracer = Printing::start(&mut command)?;
    let armed = tracer.line("probing ")?;
    let run = Run { ms: tracer.ms_until(&armed), peak_kib: tracer.peak_kib()? };
    // A breakpoint that is still there would be in the way of the next.
    tracer.stop()?;
    Ok(run)
}

fn gdb(pid: &str, function: &str) -> Result<Run> {
    let place = format!("break {function}");
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-p", pid, "-ex", &place]);
    // The parent of the shell is gdb, which has ended when its last line is read.
    command.args(["-ex", "shell grep VmHWM /proc/$PPID/status"]);
    let mut gdb = Printing::start(&mut command)?;
    let placed = gdb.line("Breakpoint 1 at")?;
    let peak = gdb.line("VmHWM")?;
    let peak_kib = peak.text.split_ascii_whitespace().nth(1).context("no size")?.parse()?;
    let run = Run { ms: gdb.ms_until(&placed), peak_kib };
    // It goes off the process by itself.
    gdb.end()?;
    Ok(run)
}
