//! An older compiler of Rust with its library, for programs whose types are laid out otherwise: that
//! of Debian, unpacked beside the one that is installed.
//!
//! It lies ready in `TARGET/programs/old-rust/`, with `rustc` there as a script.

use super::packages::{has_apt, is_available};
use crate::project::{command, run, step};
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The compiler, its library, and LLVM.
const PACKAGES: &[&str] = &["rustc", "libstd-rust-dev", "libstd-rust-1.63", "libllvm14"];

/// Where Debian keeps libraries.
const LIBRARIES: &str = "files/usr/lib/x86_64-linux-gnu";

/// Unpacks it if it is missing; gives how many compilers those were.
///
/// # Errors
///
/// A package can't be fetched or unpacked.
pub(super) fn unpack(programs: &Path) -> Result<usize> {
    let home = programs.join("old-rust");
    let script = home.join("rustc");
    if script.is_file() {
        return Ok(0);
    }
    if !has_apt() || !PACKAGES.iter().all(|name| is_available(name)) {
        println!("missing: an older compiler of Rust for the tests: it comes with Debian 12");
        return Ok(0);
    }
    step("an older compiler of Rust, for the tests to trace what it builds");
    let packages = home.join("packages");
    fs::create_dir_all(&packages)?;
    run(command("apt-get").current_dir(&packages).args(["-qq", "download"]).args(PACKAGES))?;
    for entry in fs::read_dir(&packages)? {
        let files = home.join("files");
        run(command("dpkg-deb").arg("--extract").arg(entry?.path()).arg(files))?;
    }
    fs::remove_dir_all(&packages)?;
    let text = format!(
        "#!/bin/sh\nhome=$(dirname \"$0\")\n\
         LD_LIBRARY_PATH=\"$home/{LIBRARIES}\" exec \"$home/files/usr/bin/rustc\" \"$@\"\n"
    );
    // Complete under its name at once: it says that all the rest is there.
    let writing = home.join("rustc.new");
    fs::write(&writing, text)?;
    fs::set_permissions(&writing, fs::Permissions::from_mode(0o755))?;
    fs::rename(&writing, &script).with_context(|| format!("no {}", script.display()))?;
    Ok(1)
}
