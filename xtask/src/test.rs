//! `cargo xtask test`: all that must pass, cheapest first; stops at the first failure.

use crate::project::{cargo, command, run, step, target_dir, tracer_binary};
use crate::setup::{Part, setup};
use crate::{deploy, ebpf, tidy};
use anyhow::Result;
use std::time::Instant;

/// Runs everything.
///
/// # Errors
///
/// The first thing that fails.
pub(crate) fn test() -> Result<()> {
    let start = Instant::now();
    setup(Part::ALL)?;

    step("formatting");
    run(cargo().args(["fmt", "--all", "--check"]))?;
    ebpf::check_format()?;

    step("tidy");
    tidy::tidy()?;

    ebpf::build()?;

    // The kernel program is linted by its build only: no toolchain that can build it has clippy.
    step("clippy");
    run(cargo()
        .args(["clippy", "--quiet", "--workspace", "--all-targets", "--locked"])
        .args(["--", "--deny", "warnings"]))?;

    // `--all-targets` leaves out what a plain `cargo test` does not run.
    run(cargo()
        .args(["clippy", "--quiet", "--package", "tracer-tests", "--test", "live", "--locked"])
        .args(["--", "--deny", "warnings"]))?;

    step("licences and origins of dependencies");
    deny()?;

    step("unit and golden tests");
    run(cargo().args(["test", "--workspace", "--locked"]))?;

    build_tracer()?;

    step("deployment files");
    deploy::check()?;

    live("auto")?;
    live("perf")?;

    println!("\nall passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Runs all live tests, their breakpoints placed as `--attach` says.
fn live(attach: &str) -> Result<()> {
    step(&format!("live tests, --attach {attach}"));
    run(cargo()
        .args(["test", "--package", "tracer-tests", "--test", "live", "--locked"])
        .args(["--", "--test-threads=1"])
        .env("TRACER_ATTACH", attach)
        // Not where the system keeps those of its users.
        .env("TRACER_CACHE_DIR", target_dir().join("live-cache"))
        .env("TRACER_BINARY", tracer_binary()))
}

/// Builds the binary that live tests start.
pub(crate) fn build_tracer() -> Result<()> {
    run(cargo().args(["build", "--quiet", "--package", "tracer", "--locked"]))
}

/// Licences, bans and origins need only the crates that are here; known vulnerabilities need a
/// database that is fetched by git, so they are checked where that is wanted.
fn deny() -> Result<()> {
    let mut checks = vec!["licenses", "bans", "sources"];
    if std::env::var_os("TRACER_ADVISORIES").is_some_and(|value| value == "1") {
        checks.push("advisories");
    } else {
        println!("known vulnerabilities are not checked; TRACER_ADVISORIES=1 does (needs git)");
    }
    run(command("cargo-deny").args(["--locked", "--log-level", "warn", "check"]).args(checks))
}
