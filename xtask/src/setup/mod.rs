//! `cargo xtask setup`: installs what is missing, and nothing else.
//!
//! Debian packages first, for they need no trust beyond the machine's own; then tools from
//! crates.io at pinned versions; then programs built from source for the tests to trace.

mod old_rust;
pub(crate) mod packages;
pub(crate) mod private_apt;
pub(crate) mod programs;
pub(crate) mod sources;
pub(crate) mod toolchain;
pub(crate) mod tools;

use crate::project::step;
use anyhow::Result;

/// A part of the project that needs something installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Building the kernel program.
    Kernel,
    /// Compiling the bundled service.
    Demo,
    /// Checks and tests.
    Test,
    /// Fuzzing at length.
    Fuzz,
    /// Virtual machines with other kernels.
    Machines,
}

impl Part {
    /// What the project needs to be built and tested on this machine's kernel.
    pub(crate) const ALL: &[Self] = &[Self::Kernel, Self::Demo, Self::Test];
}

/// Installs what these parts need and the machine lacks.
///
/// # Errors
///
/// Something is missing and can't be installed; the message has the command to run by hand.
pub(crate) fn setup(parts: &[Part]) -> Result<()> {
    step("setup");
    let mut changes = packages::install(parts)?;
    changes += toolchain::install()?;
    changes += tools::install(parts)?;
    if parts.contains(&Part::Test) {
        changes += programs::build()?;
    }
    if changes == 0 {
        println!("all there");
    }
    Ok(())
}
