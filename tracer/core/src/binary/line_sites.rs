//! `file:line` to addresses.
//!
//! A line has one site for each contiguous block of its code in each function and in each inlined
//! copy: the first statement of the block. What is inlined by a call on the line belongs to the
//! line, as seen from the function that calls, so the code behind the call does not count as a
//! second block.

use super::dwarf::{DebugInfo, Unit, UnitIndex};
use super::functions::{self, Scopes};
use super::lines::{Row, has_tail, normalize, paths};
use crate::model::address::Svma;
use gimli::UnitOffset;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// The lines of a file that have code.
pub fn lines_with_code(info: &DebugInfo<'_>, file: &SourceFile) -> BTreeSet<u64> {
    let mut lines = BTreeSet::new();
    for (index, files) in &file.units {
        let Some(table) = info.lines(*index) else { continue };
        for row in table.sequences().flatten() {
            if row.is_stmt && !row.end_sequence && files.contains(&u64::from(row.file)) {
                lines.insert(u64::from(row.line));
            }
        }
    }
    lines.remove(&0);
    lines
}

/// The sites of a line, by address.
pub fn sites(info: &DebugInfo<'_>, file: &SourceFile, line: u64) -> BTreeSet<Svma> {
    let mut sites = BTreeSet::new();
    for (index, files) in &file.units {
        let Some(unit) = info.unit(*index) else { continue };
        let mut blocks = Blocks { info, unit, index: *index, files, line, trees: HashMap::new() };
        sites.extend(blocks.sites());
    }
    sites
}

struct Blocks<'d, 'a> {
    info: &'d DebugInfo<'a>,
    unit: &'d Unit<'a>,
    index: UnitIndex,
    files: &'d [u64],
    line: u64,
    trees: HashMap<Option<UnitOffset>, Scopes>,
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

impl Blocks<'_, '_> {
    fn sites(&mut self) -> Vec<Svma> {
        let Some(table) = self.info.lines(self.index) else { return Vec::new() };
        let mut open: HashMap<(Option<UnitOffset>, usize), Block> = HashMap::new();
        let mut sites = Vec::new();
        for rows in table.sequences() {
            for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
                self.visit(row, next.svma.0, &mut open, &mut sites);
            }
            sites.extend(open.drain().filter_map(|(_, block)| block.site()));
        }
        sites
    }

    fn visit(
        &mut self,
        row: &Row,
        end: u64,
        open: &mut HashMap<(Option<UnitOffset>, usize), Block>,
        sites: &mut Vec<Svma>,
    ) {
        let function = self.info.functions(self.index).and_then(|f| f.at(row.svma));
        let (info, unit) = (self.info, self.unit);
        let tree = self.trees.entry(function).or_insert_with(|| match function {
            Some(offset) => Scopes::read(info, unit, offset),
            None => Scopes::default(),
        });
        let mut chain = tree.at(row.svma);
        if chain.is_empty() {
            // Assembly has rows but no functions.
            chain.push(0);
        }
        let mut place = Some((u64::from(row.file), u64::from(row.line)));
        for (depth, scope) in chain.into_iter().enumerate() {
            let is_line =
                place.is_some_and(|(file, line)| line == self.line && self.files.contains(&file));
            let has_line = place.is_some_and(|(_, line)| line != 0);
            place = tree.list.get(scope).and_then(|scope| scope.call);
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
