//! All source files that a file's debug info mentions, with the units that do.

use super::dwarf::{DebugInfo, UnitIndex};
use super::functions::is_compile_unit;
use super::lines::{PathParts, file_numbers, has_tail, normalize};
use super::scan::{self, Read};
use std::collections::{BTreeMap, HashMap};

/// A source file that debug info mentions, with the units that do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Its path, normalized.
    pub path: String,
    /// Units with the indices that the file has in their line tables.
    pub units: Vec<(UnitIndex, Vec<u64>)>,
}

impl SourceFile {
    /// The units that mention it.
    pub(super) fn unit_indices(&self) -> Vec<UnitIndex> {
        self.units.iter().map(|(unit, _)| *unit).collect()
    }

    /// Its indices in the line table of a unit.
    pub(super) fn indices_in(&self, unit: UnitIndex) -> &[u64] {
        let at = self.units.binary_search_by_key(&unit, |(unit, _)| *unit).ok();
        at.and_then(|at| self.units.get(at)).map_or(&[], |(_, indices)| indices)
    }
}

/// The source files that debug info mentions.
#[derive(Debug, Default)]
pub struct SourceIndex {
    /// By path.
    files: Vec<Source>,
    /// Units with indices in their line tables, by file and unit.
    mentions: Vec<(u32, u32)>,
}

#[derive(Debug)]
struct Source {
    path: Box<str>,
    /// Where the list of its mentions ends; it starts where that of the file before ends.
    end: usize,
}

/// What one thread has found.
#[derive(Default)]
struct Found<'d> {
    known: HashMap<PathParts<'d>, Option<u32>>,
    paths: Vec<String>,
    /// Number of the path, unit, index in its line table.
    mentions: Vec<(u32, u32, u32)>,
}

impl SourceIndex {
    /// Reads the line table headers of all units.
    pub(super) fn read(info: &DebugInfo) -> Self {
        let all: Vec<UnitIndex> = (0..info.unit_count()).collect();
        let found =
            scan::units(info, &all, Read::WithLines, |found: &mut Found<'_>, index, unit| {
                // Partial and type units mention files but have no code.
                let Some(program) = unit.line_program.as_ref().filter(|_| is_compile_unit(unit))
                else {
                    return;
                };
                let Ok(index) = u32::try_from(index) else { return };
                for file in file_numbers(program.header()) {
                    let parts = PathParts::of(info.dwarf(), unit, program.header(), file);
                    let (Some(parts), Ok(file)) = (parts, u32::try_from(file)) else { continue };
                    if let Some(path) = found.path(parts) {
                        found.mentions.push((path, index, file));
                    }
                }
            });
        Self::merge(found)
    }

    fn merge(found: Vec<Found<'_>>) -> Self {
        let mut by_path: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
        for Found { paths, mut mentions, .. } in found {
            mentions.sort_unstable();
            for same in mentions.chunk_by(|a, b| a.0 == b.0) {
                let path = same.first().and_then(|(path, ..)| paths.get(*path as usize));
                let Some(path) = path else { continue };
                let known = by_path.entry(path.clone()).or_default();
                known.extend(same.iter().map(|(_, unit, file)| (*unit, *file)));
            }
        }
        let mut index = Self::default();
        for (path, mut mentions) in by_path {
            mentions.sort_unstable();
            index.mentions.append(&mut mentions);
            index.files.push(Source { path: path.into(), end: index.mentions.len() });
        }
        index
    }

    /// The paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &*file.path)
    }

    /// The files whose path ends in `tail` at a `/`.
    pub fn ending_in(&self, tail: &str) -> Vec<SourceFile> {
        let tail = normalize(tail);
        let indices = self.files.iter().enumerate();
        let found = indices.filter(|(_, file)| has_tail(&file.path, &tail));
        found.map(|(index, file)| self.file(index, file)).collect()
    }

    fn file(&self, index: usize, file: &Source) -> SourceFile {
        let before = index.checked_sub(1).and_then(|before| self.files.get(before));
        let start = before.map_or(0, |before| before.end);
        let mentions = self.mentions.get(start..file.end).unwrap_or_default();
        let units = mentions.chunk_by(|a, b| a.0 == b.0).filter_map(|same| {
            let (unit, _) = same.first()?;
            Some((*unit as UnitIndex, same.iter().map(|(_, file)| u64::from(*file)).collect()))
        });
        SourceFile { path: file.path.to_string(), units: units.collect() }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let paths: usize = self.files.iter().map(|file| file.path.len()).sum();
        paths
            + self.files.capacity() * size_of::<Source>()
            + self.mentions.capacity() * size_of::<(u32, u32)>()
    }
}

impl<'d> Found<'d> {
    /// The number of a path; units repeat the same ones, so that few are put together.
    fn path(&mut self, parts: PathParts<'d>) -> Option<u32> {
        let paths = &mut self.paths;
        *self.known.entry(parts).or_insert_with(|| {
            let number = u32::try_from(paths.len()).ok()?;
            paths.push(parts.join());
            Some(number)
        })
    }
}
