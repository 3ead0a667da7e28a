//! `cargo xtask dist`: the binary as it is given to others.

use crate::ebpf;
use crate::project::{cargo, command, output, run, step, target_dir};
use crate::setup::{Part, setup};
use anyhow::Result;

/// Where the binary says which source it was built from (`tracer_build_info`).
const REVISION: &str = "TRACER_REVISION";

/// Builds `TARGET/release/tracer`.
///
/// # Errors
///
/// Something that the build needs can't be installed, or it fails.
pub(crate) fn dist() -> Result<()> {
    setup(&[Part::Kernel])?;
    ebpf::build()?;
    step("release");
    let mut build = cargo();
    build.args(["build", "--release", "--package", "tracer", "--locked"]);
    // Debug info is four fifths of the file; functions keep their names.
    build.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    // A source without its history, as in an image's build, is named by who builds it.
    if std::env::var_os(REVISION).is_none()
        && let Some(revision) = output(command("git").args(["describe", "--always", "--dirty"]))
    {
        build.env(REVISION, revision.trim());
    }
    run(&mut build)?;
    println!("{}", target_dir().join("release").join("tracer").display());
    Ok(())
}
