//! What a hit costs, how many of them can be taken, and how long one waits for the first.
//!
//!     bench [--json] [--short] [PART...]
//!     bench [--json] cold PID FUNCTION
//!
//! Without a PART all are measured. `--json` prints one object a line, else there are tables; what
//! is going on is told on stderr. `--short` measures so little that the figures mean nothing: it
//! shows that everything can be measured. `cargo xtask bench` builds what this needs and runs it.
//!
//! `cold` asks for a probe in a process of yours as if it were the first, beside gdb.

mod bpftrace;
mod cold;
mod figure;
mod functions;
mod hits;
mod latency;
mod machine;
mod ours;
mod printed;
mod rate;
mod run_time;
mod share;
mod variant;

use anyhow::{Result, bail};
use figure::{Figure, Form};
use std::process::ExitCode;
use tracer_tests::privilege;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// So much that the figures can be relied on.
    Full,
    /// So little that it takes seconds.
    Short,
}

/// A part of the benchmark.
type Part = (&'static str, fn(Extent) -> Result<Vec<Figure>>);

const PARTS: &[Part] = &[
    ("hits", hits::measure),
    ("rate", rate::measure),
    ("latency", latency::measure),
    ("share", share::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut form, mut extent, mut parts) = (Form::Table, Extent::Full, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => form = Form::Json,
            "--short" => extent = Extent::Short,
            "cold" => {
                let (Some(pid), Some(function)) = (words.next(), words.next()) else {
                    bail!("cold needs a process id and a function");
                };
                privilege::require()?;
                form.print(&cold::compare(&pid, &function)?);
                return Ok(());
            }
            name => match PARTS.iter().find(|(part, _)| *part == name) {
                Some(part) => parts.push(*part),
                None => bail!("no part is called {name}; there are {}", names()),
            },
        }
    }
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    privilege::require()?;
    machine::describe()?;
    for (_, measure) in parts {
        form.print(&measure(extent)?);
    }
    Ok(())
}

fn names() -> String {
    PARTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
