//! Line tables: which address belongs to which line, and which files a unit mentions.

use super::dwarf::{DebugInfo, Reader, Unit};
use super::range_map::RangeMap;
use crate::model::address::Svma;
use crate::model::resolved::SourceLine;
use gimli::LineProgramHeader;
use std::ops::Range;

/// Rows of one line program that are read, at most: 96 MiB. The largest real units have a million.
const ROWS_MAX: usize = 4 << 20;

/// Bytes of the paths of one unit; more of them are left out. The largest real ones have one MiB.
const PATHS_BYTES_MAX: usize = 8 << 20;
/// Longer paths are left out: no file has one, and many entries may share it.
const PATH_BYTES_MAX: usize = 4096;

/// A row of a line table (DWARF 5, 6.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Where its code starts; it ends where the next row's starts.
    pub svma: Svma,
    /// Index of the file in the unit's line table.
    pub file: u32,
    /// From 1; 0 where the compiler gives none.
    pub line: u32,
    /// From 1; 0 where the compiler gives none, or a very large one.
    pub column: u16,
    /// A good place for a breakpoint: a statement starts here.
    pub is_stmt: bool,
    /// A good place for a breakpoint on function entry.
    pub prologue_end: bool,
    /// The first address behind a run of code.
    pub end_sequence: bool,
}

/// The line table of a unit.
#[derive(Debug)]
pub struct UnitLines {
    rows: Vec<Row>,
    /// Runs of code with increasing addresses; their rows, the last of which ends the run.
    sequences: RangeMap<Range<usize>>,
}

impl Default for UnitLines {
    fn default() -> Self {
        Self { rows: Vec::new(), sequences: RangeMap::new([]) }
    }
}

impl UnitLines {
    pub(super) fn read(info: &DebugInfo, unit: &Unit<'_>) -> Self {
        let Some(program) = unit.line_program.clone() else { return Self::default() };
        let mut machine = program.rows();
        let mut rows: Vec<Row> = Vec::new();
        let mut sequences = Vec::new();
        let mut start = 0;
        let mut ordered = true;
        while rows.len() < ROWS_MAX {
            let Ok(Some((_, row))) = machine.next_row() else { break };
            let row = Row {
                svma: Svma(row.address()),
                file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
                line: row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0),
                column: column(row.column()),
                is_stmt: row.is_stmt(),
                prologue_end: row.prologue_end(),
                end_sequence: row.end_sequence(),
            };
            let previous = rows.last().filter(|_| rows.len() > start);
            ordered &= previous.is_none_or(|previous| previous.svma <= row.svma);
            rows.push(row);
            if !row.end_sequence {
                continue;
            }
            let first = rows.get(start).map_or(0, |first| first.svma.0);
            // Code that the linker dropped keeps its rows, at address 0 or -1.
            if ordered && info.is_text(first) {
                sequences.push((first..row.svma.0, start..rows.len()));
            } else {
                rows.truncate(start);
            }
            (start, ordered) = (rows.len(), true);
        }
        rows.truncate(start);
        Self { rows, sequences: RangeMap::new(sequences) }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.sequences.bytes()
    }

    /// Runs of code: rows with increasing addresses, of which the last ends the run.
    pub fn sequences(&self) -> impl Iterator<Item = &[Row]> {
        self.sequences.iter().filter_map(|(_, rows)| self.rows.get(rows.clone()))
    }

    /// The row whose code holds an address; of several that start there the last.
    pub fn row_at(&self, svma: Svma) -> Option<&Row> {
        let (_, rows) = self.sequences.containing(svma.0).next()?;
        let rows = self.rows.get(rows.clone())?;
        let after = rows.partition_point(|row| row.svma <= svma);
        rows.get(after.checked_sub(1)?).filter(|row| !row.end_sequence)
    }

    /// The rows whose address is in a range, by address.
    pub fn rows_in(&self, range: Range<Svma>) -> impl Iterator<Item = &Row> {
        let sequences = self.sequences.overlapping(range.start.0..range.end.0);
        sequences.flat_map(move |(_, rows)| {
            let rows = self.rows.get(rows.clone()).unwrap_or_default();
            let first = rows.partition_point(|row| row.svma < range.start);
            let after = rows.partition_point(|row| row.svma < range.end);
            rows.get(first..after).unwrap_or_default()
        })
    }
}

fn column(column: gimli::ColumnType) -> u16 {
    match column {
        gimli::ColumnType::LeftEdge => 0,
        gimli::ColumnType::Column(column) => u16::try_from(column.get()).unwrap_or(0),
    }
}

/// The rows of a unit whose address is in a range, by address.
pub fn rows<'d>(
    info: &'d DebugInfo,
    unit: &Unit<'_>,
    range: Range<Svma>,
) -> impl Iterator<Item = &'d Row> + use<'d> {
    let lines = info.index_of(unit).and_then(|index| info.lines(index));
    lines.into_iter().flat_map(move |lines| lines.rows_in(range.clone()))
}

