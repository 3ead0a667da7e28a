//! What a hit costs, how many of them can be taken, how long one waits for the first, and what a
//! real server feels of them.
//!
//!     bench [--json] [--short] [PART...]
//!     bench [--json] [--short] cold PID FUNCTION
//!
//! Without a PART all are measured. `--json` prints one object a line, else there are tables; what
//! is going on is told on stderr. `--short` measures so little that the figures mean nothing: it
//! shows that everything can be measured. `cold` places a probe in a process of yours as if it were
//! the first, and lets gdb do the same. `cargo xtask bench` builds what this needs and runs it.

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
mod server;
mod share;
mod variant;

use anyhow::{Context as _, Result};
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
    ("server", server::measure),
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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (options, words): (Vec<&str>, Vec<&str>) =
        words.iter().map(String::as_str).partition(|word| ["--json", "--short"].contains(word));
    let form = if options.contains(&"--json") { Form::Json } else { Form::Table };
    let extent = if options.contains(&"--short") { Extent::Short } else { Extent::Full };
    privilege::require()?;
    if let ["cold", pid, function] = words[..] {
        machine::describe()?;
        form.print(&cold::compare(pid, function, extent)?);
        return Ok(());
    }
    let named = words.into_iter().map(part).collect::<Result<Vec<_>>>()?;
    machine::describe()?;
    for (_, measure) in if named.is_empty() { PARTS } else { &named } {
        form.print(&measure(extent)?);
    }
    Ok(())
}

fn part(name: &str) -> Result<Part> {
    let found = PARTS.iter().find(|(part, _)| *part == name);
    found.copied().with_context(|| {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        format!("no part is called {name}; there are {}", names.join(", "))
    })
}
