//! `seeds FOLDER`: writes what fuzzing starts from, a folder for each entry.

use anyhow::{Context as _, Result};
use std::path::PathBuf;
use tracer_fuzz::{TARGETS, seeds};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).context("which folder?")?;
    let programs = seeds::programs()?;
    for target in &TARGETS {
        let home = folder.join(target.name);
        std::fs::create_dir_all(&home)?;
        for (number, bytes) in (target.seeds)(&programs)?.iter().enumerate() {
            std::fs::write(home.join(format!("seed-{number}")), bytes)?;
        }
    }
    Ok(())
}
