//! Whether tracer tells the truth: the values that it shows against those that gdb shows, of the
//! same hit of the same address in two runs of a program that are alike.
//!
//! The program runs once under tracer and once under gdb, never under both. It is driven over its
//! input, without address space randomisation, so hit number N of an address is the same event in
//! both runs.

pub mod compare;
pub mod explain;
pub mod gdb;
pub mod leaf;
pub mod limits;
pub mod ours;
pub mod probe;
pub mod process;
pub mod programs;

use self::compare::{Comparison, Counts};
use self::explain::Heap;
use self::gdb::Point;
use self::leaf::{Leaf, Leaves};
use self::process::Running;
use self::programs::Program;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use tempfile::TempDir;

/// How much of a program is compared.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Lines of each function, evenly spread over it.
    pub lines: usize,
    /// Hits of each location.
    pub hits: u64,
}

/// What the comparison of one build gave.
#[derive(Debug)]
pub struct Report {
    /// Program and build.
    pub name: String,
    /// Function entries that were hit.
    pub entries: usize,
    /// Lines that were hit.
    pub lines: usize,
    /// Hits that were compared.
    pub hits: usize,
    /// All leaves.
    pub counts: Counts,
    /// Each hit: the location with the number of the hit, and what was found.
    pub comparisons: Vec<(String, Comparison)>,
    /// Locations that could not be probed, and hits that gdb did not see.
    pub problems: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<20} {} entries {:>2} lines {:>3} hits {}",
            self.name, self.entries, self.lines, self.hits, self.counts
        )
    }
}

impl Report {
    /// Every leaf that differs, and the reasons why one of the two shows nothing, with how often
    /// and an example each.
    pub fn details(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text += &format!("    {problem}\n");
        }
        for (hit, comparison) in &self.comparisons {
            for difference in &comparison.different {
                text += &format!("    different at {hit}\n        {difference}\n");
            }
        }
        for (who, by) in
            [("only tracer", &self.counts.only_ours), ("only gdb", &self.counts.only_gdb)]
        {
            for (reason, count) in by {
                let example = self.example(reason).unwrap_or_default();
                text += &format!("    {who} {count} {reason}, as {example}\n");
            }
        }
        for (why, count) in &self.counts.explained {
            text += &format!("    explained {count}: {why}\n");
        }
        text
    }

    fn example(&self, reason: &str) -> Option<String> {
        self.comparisons.iter().find_map(|(hit, comparison)| {
            let mut found = comparison.one_sided.iter();
            let found = found.find(|difference| {
                [&difference.ours, &difference.gdb]
                    .into_iter()
                    .any(|leaf| matches!(leaf, Leaf::Missing(why) if why == reason))
            });
            found.map(|difference| format!("{difference} ({hit})"))
        })
    }
}

/// A hit as tracer saw it.
struct Seen {
    location: usize,
    pc: u64,
    hit: u64,
    leaves: Leaves,
}

/// What gdb saw by address and number of the hit.
type Stops = HashMap<(u64, u64), Leaves>;

/// Compares one build of a program.
///
/// # Errors
///
/// The program, tracer or gdb can't be run. A location that can't be probed is a problem in the
/// report.
pub fn compare_build(program: &Program, build: &str, extent: Extent) -> Result<Report> {
    let mut report = Report {
        name: format!("{} {build}", program.name),
        entries: 0,
        lines: 0,
        hits: 0,
        counts: Counts::default(),
        comparisons: Vec::new(),
        problems: Vec::new(),
    };
    let locations = locations(program, build, extent)?;
    let home = TempDir::new()?;
    let (seen, our_heap) =
        seen_by_tracer(program, build, &home, &locations, extent.hits, &mut report)?;
    let (by_gdb, gdb_heap) = seen_by_gdb(program, build, &home, &seen)?;
    let mut was_hit = vec![false; locations.len()];
    for hit in seen {
        let location = locations.get(hit.location).map_or("", String::as_str);
        let name = format!("{location} at {:#x}, hit {}", hit.pc, hit.hit);
        let Some(gdb) = by_gdb.get(&(hit.pc, hit.hit)) else {
            report.problems.push(format!("{name}: gdb did not come there"));
            continue;
        };
        let seen = explain::Seen { program, build, location, heaps: [&our_heap, &gdb_heap] };
        let explain = |path: &str, ours: &Leaf, gdb: &Leaf| seen.explain(path, ours, gdb);
        let comparison = compare::compare(&hit.leaves, gdb, &explain);
        report.hits += 1;
        report.counts += &comparison.counts;
        report.comparisons.push((name, comparison));
        if let Some(flag) = was_hit.get_mut(hit.location) {
            *flag = true;
        }
    }
    let entries = program.functions.len();
    report.entries = was_hit.iter().take(entries).filter(|hit| **hit).count();
    report.lines = was_hit.iter().skip(entries).filter(|hit| **hit).count();
    Ok(report)
}

/// The functions by name, then lines of theirs.
fn locations(program: &Program, build: &str, extent: Extent) -> Result<Vec<String>> {
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
    Ok(locations)
}

fn seen_by_tracer(
    program: &Program,
    build: &str,
    home: &TempDir,
    locations: &[String],
    hits: u64,
    report: &mut Report,
) -> Result<(Vec<Seen>, Heap)> {
    let mut running = Running::start(program, build, home.path())?;
    let (pid, heap) = (running.pid(), running.heap()?);
    let observed = probe::observe(pid, locations, program.functions.len(), hits, || running.work())
        .with_context(|| format!("{} under tracer", report.name))?;
    let mut seen = Vec::new();
    for (location, result) in observed.into_iter().enumerate() {
        match result {
            Ok(observed) => seen.extend(observed.captures.iter().filter_map(|capture| {
                let pc = observed.sites.get(capture.site)?.pc.0;
                Some(Seen { location, pc, hit: capture.hit, leaves: ours::leaves(capture) })
            })),
            Err(error) => report.problems.push(format!("{error:#}")),
        }
    }
    Ok((seen, heap))
}

fn seen_by_gdb(
    program: &Program,
    build: &str,
    home: &TempDir,
    seen: &[Seen],
) -> Result<(Stops, Heap)> {
    let mut wanted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for hit in seen {
        wanted.entry(hit.pc).or_default().push(hit.hit);
    }
    let points: Vec<Point> = wanted.into_iter().map(|(pc, hits)| Point { pc, hits }).collect();
    let mut running = Running::start(program, build, home.path())?;
    let heap = running.heap()?;
    let gdb = gdb::attach(running.pid(), &points)?;
    running.work().with_context(|| format!("{} {build} under gdb", program.name))?;
    // What has not come by now will not come.
    drop(running);
    let stops = gdb.stops()?.into_iter().map(|stop| ((stop.pc, stop.hit), stop.leaves));
    Ok((stops.collect(), heap))
}
