//! `cargo xtask truth`: tracer's captures of real programs against gdb's view of them. By hand; a
//! small sample is a live test.

use crate::project::{cargo, command, run, tracer_binary};
use anyhow::{Context as _, Result};
use std::io;

/// Sets up, builds, and runs the judge with these words (see `tests/truth/main.rs`). Standard
/// output is for what it finds alone.
///
/// # Errors
///
/// Something can't be installed or built, or a value differs.
pub(crate) fn truth(words: &[&str]) -> Result<()> {
    let ourselves = std::env::current_exe().context("where is this program?")?;
    for chore in ["setup", "ebpf"] {
        run(command(&ourselves).arg(chore).stdout(io::stderr()))?;
    }
    run(cargo().args(["build", "--quiet", "--package", "tracer", "--locked"]))?;
    run(cargo()
        .args(["run", "--quiet", "--package", "tracer-tests", "--locked"])
        .args(["--bin", "truth", "--"])
        .args(words)
        .env("TRACER_BINARY", tracer_binary()))
}
