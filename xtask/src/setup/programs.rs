//! Real programs that others wrote, built from source with debug info, for the tests to trace.
//!
//! Each lies ready in `TARGET/programs/NAME/FLAVOUR/`. A test that does not find its program says
//! so and names `cargo xtask setup`.

use super::old_rust;
use super::packages::{has_apt, on_path};
use super::sources::{self, debian_source};
use crate::project::{command, foreign, output, run, step, target_dir};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// memcached by each compiler and optimisation: folder, compiler, flags.
const MEMCACHED: &[(&str, &str, &str)] = &[
    ("gcc-O2", "gcc", "-O2 -g"),
    ("gcc-Og", "gcc", "-Og -g"),
    ("gcc-O0", "gcc", "-O0 -g"),
    ("clang-O2", "clang", "-O2 -g"),
    ("clang-Og", "clang", "-Og -g"),
    ("clang-O0", "clang", "-O0 -g"),
];

/// A Rust program from crates.io that waits on its standard input: name, version, binary.
const RUST: (&str, &str, &str) = ("ripgrep", "14.1.1", "rg");

/// Builds the programs that are missing; gives how many those were.
///
/// # Errors
///
/// A source can't be fetched or a build fails.
pub(crate) fn build() -> Result<usize> {
    let programs = target_dir().join("programs");
    let mut changes = 0;
    if has_apt() {
        changes += memcached(&programs)?;
        changes += sources::build(&programs)?;
    } else {
        println!("missing: programs for the tests: their source comes by apt-get");
    }
    changes += rust(&programs)?;
    changes += old_rust::unpack(&programs)?;
    changes += go(&programs)?;
    Ok(changes)
}

fn memcached(programs: &Path) -> Result<usize> {
    let home = programs.join("memcached");
    let missing: Vec<_> = MEMCACHED
        .iter()
        .filter(|(name, ..)| !home.join(name).join("memcached").is_file())
        .collect();
    if missing.is_empty() {
        return Ok(0);
    }
    step("memcached from Debian's source, for the tests to trace");
    let source = debian_source(&home, "memcached")?;
    for (name, compiler, flags) in &missing {
        println!("memcached: {compiler} {flags}");
        let folder = home.join(name);
        fs::create_dir_all(&folder)?;
        // Warnings of other people's code are not ours to see.
        let log = fs::File::create(folder.join("build.log"))?;
        let quiet = |command: &mut Command| -> Result<()> {
            run(command.current_dir(&folder).stdout(log.try_clone()?).stderr(log.try_clone()?))
                .with_context(|| format!("see {}/build.log", folder.display()))
        };
        quiet(
            command(source.join("configure"))
                .arg("--disable-dependency-tracking")
                .env("CC", compiler)
                .env("CFLAGS", flags),
        )?;
        // Debug info names the source by the path given here; -Werror is for its authors.
        quiet(command("make").args(["-j2", "memcached"]).arg(format!("CFLAGS={flags} -pthread")))?;
    }
    Ok(missing.len())
}

/// Debian's own has no symbols, without which nobody knows where a Go function starts.
fn go(programs: &Path) -> Result<usize> {
    let home = programs.join("go");
    let built = home.join("gofmt");
    if built.is_file() {
        return Ok(0);
    }
    if !on_path("go") {
        println!("missing: gofmt for the tests: please install go");
        return Ok(0);
    }
    step("gofmt from the source of Go, for the tests to trace");
    fs::create_dir_all(&home)?;
    let mut build = command("go");
    build.args(["build", "-o"]).arg(&built).arg("cmd/gofmt").current_dir(&home);
    run(build.env("GOCACHE", home.join("cache")).env("GOFLAGS", "-mod=mod"))?;
    Ok(1)
}

fn rust(programs: &Path) -> Result<usize> {
    let (name, version, binary) = RUST;
    let home = programs.join(name);
    let installed = home.join("bin").join(binary);
    let runs = output(Command::new(&installed).arg("--version"));
    if runs.is_some_and(|text| text.contains(version)) {
        return Ok(0);
    }
    step("a Rust program from crates.io, in release with debug info");
    let mut cargo = foreign("cargo");
    cargo
        .args(["install", name, "--version", version, "--locked", "--quiet", "--force"])
        .arg("--root")
        .arg(&home)
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    run(&mut cargo)?;
    Ok(1)
}
