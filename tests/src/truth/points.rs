//! Random points of a program's code that its work comes to.

use super::gdb;
use super::probe::Asked;
use super::process::Running;
use super::programs::Program;
use crate::random::Random;
use anyhow::Result;
use std::path::Path;

/// Entries of functions, lines of theirs, and inlined calls.
const KINDS: [&str; 3] = ["entry", "line", "inlined"];
/// The highest number of a hit that is compared.
const HITS: u64 = 4;
/// How often it is looked for more.
const ROUNDS: usize = 8;
/// Addresses that are tried for each point that is wanted, at first: the work comes to a part of
/// the code.
const TRIES: usize = 6;
/// The same, where that part is small.
const TRIES_MAX: usize = 60;

/// Random points, at least `count` where the work comes to so many, as many of each kind as far
/// as there are. The same seed gives the same points.
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
    let mut found: [Vec<Asked>; KINDS.len()] = Default::default();
    let wanted = count.div_ceil(KINDS.len());
    let mut tried_in_all = 0;
    for round in 0..ROUNDS {
        let missing = |those: &Vec<Asked>| wanted.saturating_sub(those.len());
        let enough = found.iter().map(Vec::len).sum::<usize>() >= count;
        if found.iter().all(|those| missing(those) == 0) || (enough && round >= ROUNDS / 2) {
            break;
        }
        let of_one = tried_in_all / found.iter().map(Vec::len).sum::<usize>().max(1);
        let mut tried = Vec::new();
        for (kind, those) in KINDS.iter().zip(&found) {
            let tries = missing(those) * of_one.clamp(TRIES, TRIES_MAX);
            tried.extend((0..tries).map(|_| (*kind, share(&mut random))));
        }
        tried_in_all += tried.len();
        let mut running = Running::start(program, build, home)?;
        let survey = gdb::survey(running.pid(), &tried, HITS)?;
        running.work()?;
        drop(running);
        for place in survey.places()? {
            let kind = KINDS.iter().position(|kind| *kind == place.kind);
            let Some(those) = kind.and_then(|kind| found.get_mut(kind)) else { continue };
            let hits = 1 + random.below(place.hits);
            let mut locations = vec![place.location, format!("*{:#x}", place.pc)];
            locations.dedup();
            if !those.iter().any(|one| one.locations == locations) {
                those.push(Asked { locations, hits, only_last: true });
            }
        }
    }
    Ok(in_turn(found))
}

/// One of each kind, then the next one of each.
fn in_turn(found: [Vec<Asked>; KINDS.len()]) -> Vec<Asked> {
    let mut kinds = found.map(Vec::into_iter);
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(kinds.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

/// A number from 0 to 1.
fn share(random: &mut Random) -> f64 {
    random.below(1 << 32) as f64 / f64::from(u32::MAX)
}
