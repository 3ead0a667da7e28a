//! `cargo xtask bench`: what a hit costs, and how long one waits for it. By hand, on a machine that
//! does nothing else.

use crate::project::{cargo, command, run, target_dir};
use anyhow::{Context as _, Result};
use std::io;

/// Sets up, builds in release, and runs the benchmark with these words (see `tests/bench/main.rs`).
/// Standard output is for the figures alone.
///
/// # Errors
///
/// Something can't be installed, built or measured.
pub(crate) fn bench(words: &[&str]) -> Result<()> {
    let ourselves = std::env::current_exe().context("where is this program?")?;
    for chore in ["setup", "ebpf"] {
        run(command(&ourselves).arg(chore).stdout(io::stderr()))?;
    }
    run(cargo().args(["build", "--quiet", "--release", "--package", "tracer", "--locked"]))?;
    run(cargo()
        .args(["run", "--quiet", "--release", "--package", "tracer-tests", "--locked"])
        .args(["--bin", "bench", "--"])
        .args(words)
        .env("TRACER_BINARY", target_dir().join("release").join("tracer")))
}
