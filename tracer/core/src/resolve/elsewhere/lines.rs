//! The lines of a function, with the addresses that each means there.

use crate::binary::dwarf::{DebugInfo, UnitIndex};
use crate::binary::line_sites::LineSite;
use crate::binary::lines::{Row, path_of};
use crate::model::address::Svma;
use crate::model::resolved::{Site, SourceLine};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A site with file (index in the unit's line table) and line.
type Numbered = LineSite<(u64, u64)>;

/// A line of the function.
pub(super) struct Line {
    pub(super) line: SourceLine,
    /// Its sites in the function, by address.
    pub(super) sites: Vec<Numbered>,
    /// These are all of them: to probe them is to probe the line.
    pub(super) whole: bool,
}

impl Line {
    /// What lines are sorted by: those of the same file by their distance, of two at the same the
    /// later one, for it comes after what happens here; then those of other files. Where it is not
    /// known which line is here, by the distance of their code from `pc`.
    pub(super) fn distance(&self, here: Option<&SourceLine>, pc: Svma) -> (bool, u64, bool) {
        match here {
            Some(here) => {
                let SourceLine { file, line } = &self.line;
                (*file != here.file, line.abs_diff(here.line), *line < here.line)
            }
            None => {
                let distances = self.sites.iter().map(|site| site.svma.0.abs_diff(pc.0));
                (false, distances.min().unwrap_or(u64::MAX), false)
            }
        }
    }
}

/// Sites by their lines.
pub(super) fn lines_of(info: &DebugInfo, index: UnitIndex, sites: &[Numbered]) -> Vec<Line> {
    let mut by_line: BTreeMap<(u64, u64), Vec<Numbered>> = BTreeMap::new();
    for site in sites {
        by_line.entry(site.line).or_default().push(*site);
    }
    by_line.values_mut().for_each(|sites| sites.sort_unstable_by_key(|site| site.svma));
    named(info, index, by_line, true)
}

/// The rows of the line table that start within the code of a line, each as a part of its line: an
/// address that can be asked for only by itself.
pub(super) fn parts_of_lines<'r>(
    info: &DebugInfo,
    index: UnitIndex,
    rows: impl Iterator<Item = &'r Row>,
    sites: &[Numbered],
) -> Vec<Line> {
    let known: BTreeSet<Svma> = sites.iter().map(|site| site.svma).collect();
    let rows = rows.filter(|row| row.line != 0 && !row.end_sequence && !known.contains(&row.svma));
    let into_part = |row: &Row| {
        let line = (u64::from(row.file), u64::from(row.line));
        (line, vec![Numbered { line, svma: row.svma, depth: 0, scope: None }])
    };
    named(info, index, rows.map(into_part), false)
}

/// Lines with the names of their files.
fn named(
    info: &DebugInfo,
    index: UnitIndex,
    lines: impl IntoIterator<Item = ((u64, u64), Vec<Numbered>)>,
    whole: bool,
) -> Vec<Line> {
    let Some(unit) = info.unit(index) else { return Vec::new() };
    let mut files: HashMap<u64, Option<String>> = HashMap::new();
    let mut named = Vec::new();
    for ((file, line), sites) in lines {
        let path = files.entry(file).or_insert_with(|| path_of(unit, file));
        let Some(file) = path.clone() else { continue };
        named.push(Line { line: SourceLine { file, line }, sites, whole });
    }
    named
}

/// Where the parts of a function start that its lines lead to, that of the site first.
pub(super) fn part_starts(
    site: &Site,
    info: &DebugInfo,
    index: UnitIndex,
    sites: &[Numbered],
) -> Vec<Svma> {
    let Some(functions) = info.functions(index) else { return Vec::new() };
    let addresses = std::iter::once(site.svma).chain(sites.iter().map(|site| site.svma));
    let mut seen = BTreeSet::new();
    let starts = addresses.filter_map(|svma| Some(functions.part_at(svma)?.start));
    starts.filter(|start| seen.insert(*start)).collect()
}
