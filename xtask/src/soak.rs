//! `cargo xtask soak NAME`: live tests at full length, by hand. The code is that of `cargo xtask
//! test`, which runs the short form.

use crate::project::{cargo, run, step, tracer_binary};
use crate::setup::{Part, setup};
use crate::{ebpf, test};
use anyhow::Result;

/// What the number means for tests that don't count calls, unless another one is given.
const LENGTHS: &[(&str, &str, &str)] = &[
    ("sweep", "20000", "addresses that are probed"),
    ("storm", "500", "removals while others do their worst"),
    ("chaos", "1800", "seconds"),
    ("trips", "1000", "trips"),
    ("entry_probe", "2000", "probes that come and go"),
];
/// Calls of the target's function in all, for the others.
const CALLS: &str = "5000000";

/// The full length of the tests whose name contains `name`.
pub(crate) fn length(name: &str) -> &'static str {
    let known = LENGTHS.iter().find(|(test, ..)| name.contains(test));
    known.map_or(CALLS, |(test, length, what)| {
        println!("{test}: {length} {what}");
        length
    })
}

/// Runs the live tests whose name contains `name` at a length: calls in all, or what [`length`]
/// tells.
///
/// # Errors
///
/// A test fails, or something can't be built.
pub(crate) fn soak(name: &str, length: &str) -> Result<()> {
    setup(Part::ALL)?;
    ebpf::build()?;
    test::build_tracer()?;
    step("soak");
    run(cargo()
        .args(["test", "--package", "tracer-tests", "--test", "live", "--locked", name])
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("TRACER_SOAK_N", length)
        .env("TRACER_BINARY", tracer_binary()))
}
