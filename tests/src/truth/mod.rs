//! Whether tracer tells the truth: the values that it shows against those that gdb shows, of the
//! same hit of the same address in two runs of a program that are alike.
//!
//! The program runs once under tracer and once under gdb, never under both. It is driven over its
//! input, without address space randomisation, and gets the same time and random bytes, so hit
//! number N of an address is the same event in both runs.

pub mod align;
pub mod compare;
pub mod disputed;
pub mod gdb;
pub mod leaf;
pub mod limits;
pub mod ours;
pub mod points;
pub mod probe;
pub mod process;
pub mod programs;
pub mod report;
pub mod run;
pub mod variables;
pub mod work;

use self::probe::Asked;
use self::programs::Program;
use self::report::Report;
use anyhow::Result;
use tempfile::TempDir;

/// How much of a program is compared.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Lines of each function, evenly spread over it.
    pub lines: usize,
    /// Hits of each location.
    pub hits: u64,
}

/// Compares one build of a program at functions that it names.
///
/// # Errors
///
/// As [`run::seen_by_both`].
pub fn compare_build(program: &Program, build: &str, extent: Extent) -> Result<Report> {
    let home = TempDir::new()?;
    let asked = locations(program, build, extent)?;
    run::seen_by_both(program, build, home.path(), &asked, program.functions.len())?
        .compare(usize::MAX)
}

/// Compares one build of a program at `count` random points of it.
///
/// # Errors
///
/// As [`run::seen_by_both`].
pub fn compare_points(program: &Program, build: &str, count: usize, seed: u64) -> Result<Report> {
    let home = TempDir::new()?;
    // Some mean the same address to tracer, which it probes once only.
    let more = count + count / 3 + 2;
    let mut asked = points::choose(program, build, home.path(), more, seed)?;
    asked.truncate(more);
    let seen = run::seen_by_both(program, build, home.path(), &asked, 0)?;
    seen.compare(count)
}

/// The functions by name, then lines of theirs.
fn locations(program: &Program, build: &str, extent: Extent) -> Result<Vec<Asked>> {
    let mut locations: Vec<String> =
        program.functions.iter().map(|name| (*name).to_owned()).collect();
    for function in gdb::lines(&program.path(build)?, program.functions)? {
        let count = function.lines.len();
        let spread = (1..=extent.lines).map(|number| number * count / (extent.lines + 1));
        let mut lines: Vec<u64> =
            spread.filter_map(|index| function.lines.get(index).copied()).collect();
        lines.dedup();
        locations.extend(lines.iter().map(|line| format!("{}:{line}", function.file)));
    }
    let asked = |location| Asked { locations: vec![location], hits: extent.hits, only_last: false };
    Ok(locations.into_iter().map(asked).collect())
}
