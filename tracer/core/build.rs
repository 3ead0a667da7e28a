//! Finds the kernel program, so that the library can include it.
//!
//! `cargo xtask` says where it is in `TRACER_BPF_OBJECT`; a plain cargo finds it where `cargo xtask
//! ebpf` puts it. Sources include it with `include_bytes!(env!("TRACER_BPF_OBJECT"))`.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=TRACER_BPF_OBJECT");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let object = object();
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-env=TRACER_BPF_OBJECT={}", object.display());
    } else {
        println!(
            "cargo::error=the kernel program is not built: there is no {}; run `cargo xtask ebpf` \
             (and before it, on a new machine, `cargo xtask setup`)",
            object.display()
        );
    }
}

fn object() -> PathBuf {
    if let Some(object) = env::var_os("TRACER_BPF_OBJECT") {
        return PathBuf::from(object);
    }
    // Cargo tells the package's folder, which is `tracer/core` in the workspace.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let workspace = package.ancestors().nth(2).unwrap_or(&package);
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |target| workspace.join(target));
    target.join("bpf").join("tracer.bpf.o")
}
