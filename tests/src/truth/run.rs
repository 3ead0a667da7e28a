//! Two runs of a program: one under tracer, one under gdb.

use super::align::aligned;
use super::compare::compare;
use super::disputed::{Disputed, Place};
use super::gdb::{self, Point};
use super::leaf::View;
use super::ours;
use super::probe::{self, Asked};
use super::process::Running;
use super::programs::Program;
use super::report::Report;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A hit as tracer saw it.
struct Seen {
    asked: usize,
    location: String,
    pc: u64,
    svma: u64,
    hit: u64,
    view: View,
}

/// What gdb saw by address and number of the hit.
type Stops = HashMap<(u64, u64), View>;

/// What both saw of a program.
pub struct SeenByBoth {
    report: Report,
    ours: Vec<Seen>,
    gdb: Stops,
}

/// Lets both see these locations. The `first` ones are placed before the others: where two mean
/// the same address the later one gets nothing. `home` holds what the program needs; the same for
/// all runs.
///
/// # Errors
///
/// The program, tracer or gdb can't be run. A location that can't be probed is a problem in the
/// report.
pub fn seen_by_both(
    program: &Program,
    build: &str,
    home: &Path,
    asked: &[Asked],
    first: usize,
) -> Result<SeenByBoth> {
    let mut report = Report {
        name: program.name_of(build),
        was_hit: vec![false; asked.len()],
        ..Report::default()
    };
    let ours = seen_by_tracer(program, build, home, asked, first, &mut report)?;
    let gdb = seen_by_gdb(program, build, home, &ours)?;
    Ok(SeenByBoth { report, ours, gdb })
}

impl SeenByBoth {
    /// Compares the hits that both have seen, at most so many.
    ///
    /// # Errors
    ///
    /// `truth-disputed.json` can't be read.
    pub fn compare(mut self, hits_max: usize) -> Result<Report> {
        let disputed = Disputed::load()?;
        for hit in &self.ours {
            if self.report.hits == hits_max {
                break;
            }
            let name = format!("{} at {:#x}, hit {}", hit.location, hit.svma, hit.hit);
            match self.gdb.get(&(hit.pc, hit.hit)) {
                Some(gdb) => self.report.add(hit, name, gdb, &disputed),
                None => self.report.problems.push(format!("{name}: gdb did not come there")),
            }
        }
        Ok(self.report)
    }
}

impl Report {
    fn add(&mut self, hit: &Seen, name: String, gdb: &View, disputed: &Disputed) {
        let program = self.name.clone();
        let place = Place { program: &program, pc: hit.svma, location: &hit.location };
        let verdict = |path: &str| disputed.verdict(place, path);
        self.hits += 1;
        self.variables.add(&hit.view, gdb);
        let context = compare(&hit.view.context, &gdb.context, &verdict);
        self.context += &context.counts;
        let (ours, gdb) = aligned(&hit.view, gdb);
        let comparison = compare(&ours, &gdb, &verdict);
        self.counts += &comparison.counts;
        self.comparisons.extend([(name.clone(), comparison), (name, context)]);
        if let Some(flag) = self.was_hit.get_mut(hit.asked) {
            *flag = true;
        }
    }
}

fn seen_by_tracer(
    program: &Program,
    build: &str,
    home: &Path,
    asked: &[Asked],
    first: usize,
    report: &mut Report,
) -> Result<Vec<Seen>> {
    let mut running = Running::start(program, build, home)?;
    let pid = running.pid();
    let observed = probe::observe(pid, asked, first, || running.work())
        .with_context(|| format!("{} under tracer", report.name))?;
    let mut seen = Vec::new();
    for (asked, result) in observed.into_iter().enumerate() {
        match result {
            Ok(observed) => seen.extend(observed.captures.iter().filter_map(|capture| {
                let site = observed.sites.get(capture.site)?;
                Some(Seen {
                    asked,
                    location: observed.location.clone(),
                    pc: site.pc.0,
                    svma: site.svma.0,
                    hit: capture.hit,
                    view: ours::view(capture),
                })
            })),
            Err(error) => report.problems.push(format!("{error:#}")),
        }
    }
    Ok(seen)
}

fn seen_by_gdb(program: &Program, build: &str, home: &Path, seen: &[Seen]) -> Result<Stops> {
    let mut wanted: BTreeMap<u64, BTreeMap<u64, _>> = BTreeMap::new();
    for hit in seen {
        wanted.entry(hit.pc).or_default().insert(hit.hit, hit.view.moved.clone());
    }
    let points: Vec<Point> = wanted.into_iter().map(|(pc, hits)| Point { pc, hits }).collect();
    let mut running = Running::start(program, build, home)?;
    let gdb = gdb::attach(running.pid(), &points)?;
    running.work().with_context(|| format!("{} {build} under gdb", program.name))?;
    // What has not come by now will not come.
    drop(running);
    let stops = gdb.stops()?.into_iter().map(|stop| ((stop.pc, stop.hit), stop.view));
    Ok(stops.collect())
}
