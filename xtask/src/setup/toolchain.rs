//! The compiler for the kernel program: one that has the source of its own library.
//!
//! The target has no prebuilt library, so `core` is built from source, and that source must be of
//! the very compiler. Debian ships such a pair; elsewhere it is rustup's nightly.

use super::packages::{KERNEL_TOOLCHAIN, apt_install, apt_update, has_apt, is_available, missing};
use crate::project::{foreign, output, run, words};
use anyhow::{Result, bail};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// A toolchain that can build the kernel program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Toolchain {
    /// Debian's packages in `/usr`.
    Debian,
    /// `rustup run nightly` with the component `rust-src`.
    Nightly,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian's rustc",
            Self::Nightly => "rustup's nightly",
        })
    }
}

impl Toolchain {
    /// The one that is installed; Debian's first.
    pub(crate) fn find() -> Option<Self> {
        [Self::Debian, Self::Nightly].into_iter().find(|toolchain| toolchain.is_complete())
    }

    fn is_complete(self) -> bool {
        let Some(sysroot) = output(self.rustc().args(["--print", "sysroot"])) else {
            return false;
        };
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.toml");
        source.is_file() && output(self.cargo().arg("--version")).is_some()
    }

    /// Its compiler.
    pub(crate) fn rustc(self) -> Command {
        match self {
            Self::Debian => foreign("/usr/bin/rustc"),
            Self::Nightly => rustup_nightly("rustc"),
        }
    }

    /// Its cargo.
    pub(crate) fn cargo(self) -> Command {
        match self {
            Self::Debian => {
                let mut cargo = foreign("/usr/bin/cargo");
                cargo.env("RUSTC", "/usr/bin/rustc");
                cargo
            }
            Self::Nightly => rustup_nightly("cargo"),
        }
    }

    /// The major version of its LLVM; bpf-linker's must not be older.
    pub(crate) fn llvm(self) -> Option<u32> {
        let text = output(self.rustc().arg("-vV"))?;
        let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
        version.split('.').next()?.parse().ok()
    }
}

fn rustup_nightly(program: &str) -> Command {
    let mut command = foreign("rustup");
    command.args(["run", "nightly", program]);
    command
}

/// Installs a toolchain if there is none; gives the number of things installed.
///
/// # Errors
///
/// Neither Debian's packages nor rustup's nightly can be installed.
pub(crate) fn install() -> Result<usize> {
    if Toolchain::find().is_some() {
        return Ok(0);
    }
    println!("missing: a toolchain with the library's source, for the kernel program");
    if has_apt() {
        apt_update()?;
        if KERNEL_TOOLCHAIN.iter().all(|name| is_available(name)) {
            let names = missing(KERNEL_TOOLCHAIN);
            apt_install(&names)?;
            return Ok(names.len());
        }
    }
    let mut rustup = foreign("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    rustup.args(["--component", "rust-src"]);
    println!("+ {}", words(&rustup));
    if run(&mut rustup).is_err() || Toolchain::find().is_none() {
        bail!(
            "no toolchain for the kernel program: Debian's packages {} are not available, and \
             rustup's nightly with rust-src can't be installed",
            KERNEL_TOOLCHAIN.join(", ")
        );
    }
    Ok(1)
}