/// The file and line of a row.
pub fn source_line(unit: &Unit<'_>, file: u64, line: u64) -> Option<SourceLine> {
    path_of(unit, file).map(|file| SourceLine { file, line })
}

/// The path of a file of a unit's line table, by index.
pub fn path_of(unit: &Unit<'_>, file: u64) -> Option<String> {
    path_in(unit, unit.line_program.as_ref()?.header(), file)
}

/// The paths of all files that a unit's line table mentions, by index.
pub fn paths(unit: &Unit<'_>) -> Vec<(u64, String)> {
    let Some(program) = &unit.line_program else { return Vec::new() };
    path_parts(unit, program.header()).map(|(file, parts)| (file, parts.join())).collect()
}

/// The same, not put together yet.
pub(super) fn path_parts<'a>(
    unit: &Unit<'a>,
    header: &LineProgramHeader<Reader<'a>, usize>,
) -> impl Iterator<Item = (u64, PathParts<'a>)> {
    let parts = |file| Some((file, PathParts::of(unit, header, file)?));
    let mut left = PATHS_BYTES_MAX;
    file_numbers(header).filter_map(parts).take_while(move |(_, parts)| {
        let rest = left.checked_sub(parts.bytes());
        left = rest.unwrap_or(0);
        rest.is_some()
    })
}

/// The indices that files have in a line table.
fn file_numbers(header: &LineProgramHeader<Reader<'_>, usize>) -> Range<u64> {
    // Indices start at 1 before DWARF 5, where 0 is not a file.
    let count = header.file_names().len() as u64;
    if header.version() < 5 { 1..count + 1 } else { 0..count }
}

fn path_in(
    unit: &Unit<'_>,
    header: &LineProgramHeader<Reader<'_>, usize>,
    file: u64,
) -> Option<String> {
    PathParts::of(unit, header, file).map(|parts| parts.join())
}

/// What a path is put together from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct PathParts<'a> {
    name: &'a [u8],
    directory: Option<&'a [u8]>,
    base: Option<&'a [u8]>,
}

impl<'a> PathParts<'a> {
    /// The path of a file of a line table.
    pub(super) fn of(
        unit: &Unit<'a>,
        header: &LineProgramHeader<Reader<'a>, usize>,
        file: u64,
    ) -> Option<Self> {
        let entry = header.file(file)?;
        let text = |value| {
            let text = unit.line_strings().attr_string(unit, value).ok()?.slice();
            (text.len() <= PATH_BYTES_MAX).then_some(text)
        };
        Some(Self {
            name: text(entry.path_name())?,
            directory: entry.directory(header).and_then(text),
            // Directory 0 is that of the compilation; the others may be relative to it.
            base: unit.comp_dir.filter(|_| entry.directory_index() != 0).map(|base| base.slice()),
        })
    }

    fn bytes(&self) -> usize {
        let prefixes = [self.directory, self.base].into_iter().flatten();
        self.name.len() + prefixes.map(<[u8]>::len).sum::<usize>()
    }

    pub(super) fn join(&self) -> String {
        let mut path = String::from_utf8_lossy(self.name).into_owned();
        for prefix in [self.directory, self.base].into_iter().flatten() {
            if !path.starts_with('/') {
                path = format!("{}/{path}", String::from_utf8_lossy(prefix));
            }
        }
        normalize(&path)
    }
}

/// A path without `.`, without `..` where it has something to take back, and without repeated
/// slashes. Builds in a directory beside the sources record `build/../src/file.c`.
pub fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// `path` is `tail` or ends in it at a `/`. Both are normalized.
pub fn has_tail(path: &str, tail: &str) -> bool {
    match path.strip_suffix(tail) {
        Some(rest) => rest.is_empty() || (!tail.starts_with('/') && rest.ends_with('/')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized() {
        for (path, expected) in [
            ("a.c", "a.c"),
            ("./build/../src//a.c", "src/a.c"),
            ("/src/./x/../a.c", "/src/a.c"),
            ("../a.c", "../a.c"),
            ("x/../../a.c", "../a.c"),
            ("/../a.c", "/a.c"),
        ] {
            assert_eq!(normalize(path), expected, "{path}");
        }
    }

    #[test]
    fn a_tail_starts_at_a_slash() {
        assert!(has_tail("/src/foo.c", "foo.c"));
        assert!(has_tail("/src/foo.c", "src/foo.c"));
        assert!(has_tail("/src/foo.c", "/src/foo.c"));
        assert!(has_tail("foo.c", "foo.c"));
        assert!(!has_tail("/src/barfoo.c", "foo.c"));
        assert!(!has_tail("/x/src/foo.c", "/src/foo.c"));
        assert!(!has_tail("foo.c", "src/foo.c"));
    }
}
