//! Builds the kernel program with a toolchain of its own.

use crate::project::{bpf_object, foreign, per_cpu_object, root, run, step, target_dir};
use crate::setup::toolchain::Toolchain;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// As in the crate's `.cargo/config.toml`.
const TARGET: &str = "bpfel-unknown-none";
/// The name of the crate's one binary.
const BINARY: &str = "tracer";

/// Builds the kernel program and puts it where `tracer-core` includes it from. Does nothing that
/// is done already.
///
/// # Errors
///
/// There is no toolchain for it, or the build fails.
pub(crate) fn build() -> Result<()> {
    step("kernel program");
    let Some(toolchain) = Toolchain::find() else {
        bail!("no toolchain can build the kernel program: run `cargo xtask setup`");
    };
    // The one that is compared with it first: what cargo leaves in place is what is shipped.
    build_object(toolchain, &["--features", "per-cpu"], &per_cpu_object())?;
    build_object(toolchain, &[], &bpf_object())
}

fn build_object(toolchain: Toolchain, features: &[&str], object: &Path) -> Result<()> {
    let target_dir = target_dir().join("bpf");
    let mut cargo = toolchain.cargo();
    cargo
        // Cargo looks for `.cargo/config.toml`, which has the flags, from here upwards.
        .current_dir(root().join("tracer-ebpf"))
        .args(["build", "--quiet", "--release", "--locked"])
        .args(features)
        .arg("--target-dir")
        .arg(&target_dir)
        // Lets a stable compiler take -Z options; the library's source fits its own compiler only.
        .env("RUSTC_BOOTSTRAP", "1");
    run(&mut cargo)?;
    let built = target_dir.join(TARGET).join("release").join(BINARY);
    let bytes = std::fs::read(&built).with_context(|| format!("no {}", built.display()))?;
    // An untouched file spares everything that includes it a rebuild.
    if std::fs::read(object).ok().as_deref() != Some(&bytes[..]) {
        std::fs::write(object, &bytes)
            .with_context(|| format!("can't write {}", object.display()))?;
    }
    println!("{} ({} bytes, by {toolchain})", object.display(), bytes.len());
    Ok(())
}

/// Checks that the kernel program's source is formatted.
///
/// # Errors
///
/// It is not.
pub(crate) fn check_format() -> Result<()> {
    let mut cargo = foreign("cargo");
    cargo.current_dir(root().join("tracer-ebpf")).args(["fmt", "--check"]);
    run(&mut cargo)
}
