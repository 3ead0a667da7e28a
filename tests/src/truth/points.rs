//! Random points of a program's code that its work comes to.

use super::gdb;
use super::probe::Asked;
use super::process::Running;
use super::programs::Program;
use crate::random::Random;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Entries of functions, lines of theirs, and inlined calls.
const KINDS: [&str; 3] = ["entry", "line", "inlined"];
/// The highest number of a hit that is compared.
const HITS: u64 = 4;
/// How often it is looked for more.
const ROUNDS: usize = 8;
/// Addresses that are tried for each point that is wanted: the work comes to a part of the code.
const TRIES: usize = 6;

/// `count` points, as many of each kind; fewer where the work comes to too few. The same seed
/// gives the same points.
///
/// # Errors
///
/// The program or gdb can't be run.
pub fn choose(
    program: &Program,
    build: &str,
    home: &Path,
    count: usize,
    seed: u64,
) -> Result<Vec<Asked>> {
    let mut random = Random::new(seed);
    let mut found: BTreeMap<&str, Vec<Asked>> = BTreeMap::new();
    let wanted = |index: usize| (count + KINDS.len() - 1 - index) / KINDS.len();
    for _ in 0..ROUNDS {
        let mut tried = Vec::new();
        for (index, kind) in KINDS.iter().enumerate() {
            let missing = wanted(index).saturating_sub(found.get(kind).map_or(0, Vec::len));
            tried.extend((0..missing * TRIES).map(|_| (*kind, share(&mut random))));
        }
        if tried.is_empty() {
            break;
        }
        let mut running = Running::start(program, build, home)?;
        let survey = gdb::survey(running.pid(), &tried, HITS)?;
        running.work()?;
        drop(running);
        for place in survey.places()? {
            let Some(index) = KINDS.iter().position(|kind| *kind == place.kind) else { continue };
            let hits = 1 + random.below(place.hits);
            let mut locations = vec![place.location, format!("*{:#x}", place.pc)];
            locations.dedup();
            let those = found.entry(KINDS[index]).or_default();
            if those.len() < wanted(index) && !those.iter().any(|one| one.locations == locations) {
                those.push(Asked { locations, hits, only_last: true });
            }
        }
    }
    Ok(found.into_values().flatten().collect())
}

/// A number from 0 to 1.
fn share(random: &mut Random) -> f64 {
    random.below(1 << 32) as f64 / f64::from(u32::MAX)
}
