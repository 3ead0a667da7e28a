//! `file:line` to addresses.
//!
//! A line has one site for each contiguous block of its code in each function and in each inlined
//! copy: the first statement of the block. What is inlined by a call on the line belongs to the
//! line, as seen from the function that calls, so the code behind the call does not count as a
//! second block.

use super::dwarf::{DebugInfo, UnitIndex};
use super::functions::{self, Scopes};
use super::lines::{Row, UnitLines, paths};
use super::scan::{self, Read};
use super::source_index::SourceFile;
use crate::model::address::Svma;
use gimli::UnitOffset;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The source files whose path ends in `tail` at a `/`.
pub fn source_files(info: &DebugInfo, tail: &str) -> Vec<SourceFile> {
    info.source_index().ending_in(tail)
}

/// Which of some files have code, not only declarations.
pub fn have_code(info: &DebugInfo, files: &[&SourceFile]) -> Vec<bool> {
    let mut by_unit: BTreeMap<UnitIndex, Vec<usize>> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        for unit in file.unit_indices() {
            by_unit.entry(unit).or_default().push(number);
        }
    }
    let have: Vec<AtomicBool> = files.iter().map(|_| AtomicBool::new(false)).collect();
    let wanted: Vec<UnitIndex> = by_unit.keys().copied().collect();
    scan::units(info, &wanted, Read::Lines, |(): &mut (), index, unit| {
        let open = by_unit.get(&index).into_iter().flatten().filter_map(|number| {
            let has = have.get(*number).filter(|has| !has.load(Ordering::Relaxed))?;
            Some((has, files.get(*number)?.indices_in(index, unit)))
        });
        let open: Vec<_> = open.collect();
        let lines = if open.is_empty() { return } else { UnitLines::read(info, unit) };
        for (has, indices) in open {
            if statements(&lines, &indices).next().is_some() {
                has.store(true, Ordering::Relaxed);
            }
        }
    });
    have.into_iter().map(AtomicBool::into_inner).collect()
}

/// The rows of a file, by its indices, where statements start.
fn statements<'l>(lines: &'l UnitLines, indices: &'l [u64]) -> impl Iterator<Item = &'l Row> {
    let rows = lines.sequences().flatten();
    rows.filter(|row| row.is_stmt && !row.end_sequence && indices.contains(&u64::from(row.file)))
}

/// The lines of a file that have code.
pub fn lines_with_code(info: &DebugInfo, file: &SourceFile) -> BTreeSet<u64> {
    let found = scan::units(
        info,
        &file.unit_indices(),
        Read::Lines,
        |found: &mut BTreeSet<u64>, index, unit| {
            let lines = UnitLines::read(info, unit);
            let indices = file.indices_in(index, unit);
            found.extend(statements(&lines, &indices).map(|row| u64::from(row.line)));
        },
    );
    let mut lines: BTreeSet<u64> = found.into_iter().flatten().collect();
    lines.remove(&0);
    lines
}

/// The sites of a line, by address, each with the function or inlined copy that the line is of:
/// the DIE in the unit of the address; `None` for assembly.
pub type Sites = BTreeMap<Svma, Option<UnitOffset>>;

/// The sites of a line.
pub fn sites(info: &DebugInfo, file: &SourceFile, line: u64) -> Arc<Sites> {
    info.sites().answer(&format!("{}:{line}", file.path), || {
        let mut sites = Sites::new();
        for index in units_of_line(info, file, line) {
            let Some(unit) = info.unit(index) else { continue };
            let indices = file.indices_in(index, unit);
            let is_line = |(file, at)| at == line && indices.contains(&file);
            let functions = functions_with(info, index, &is_line);
            let key = |place| is_line(place).then_some(());
            let found = Blocks::new(&key).read(info, index, &functions);
            sites.extend(found.into_iter().map(|site| (site.svma, site.scope)));
        }
        sites
    })
}

/// The units that have code of a line, their own or inlined by a call on it. A file may be
/// mentioned in all of them.
fn units_of_line(info: &DebugInfo, file: &SourceFile, line: u64) -> BTreeSet<UnitIndex> {
    type Found = BTreeSet<UnitIndex>;
    let found = scan::units(
        info,
        &file.unit_indices(),
        Read::WithLines,
        |found: &mut Found, index, unit| {
            let indices = file.indices_in(index, unit);
            let is_line = |(file, at)| at == line && indices.contains(&file);
            let lines = UnitLines::read(info, unit);
            let mut rows = lines.sequences().flatten();
            if rows.any(|row| is_line((u64::from(row.file), u64::from(row.line))))
                || !functions::calling(unit, &is_line).is_empty()
            {
                found.insert(index);
            }
        },
    );
    found.into_iter().flatten().collect()
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
    /// The function or inlined copy that the line is of; `None` for assembly.
    pub scope: Option<UnitOffset>,
}

/// File (index in the unit's line table) and line.
type Place = (u64, u64);

/// The sites of all lines of a function and of what is inlined into it, in any order. Of several
/// indices that the unit has for one file they bear the first one.
pub fn of_function(
    info: &DebugInfo,
    index: UnitIndex,
    function: UnitOffset,
) -> Vec<LineSite<Place>> {
    let Some(unit) = info.unit(index) else { return Vec::new() };
    let mut firsts: HashMap<String, u64> = HashMap::new();
    let paths = paths(unit).into_iter();
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
    info: &DebugInfo,
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
    let calling = info.unit(index).map(|unit| functions::calling(unit, is_line));
    let offsets = functions.offsets();
    found.extend(calling.into_iter().flatten().map(|offset| (Some(offset), Arc::default())));
    found.retain(|function, _| function.is_none_or(|function| offsets.contains(&function)));
    for (function, scopes) in &mut found {
        if let Some(offset) = function {
            *scopes = info.scopes(index, *offset);
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
    scope: Option<UnitOffset>,
}

impl<'k, Line: PartialEq> Blocks<'k, Line> {
    fn new(key: &'k dyn Fn(Place) -> Option<Line>) -> Self {
        Self { key, open: HashMap::new(), sites: Vec::new() }
    }

    /// Follows the rows of a unit through some of its functions.
    fn read(
        mut self,
        info: &DebugInfo,
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
            let die = scopes.list.get(scope).map(|scope| scope.offset);
            let block = self.open.entry((function, scope)).or_insert_with(|| Block::other(die));
            if has_line && (block.end != row.svma.0 || block.line != line) {
                let inlined = (depth > 0 && row.is_stmt).then_some((row.svma, depth));
                let next = Block { line, inlined, ..Block::other(die) };
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
    fn other(scope: Option<UnitOffset>) -> Self {
        Self { end: 0, line: None, own: None, inlined: None, scope }
    }

    fn site(self) -> Option<LineSite<Line>> {
        let (svma, depth) = self.own.map(|svma| (svma, 0)).or(self.inlined)?;
        Some(LineSite { line: self.line?, svma, depth, scope: self.scope })
    }
}
