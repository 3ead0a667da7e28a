//! The project's own chores: `cargo xtask COMMAND`.

mod bench;
mod demo;
mod deploy;
mod dist;
mod ebpf;
mod fuzz;
mod kernels;
mod project;
mod setup;
mod soak;
mod test;
mod tidy;
mod truth;

use anyhow::{Result, bail};
use setup::Part;
use std::process::ExitCode;

const USAGE: &str = "\
The project's chores.

Usage: cargo xtask COMMAND

  setup            install what is missing to build and test everything
  ebpf             build the kernel program to TARGET/bpf/tracer.bpf.o
  demo [LOCATION]  build, start the bundled service, take a snapshot of it, print it
  dist             build the binary that is given to others to TARGET/release/tracer
  test             everything that must pass: formatting, lints, licences, tests, live tests
  soak NAME [N]    the live tests whose name contains NAME, at full length: N calls; or N
                   addresses (sweep), removals (storm), seconds (chaos)
  soak fuzz [SECONDS]
                   hostile bytes for every parser, an hour for each
  kernels [SERIES...]
                   tracer on stock Debian kernels, such as 6.12, in virtual machines
  bench [--json] [PART...]
                   what a hit costs (hits), how many a second can be taken (rate), how long one
                   waits (latency), where probes can sit (share), what a server feels (server);
                   on a machine that rests
  bench [--json] cold PID FUNCTION
                   the first probe in a large program of yours, beside gdb's break
  truth [--json] [--reasons] [--points N] [--seed S] [PROGRAM...]
                   tracer's values against gdb's at random points of real programs
  tidy [--pin]     the project's rules; --pin accepts a changed wire format
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    match words {
        ["setup"] => setup::setup(Part::ALL)?,
        ["ebpf"] => {
            setup::setup(&[Part::Kernel])?;
            ebpf::build()?;
        }
        ["demo"] => return demo::demo(demo::LOCATION),
        ["demo", location] => return demo::demo(location),
        ["dist"] => dist::dist()?,
        ["test"] => test::test()?,
        ["soak", "fuzz"] => fuzz::fuzz(fuzz::SECONDS)?,
        ["soak", "fuzz", seconds] => fuzz::fuzz(seconds)?,
        ["soak", name] => soak::soak(name, soak::length(name))?,
        ["soak", name, length] => soak::soak(name, length)?,
        ["kernels", series @ ..] => kernels::kernels(series)?,
        ["bench", words @ ..] => bench::bench(words)?,
        ["truth", words @ ..] => truth::truth(words)?,
        ["tidy"] => tidy::tidy()?,
        ["tidy", "--pin"] => tidy::pin()?,
        [] | ["help" | "--help" | "-h"] => print!("{USAGE}"),
        _ => bail!("unknown command: {}\n\n{USAGE}", words.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}
