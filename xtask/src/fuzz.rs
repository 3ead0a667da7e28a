//! `cargo xtask soak fuzz [SECONDS]`: every entry of `tests/fuzz` under cargo-fuzz, one after
//! another. The short form runs with all other tests.

use crate::ebpf;
use crate::project::{bpf_object, cargo, run, step, target_dir};
use crate::setup::{Part, setup};
use anyhow::Result;

/// The entries, as `tests/fuzz/targets` has them.
const TARGETS: &[&str] = &["elf", "info", "line", "expression", "cfi", "record"];
/// Seconds for each entry, unless another number is given.
pub(crate) const SECONDS: &str = "3600";
/// The longest that bytes may take, in seconds.
const TIMEOUT: &str = "-timeout=2";
const MEMORY_MIB: &str = "-rss_limit_mb=256";
/// Bytes of an input: all that is found stays small enough to be understood.
const LENGTH: &str = "-max_len=32768";

/// Fuzzes each entry for so many seconds. What is found is kept from one run to the next.
///
/// # Errors
///
/// Something was found: a file in `TARGET/fuzz/found`.
pub(crate) fn fuzz(seconds: &str) -> Result<()> {
    setup(&[Part::Kernel, Part::Fuzz])?;
    ebpf::build()?;
    let home = target_dir().join("fuzz");
    step("seeds");
    run(cargo()
        .args(["run", "--quiet", "--locked", "--package", "tracer-fuzz", "--example", "seeds"])
        .arg("--")
        .arg(home.join("seeds")))?;
    for target in TARGETS {
        step(&format!("fuzzing {target} for {seconds} s"));
        let (corpus, found) = (home.join("corpus").join(target), home.join("found").join(target));
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&found)?;
        let mut fuzzer = cargo();
        // The memory that is limited is the parser's, so there is no sanitizer with its own.
        fuzzer.args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--features", "libfuzzer"]);
        fuzzer.args(["--release", "--sanitizer", "none", target]);
        fuzzer.arg(corpus).arg(home.join("seeds").join(target)).arg("--");
        fuzzer.arg(format!("-max_total_time={seconds}"));
        fuzzer.arg(format!("-artifact_prefix={}/", found.display()));
        fuzzer.args([TIMEOUT, MEMORY_MIB, LENGTH]);
        // Flags of the compiler that count what was reached are not for everyone yet.
        fuzzer.env("RUSTC_BOOTSTRAP", "1").env("TRACER_BPF_OBJECT", bpf_object());
        run(fuzzer.env("CARGO_TARGET_DIR", home.join("build")))?;
    }
    Ok(())
}
