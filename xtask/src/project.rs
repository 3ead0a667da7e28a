//! Where things are in the project, and commands run in it.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The top folder of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}

/// Where cargo builds: `CARGO_TARGET_DIR` or `target`.
pub(crate) fn target_dir() -> PathBuf {
    let root = root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// The kernel program, ready to be built into `tracer`.
pub(crate) fn bpf_object() -> PathBuf {
    target_dir().join("bpf").join("tracer.bpf.o")
}

/// The kernel program that is not shipped: a test shows with it why the pool is needed.
pub(crate) fn per_cpu_object() -> PathBuf {
    target_dir().join("bpf").join("per-cpu.bpf.o")
}

/// The `tracer` binary of the dev profile.
pub(crate) fn tracer_binary() -> PathBuf {
    target_dir().join("debug").join("tracer")
}

/// A command in the top folder without the variables that an outer cargo sets for the program it
/// runs: they would select a toolchain and a package that are not meant here.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_the_run =
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if of_the_run.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// The workspace's cargo with the kernel program's place told to build scripts.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = command(cargo);
    command.env("CARGO_TARGET_DIR", target_dir()).env("TRACER_BPF_OBJECT", bpf_object());
    command
}

/// A program under another toolchain than the workspace's, without flags that were meant for that.
pub(crate) fn foreign(program: impl AsRef<Path>) -> Command {
    let mut command = command(program);
    for name in [
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ] {
        command.env_remove(name);
    }
    command
}

/// The words of a command, for people.
pub(crate) fn words(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Prints the header of a step.
pub(crate) fn step(title: &str) {
    println!("\n=== {title}");
}

/// Runs a command, its output going where ours goes.
///
/// # Errors
///
/// It can't be started, or it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't start `{}`", words(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", words(command));
    }
    Ok(())
}

/// What a command prints on its standard output; `None` if it can't be started or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0")
}
