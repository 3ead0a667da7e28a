//! Where things are.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The top folder of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where cargo builds: `CARGO_TARGET_DIR` or `target`.
pub fn target_dir() -> PathBuf {
    let root = root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// The `tracer` binary to test: `TRACER_BINARY`, or the one of the dev profile.
///
/// # Errors
///
/// It is not built.
pub fn tracer() -> Result<PathBuf> {
    let tracer = std::env::var_os("TRACER_BINARY")
        .map_or_else(|| target_dir().join("debug").join("tracer"), PathBuf::from);
    if !tracer.is_file() {
        bail!("there is no {}: run `cargo build -p tracer`", tracer.display());
    }
    Ok(tracer)
}

/// A real program that `cargo xtask setup` built from source with debug info:
/// `memcached/gcc-O2/memcached` (and `gcc-Og`, `gcc-O0`, `clang-…`), `ripgrep/bin/rg`.
///
/// # Errors
///
/// It is not there.
pub fn program(path: &str) -> Result<PathBuf> {
    let program = target_dir().join("programs").join(path);
    if !program.is_file() {
        bail!("there is no {}: run `cargo xtask setup`", program.display());
    }
    Ok(program)
}
