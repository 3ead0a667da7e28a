//! `file:line` to addresses.
//!
//! A line has one site for each contiguous block of its code in each function and in each inlined
//! copy: the first statement of the block. What is inlined by a call on the line belongs to the
//! line, as seen from the function that calls, so the code behind the call does not count as a
//! second block.

use super::dwarf::{DebugInfo, UnitIndex};
use super::functions::{self, Scopes};
use super::lines::{Row, UnitLines, has_tail, normalize, paths};
use crate::model::address::Svma;
use gimli::UnitOffset;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A source file that debug info mentions, with the units that do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Its path, normalized.
    pub path: String,
    /// Units with the indices that the file has in their line tables.
    pub units: Vec<(UnitIndex, Vec<u64>)>,
}

/// The source files whose path ends in `tail` at a `/`.
pub fn source_files(info: &DebugInfo<'_>, tail: &str) -> Vec<SourceFile> {
    let tail = normalize(tail);
    let mut files: BTreeMap<String, BTreeMap<UnitIndex, Vec<u64>>> = BTreeMap::new();
    // Partial and type units mention files but have no code.
    for (index, unit) in info.units().filter(|(_, unit)| functions::is_compile_unit(unit)) {
        for (file, path) in paths(info.dwarf(), unit) {
            if has_tail(&path, &tail) {
                files.entry(path).or_default().entry(index).or_default().push(file);
            }
        }
    }
    let into_file = |(path, units): (String, BTreeMap<_, _>)| SourceFile {
        path,
        units: units.into_iter().collect(),
    };
    files.into_iter().map(into_file).collect()
}

/// The file has code, not only declarations.
pub fn has_code(info: &DebugInfo<'_>, file: &SourceFile) -> bool {
    rows(info, file).next().is_some()
}

/// The rows of a file where statements start.
fn rows<'d>(info: &'d DebugInfo<'_>, file: &'d SourceFile) -> impl Iterator<Item = &'d Row> {
    file.units.iter().flat_map(|(index, files)| {
        let rows = info.lines(*index).into_iter().flat_map(UnitLines::sequences).flatten();
        rows.filter(|row| row.is_stmt && !row.end_sequence && files.contains(&u64::from(row.file)))
    })
}

/// The lines of a file that have code.
pub fn lines_with_code(info: &DebugInfo<'_>, file: &SourceFile) -> BTreeSet<u64> {
    let mut lines: BTreeSet<u64> = rows(info, file).map(|row| u64::from(row.line)).collect();
    lines.remove(&0);
    lines
}

/// The sites of a line, by address.
pub fn sites(info: &DebugInfo<'_>, file: &SourceFile, line: u64) -> BTreeSet<Svma> {
    let mut sites = BTreeSet::new();
    for (index, files) in &file.units {
        sites.extend(Blocks::new(info, *index, files, line).sites());
    }
    sites
}

/// A function of a unit by its DIE; `None` for assembly, which has rows but no functions.
type Function = Option<UnitOffset>;

struct Blocks<'d, 'a> {
    info: &'d DebugInfo<'a>,
    index: UnitIndex,
    files: &'d [u64],
    line: u64,
    /// The functions that the line has code in, with what is inlined into them.
    functions: HashMap<Function, Arc<Scopes>>,
}

/// A contiguous block of the line's code in a scope.
struct Block {
    end: u64,
    is_line: bool,
    /// The first statement of the line itself.
    own: Option<u64>,
    /// The first address, where a statement of what is inlined starts there.
    inlined: Option<u64>,
}

impl<'d, 'a> Blocks<'d, 'a> {
    fn new(info: &'d DebugInfo<'a>, index: UnitIndex, files: &'d [u64], line: u64) -> Self {
        let mut blocks = Self { info, index, files, line, functions: HashMap::new() };
        let (Some(table), Some(functions)) = (info.lines(index), info.functions(index)) else {
            return blocks;
        };
        for row in table.sequences().flatten() {
            if blocks.is_line(u64::from(row.file), u64::from(row.line)) {
                blocks.functions.insert(functions.at(row.svma), Arc::default());
            }
        }
        for offset in functions.offsets() {
            let scopes = info.scopes(index, offset);
            let calls = scopes.list.iter().filter_map(|scope| scope.call);
            let mut calls = calls.map(|(file, line)| blocks.is_line(file, line));
            if blocks.functions.contains_key(&Some(offset)) || calls.any(|is_line| is_line) {
                blocks.functions.insert(Some(offset), scopes);
            }
        }
        blocks
    }

    fn is_line(&self, file: u64, line: u64) -> bool {
        line == self.line && self.files.contains(&file)
    }

    fn sites(&self) -> Vec<Svma> {
        let (Some(table), Some(functions)) =
            (self.info.lines(self.index), self.info.functions(self.index))
        else {
            return Vec::new();
        };
        let mut open: HashMap<(Function, usize), Block> = HashMap::new();
        let mut sites = Vec::new();
        for rows in table.sequences() {
            for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
                let function = functions.at(row.svma);
                if let Some(scopes) = self.functions.get(&function) {
                    self.visit((function, scopes), row, next.svma.0, &mut open, &mut sites);
                }
            }
            sites.extend(open.drain().filter_map(|(_, block)| block.site()));
        }
        sites
    }

    fn visit(
        &self,
        (function, scopes): (Function, &Scopes),
        row: &Row,
        end: u64,
        open: &mut HashMap<(Function, usize), Block>,
        sites: &mut Vec<Svma>,
    ) {
        let mut chain = scopes.at(row.svma);
        if chain.is_empty() {
            chain.push(0);
        }
        let mut place = Some((u64::from(row.file), u64::from(row.line)));
        for (depth, scope) in chain.into_iter().enumerate() {
            let is_line = place.is_some_and(|(file, line)| self.is_line(file, line));
            let has_line = place.is_some_and(|(_, line)| line != 0);
            place = scopes.list.get(scope).and_then(|scope| scope.call);
            let block = open.entry((function, scope)).or_insert_with(Block::other);
            if has_line && (block.end != row.svma.0 || block.is_line != is_line) {
                sites.extend(std::mem::replace(block, Block::other()).site());
                block.is_line = is_line;
                block.inlined = (depth > 0 && row.is_stmt).then_some(row.svma.0);
            }
            if is_line && depth == 0 && row.is_stmt {
                block.own = block.own.or(Some(row.svma.0));
            }
            block.end = end;
        }
    }
}

impl Block {
    fn other() -> Self {
        Self { end: 0, is_line: false, own: None, inlined: None }
    }

    fn site(self) -> Option<Svma> {
        self.own.or(self.inlined).filter(|_| self.is_line).map(Svma)
    }
}
