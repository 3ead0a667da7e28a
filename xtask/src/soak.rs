//! `cargo xtask soak NAME`: live tests at full length, by hand. The code is that of `cargo xtask
//! test`, which runs the short form.

use crate::project::{cargo, run, step, tracer_binary};
use crate::setup::{Part, setup};
use crate::{ebpf, test};
use anyhow::Result;

/// Calls of the target's function in all, unless another number is given.
pub(crate) const CALLS: &str = "5000000";

/// Runs the live tests whose name contains `name` with `calls` calls in all.
///
/// # Errors
///
/// A test fails, or something can't be built.
pub(crate) fn soak(name: &str, calls: &str) -> Result<()> {
    setup(Part::ALL)?;
    ebpf::build()?;
    test::build_tracer()?;
    step("soak");
    run(cargo()
        .args(["test", "--package", "tracer-tests", "--test", "live", "--locked", name])
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("TRACER_SOAK_N", calls)
        .env("TRACER_BINARY", tracer_binary()))
}
