//! All source files that a file's debug info mentions, with the units that do.

use super::dwarf::{DebugInfo, Unit, UnitIndex};
use super::functions::is_compile_unit;
use super::index_file::{IndexFile, Kind, Table};
use super::index_store::Stored;
use super::lines::{PathParts, has_tail, normalize, path_of, path_parts};
use super::scan::{self, Read};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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

    /// Its indices in the line table of a unit, as far as they are its own there.
    pub(super) fn indices_in(&self, index: UnitIndex, unit: &Unit<'_>) -> Vec<u64> {
        let at = self.units.binary_search_by_key(&index, |(unit, _)| *unit).ok();
        let indices = at.and_then(|at| self.units.get(at)).map_or(&[][..], |(_, indices)| indices);
        let is_own = |file: &u64| path_of(unit, *file).as_ref() == Some(&self.path);
        indices.iter().copied().filter(is_own).collect()
    }
}

/// The source files that debug info mentions.
#[derive(Debug)]
pub struct SourceIndex {
    /// By path.
    files: Table<Source>,
    /// By file, unit and index.
    mentions: Table<Mention>,
    /// The paths, one behind the other.
    text: Table<u8>,
}

/// A file of a [`SourceIndex`]. Its lists start where those of the file before end.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Source {
    path_end: u64,
    mentions_end: u64,
}

/// A unit that mentions a file, and an index that the file has in its line table.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
struct Mention {
    unit: u32,
    file: u32,
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
        let found = scan::units(info, &all, Read::Lines, |found: &mut Found<'_>, index, unit| {
            // Partial and type units mention files but have no code.
            let Some(program) = unit.line_program.as_ref().filter(|_| is_compile_unit(unit)) else {
                return;
            };
            let Ok(index) = u32::try_from(index) else { return };
            for (file, parts) in path_parts(unit, program.header()) {
                let Ok(file) = u32::try_from(file) else { continue };
                if let Some(path) = found.path(parts) {
                    found.mentions.push((path, index, file));
                }
            }
        });
        Self::merge(found)
    }

    fn merge(found: Vec<Found<'_>>) -> Self {
        let mut by_path: BTreeMap<String, Vec<Mention>> = BTreeMap::new();
        for Found { paths, mut mentions, .. } in found {
            mentions.sort_unstable();
            for same in mentions.chunk_by(|a, b| a.0 == b.0) {
                let path = same.first().and_then(|(path, ..)| paths.get(*path as usize));
                let Some(path) = path else { continue };
                let known = by_path.entry(path.clone()).or_default();
                known.extend(
                    same.iter().map(|(_, unit, file)| Mention { unit: *unit, file: *file }),
                );
            }
        }
        let (mut files, mut all, mut text) = (Vec::new(), Vec::new(), Vec::new());
        for (path, mut mentions) in by_path {
            mentions.sort_unstable();
            all.append(&mut mentions);
            text.extend_from_slice(path.as_bytes());
            files.push(Source { path_end: text.len() as u64, mentions_end: all.len() as u64 });
        }
        let (files, mentions) = (Table::Built(files), Table::Built(all));
        Self { files, mentions, text: Table::Built(text) }
    }

    /// All files: the path, and where it is mentioned.
    fn files(&self) -> impl Iterator<Item = (&str, &[Mention])> {
        let starts = std::iter::once(Source::default()).chain(self.files.iter().copied());
        starts.zip(self.files.iter()).filter_map(|(start, end)| {
            let path = self.text.get(range(start.path_end, end.path_end)?)?;
            let mentions = self.mentions.get(range(start.mentions_end, end.mentions_end)?)?;
            Some((std::str::from_utf8(path).ok()?, mentions))
        })
    }

    /// The paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files().map(|(path, _)| path)
    }

    /// The files whose path ends in `tail` at a `/`.
    pub fn ending_in(&self, tail: &str) -> Vec<SourceFile> {
        let tail = normalize(tail);
        let found = self.files().filter(|(path, _)| has_tail(path, &tail));
        let found = found.map(|(path, mentions)| {
            let units = mentions.chunk_by(|a, b| a.unit == b.unit).filter_map(|same| {
                let unit = same.first()?.unit as UnitIndex;
                Some((unit, same.iter().map(|mention| u64::from(mention.file)).collect()))
            });
            SourceFile { path: path.to_owned(), units: units.collect() }
        });
        found.collect()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.files.bytes() + self.mentions.bytes() + self.text.bytes()
    }
}

impl Stored for SourceIndex {
    const KIND: Kind = Kind::Sources;

    fn tables(&self) -> [&[u8]; 3] {
        [self.files.as_bytes(), self.mentions.as_bytes(), &self.text]
    }

    fn parse(file: &Arc<IndexFile>) -> Option<Self> {
        let (files, mentions) = (Table::<Source>::on_disk(file, 0)?, Table::on_disk(file, 1)?);
        let index = Self { files, mentions, text: Table::on_disk(file, 2)? };
        // Each list is where it should be, and no path is cut.
        let last = index.files.last().copied().unwrap_or_default();
        let fits = index.files().count() == index.files.len()
            && last.path_end == index.text.len() as u64
            && last.mentions_end == index.mentions.len() as u64;
        fits.then_some(index)
    }
}

fn range(start: u64, end: u64) -> Option<Range<usize>> {
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
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
