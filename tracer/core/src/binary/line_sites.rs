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
        let is_line = |(file, at)| at == line && files.contains(&file);
        let functions = functions_with(info, *index, &is_line);
        let key = |place| is_line(place).then_some(());
        let found = Blocks::new(&key).read(info, *index, &functions);
        sites.extend(found.into_iter().map(|site| site.svma));
    }
    sites
}

/// A site of one of a function's lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineSite<Line> {
    /// Which line.
    pub line: Line,
    /// Its address.
    pub svma: Svma,
    /// Inlined calls between the function that the line is of and the code at the address: 0 where
    /// the code is the line's own.
    pub depth: usize,
}

/// File (index in the unit's line table) and line.
type Place = (u64, u64);

/// The sites of all lines of a function and of what is inlined into it, in any order. Of several
/// indices that the unit has for one file they bear the first one.
pub fn of_function(
    info: &DebugInfo<'_>,
    index: UnitIndex,
    function: UnitOffset,
) -> Vec<LineSite<Place>> {
    let Some(unit) = info.unit(index) else { return Vec::new() };
    let mut firsts: HashMap<String, u64> = HashMap::new();
    let paths = paths(info.dwarf(), unit).into_iter();
    let first: HashMap<u64, u64> =
        paths.map(|(file, path)| (file, *firsts.entry(path).or_insert(file))).collect();
    let key = |(file, line)| (line != 0).then_some((*first.get(&file)?, line));
    let functions = HashMap::from([(Some(function), info.scopes(index, function))]);
    Blocks::new(&key).read(info, index, &functions)
}

/// A function of a unit by its DIE; `None` for assembly, which has rows but no functions.
type Function = Option<UnitOffset>;
/// Functions with what is inlined into them.
type Functions = HashMap<Function, Arc<Scopes>>;

/// The functions of a unit that have code of a line.
fn functions_with(
    info: &DebugInfo<'_>,
    index: UnitIndex,
    is_line: &dyn Fn(Place) -> bool,
) -> Functions {
    let mut found = Functions::new();
    let (Some(table), Some(functions)) = (info.lines(index), info.functions(index)) else {
        return found;
    };
    for row in table.sequences().flatten() {
        if is_line((u64::from(row.file), u64::from(row.line))) {
            found.insert(functions.at(row.svma), Arc::default());
        }
    }
    for offset in functions.offsets() {
        let scopes = info.scopes(index, offset);
        let mut calls = scopes.list.iter().filter_map(|scope| scope.call);
        if found.contains_key(&Some(offset)) || calls.any(is_line) {
            found.insert(Some(offset), scopes);
        }
    }
    found
}

/// The blocks of code of those lines that are looked for.
struct Blocks<'k, Line> {
    /// Which line a place is, if it is one of those.
    key: &'k dyn Fn(Place) -> Option<Line>,
    /// The last block of each scope of a function.
    open: HashMap<(Function, usize), Block<Line>>,
    sites: Vec<LineSite<Line>>,
}

/// A contiguous block of a line's code in a scope.
struct Block<Line> {
    end: u64,
    line: Option<Line>,
    /// The first statement of the line itself.
    own: Option<Svma>,
    /// The first address, where a statement of what is inlined starts there, and how deep.
    inlined: Option<(Svma, usize)>,
}

impl<'k, Line: PartialEq> Blocks<'k, Line> {
    fn new(key: &'k dyn Fn(Place) -> Option<Line>) -> Self {
        Self { key, open: HashMap::new(), sites: Vec::new() }
    }

    /// Follows the rows of a unit through some of its functions.
    fn read(
        mut self,
        info: &DebugInfo<'_>,
        index: UnitIndex,
        wanted: &Functions,
    ) -> Vec<LineSite<Line>> {
        let (Some(table), Some(functions)) = (info.lines(index), info.functions(index)) else {
            return self.sites;
        };
        for rows in table.sequences() {
            for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
                let function = functions.at(row.svma);
                if let Some(scopes) = wanted.get(&function) {
                    self.visit((function, scopes), row, next.svma.0);
                }
            }
            self.sites.extend(self.open.drain().filter_map(|(_, block)| block.site()));
        }
        self.sites
    }

    fn visit(&mut self, (function, scopes): (Function, &Scopes), row: &Row, end: u64) {
        let mut chain = scopes.at(row.svma);
        if chain.is_empty() {
            chain.push(0);
        }
        let mut place = Some((u64::from(row.file), u64::from(row.line)));
        for (depth, scope) in chain.into_iter().enumerate() {
            let line = place.and_then(self.key);
            let is_line = line.is_some();
            let has_line = place.is_some_and(|(_, line)| line != 0);
            place = scopes.list.get(scope).and_then(|scope| scope.call);
            let block = self.open.entry((function, scope)).or_insert_with(Block::other);
            if has_line && (block.end != row.svma.0 || block.line != line) {
                let inlined = (depth > 0 && row.is_stmt).then_some((row.svma, depth));
                let next = Block { line, inlined, ..Block::other() };
                self.sites.extend(std::mem::replace(block, next).site());
            }
            if is_line && depth == 0 && row.is_stmt {
                block.own = block.own.or(Some(row.svma));
            }
            block.end = end;
        }
    }
}

impl<Line> Block<Line> {
    fn other() -> Self {
        Self { end: 0, line: None, own: None, inlined: None }
    }

    fn site(self) -> Option<LineSite<Line>> {
        let (svma, depth) = self.own.map(|svma| (svma, 0)).or(self.inlined)?;
        Some(LineSite { line: self.line?, svma, depth })
    }
}
