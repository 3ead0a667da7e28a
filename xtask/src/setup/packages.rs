//! Debian packages: what we need and why, in one table.

use super::Part;
use crate::project::{is_root, output, run, words};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// A Debian package.
struct Package {
    name: &'static str,
    part: Part,
    /// A program of it, by which machines without apt-get are checked.
    program: Option<&'static str>,
    why: &'static str,
}

const fn package(
    name: &'static str,
    part: Part,
    program: Option<&'static str>,
    why: &'static str,
) -> Package {
    Package { name, part, program, why }
}

const PACKAGES: &[Package] = &[
    package("gcc", Part::Demo, Some("gcc"), "compiles the service and the test targets"),
    package("libc6-dev", Part::Demo, None, "headers for them"),
    package("zlib1g-dev", Part::Kernel, None, "bpf-linker links LLVM, which uses it"),
    package("libzstd-dev", Part::Kernel, None, "the same"),
    package("clang", Part::Test, Some("clang"), "the same targets by another compiler"),
    package("g++", Part::Test, Some("g++"), "C++ programs with debug info"),
    package("libc++-14-dev", Part::Test, None, "another C++ library"),
    package("libc++abi-14-dev", Part::Test, None, "what it needs"),
    package("gdb", Part::Test, Some("gdb"), "the values that ours are compared with"),
    package("bpftrace", Part::Test, Some("bpftrace"), "what the cost of a hit is compared with"),
    package("binutils", Part::Test, Some("objdump"), "instruction boundaries to compare with"),
    package("python3.11", Part::Test, Some("python3.11"), "a real program with split debug files"),
    package("python3.11-dbg", Part::Test, None, "its debug files, made with dwz"),
    package("libc6-dbg", Part::Test, None, "debug files of a library that every process has"),
    package("git", Part::Test, Some("git"), "a real program for probe placement"),
    package("libssl3", Part::Test, None, "a real library with much assembly, for the same"),
    package(
        "libcap2-bin",
        Part::Test,
        Some("capsh"),
        "runs tracer with a container's capabilities",
    ),
    package("python3-prometheus-client", Part::Test, None, "reads our metrics"),
    package("python3-venv", Part::Test, None, "holds the checkers of the deployment files"),
    package("systemd", Part::Test, Some("systemd-analyze"), "checks the unit"),
    package("make", Part::Test, Some("make"), "builds memcached"),
    package("libevent-dev", Part::Test, None, "memcached needs it"),
    package("golang-go", Part::Test, Some("go"), "Go programs to trace"),
    package("lighttpd", Part::Test, Some("lighttpd"), "an HTTP server to trace"),
    package("sqlite3", Part::Test, Some("sqlite3"), "a database to trace"),
    package("musl-tools", Part::Test, Some("musl-gcc"), "programs with another C library"),
    package("lld", Part::Test, Some("ld.lld"), "programs by another linker"),
    package("llvm", Part::Test, Some("llvm-dwp"), "packages of split debug info"),
    package("dwz", Part::Test, Some("dwz"), "debug files that share what they have in common"),
    package("xz-utils", Part::Test, Some("xz"), "symbols compressed in the program"),
    package("debuginfod", Part::Test, Some("debuginfod"), "serves debug files to the tests"),
    package("openssl", Part::Test, Some("openssl"), "a server that speaks TLS"),
    package("dpkg-dev", Part::Test, Some("dpkg-source"), "unpacks memcached's source"),
    package("qemu-system-x86", Part::Machines, Some("qemu-system-x86_64"), "runs other kernels"),
];

/// A compiler with the library's source, and the LLVM for bpf-linker, where Debian has them.
/// They come from the security archive, which must build browsers on old releases.
pub(crate) const KERNEL_TOOLCHAIN: &[&str] =
    &["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev"];

/// Installs the packages of these parts that are missing; gives how many those were.
///
/// # Errors
///
/// A package can't be installed.
pub(crate) fn install(parts: &[Part]) -> Result<usize> {
    let wanted: Vec<&Package> = PACKAGES.iter().filter(|p| parts.contains(&p.part)).collect();
    if !has_apt() {
        for package in &wanted {
            if package.program.is_some_and(|program| !on_path(program)) {
                println!("missing: {} ({}); please install it", package.name, package.why);
            }
        }
        return Ok(0);
    }
    let names: Vec<&str> = wanted.iter().map(|package| package.name).collect();
    let missing = missing(&names);
    for package in wanted.iter().filter(|package| missing.contains(&package.name)) {
        println!("missing: {}: {}", package.name, package.why);
    }
    apt_install(&missing)?;
    Ok(missing.len())
}

/// Whether packages can be had by apt-get.
pub(crate) fn has_apt() -> bool {
    on_path("apt-get") && on_path("dpkg-query")
}

/// Those of `names` that are not installed.
pub(crate) fn missing<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${Package} ${db:Status-Status}\n"]).args(names);
    // It fails when it knows one of the names not at all, yet prints the others.
    let known = query.output().map(|out| out.stdout).unwrap_or_default();
    let known = String::from_utf8_lossy(&known).into_owned();
    let installed = |name: &str| known.lines().any(|line| line == format!("{name} installed"));
    names.iter().copied().filter(|name| !installed(name)).collect()
}

/// Whether apt knows a package of this name (after an update).
pub(crate) fn is_available(name: &str) -> bool {
    output(Command::new("apt-cache").args(["show", "--no-all-versions", name]))
        .is_some_and(|text| !text.trim().is_empty())
}

/// Fetches the list of packages.
///
/// # Errors
///
/// We are not root, or apt-get fails.
pub(crate) fn apt_update() -> Result<()> {
    run(&mut as_root(&["apt-get", "update", "-qq"])?)
}

/// Updates the list of packages and installs these.
///
/// # Errors
///
/// We are not root, or apt-get fails.
pub(crate) fn apt_install(names: &[&str]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut install = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    install.extend(names);
    let mut install = as_root(&install)?;
    apt_update()?;
    println!("+ {}", words(&install));
    run(&mut install).context("the packages can't be installed")
}

/// A command as root: as it is, or by sudo where that asks no password.
fn as_root(line: &[&str]) -> Result<Command> {
    let mut command = Command::new("env");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    if is_root() {
        command.args(line);
    } else if output(Command::new("sudo").args(["-n", "true"])).is_some() {
        command = Command::new("sudo");
        command.args(["-n", "DEBIAN_FRONTEND=noninteractive"]).args(line);
    } else {
        bail!("this needs root; please run\n\n    sudo {}\n\nand try again", line.join(" "));
    }
    Ok(command)
}

/// Whether a program of this name can be run.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
