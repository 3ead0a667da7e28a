//! Where the inlined copies of a function are entered, and what they are inlined into.
//!
//! Debug info gives one entry for a copy (DWARF 5, 2.18 and 3.3.8.2), but where the compiler has
//! copied the code around it once more, by unrolling or peeling a loop or by taking a tail twice, all
//! of that is one copy with several ranges, and each of its calls may come in at another place.

use super::dwarf::{DebugInfo, UnitIndex};
use super::functions::{Declaration, Scope, Scopes, declaration};
use super::lines::{self, Row, source_line};
use crate::model::address::Svma;
use crate::model::resolved::InlinedInto;
use gimli::UnitOffset;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Entries of one copy that are looked for; compilers don't unroll by as much.
const ENTRIES_MAX: usize = 1024;
/// Pieces of code of one copy that are looked at, and statements in them: more are no compiler's.
const RUNS_MAX: usize = 1024;
const STATEMENTS_MAX: usize = 1 << 15;
/// Callers that are named; what is inlined deeper is in nobody's mind.
const CALLERS_MAX: usize = 32;

/// An inlined copy in the function that its code is in.
#[derive(Debug)]
pub struct Instance<'d> {
    info: &'d DebugInfo,
    unit: UnitIndex,
    scopes: Arc<Scopes>,
    index: usize,
}

/// File (index in the unit's line table), line, column.
type Place = (u32, u32, u16);

impl<'d> Instance<'d> {
    /// The copy whose DIE is at `offset` of a unit, with code at `svma`; `None` where there is no such
    /// copy, and for a function itself.
    pub fn find(
        info: &'d DebugInfo,
        unit: UnitIndex,
        offset: UnitOffset,
        svma: Svma,
    ) -> Option<Self> {
        let function = info.functions(unit)?.at(svma)?;
        let scopes = info.scopes(unit, function);
        let index = scopes.list.iter().position(|scope| scope.offset == offset)?;
        scopes.list.get(index)?.parent?;
        Some(Self { info, unit, scopes, index })
    }

    /// The innermost copy that an address is in.
    pub fn at(info: &'d DebugInfo, svma: Svma) -> Option<Self> {
        let function = info.function_at(svma)?;
        let unit = info.index_of(function.unit)?;
        let scopes = info.scopes(unit, function.offset);
        let index = *scopes.at(svma).first()?;
        scopes.list.get(index)?.parent?;
        Some(Self { info, unit, scopes, index })
    }

    /// Its DIE.
    pub fn offset(&self) -> Option<UnitOffset> {
        self.scope().map(|scope| scope.offset)
    }

    /// Where its code is.
    pub fn ranges(&self) -> &[Range<u64>] {
        self.scope().map(|scope| scope.ranges.as_slice()).unwrap_or_default()
    }

    fn scope(&self) -> Option<&Scope> {
        self.scopes.list.get(self.index)
    }

    /// The functions that it is inlined into, from the one that calls it to the one whose code it is
    /// in, each with the line of the call.
    pub fn callers(&self) -> Vec<InlinedInto> {
        let mut callers = Vec::new();
        let Some(unit) = self.info.unit(self.unit) else { return callers };
        let mut scope = self.scope();
        while let Some(inner) = scope
            && let Some(outer) = inner.parent.and_then(|parent| self.scopes.list.get(parent))
            && callers.len() < CALLERS_MAX
        {
            let function = declaration(self.info, self.info.die(unit, outer.offset)).display();
            let line = inner.call.and_then(|(file, line)| source_line(unit, file, line));
            callers.push(InlinedInto { function, line });
            scope = Some(outer);
        }
        callers
    }

    /// Where its calls come in: at least one address for a copy that has code.
    ///
    /// GCC says so in the line table: the statement with the place of the declaration is where a call
    /// comes in. Without that, the first statement's place starts again in another range of a copy
    /// that is one more.
    ///
    /// Where debug info states no entry, `come_in` tells where control comes in from outside of some
    /// ranges: their lowest address may be that of padding, or of what is run last.
    pub fn entries(&self, come_in: impl FnOnce(&[Range<u64>]) -> BTreeSet<Svma>) -> BTreeSet<Svma> {
        let Some(scope) = self.scope() else { return BTreeSet::new() };
        let Some(stated) = scope.entry.map(Svma) else { return BTreeSet::new() };
        let statements = self.statements();
        let marked = self.marked(&statements);
        if marked.contains(&stated) {
            return marked;
        }
        let is_told = scope.is_stated || scope.ranges.len() > RUNS_MAX;
        let found = if is_told { BTreeSet::new() } else { come_in(&scope.ranges) };
        let mut entries = if found.is_empty() { BTreeSet::from([stated]) } else { found };
        let copies: Vec<Svma> =
            entries.iter().flat_map(|entry| self.repeated(*entry, &statements)).collect();
        entries.extend(copies);
        entries
    }

    /// The rows of its code where statements start, by address.
    fn statements(&self) -> Vec<Row> {
        let Some(unit) = self.info.unit(self.unit) else { return Vec::new() };
        let runs = runs(self.ranges());
        if runs.len() > RUNS_MAX {
            return Vec::new();
        }
        let rows = runs
            .iter()
            .flat_map(|range| lines::rows(self.info, unit, Svma(range.start)..Svma(range.end)));
        let mut rows: Vec<Row> = rows
            .filter(|row| row.is_stmt && !row.end_sequence && row.line != 0)
            .take(STATEMENTS_MAX)
            .copied()
            .collect();
        rows.sort_by_key(|row| row.svma);
        rows
    }

    /// The statements that stand where the function is declared.
    fn marked(&self, statements: &[Row]) -> BTreeSet<Svma> {
        let mut marked = BTreeSet::new();
        let Some(unit) = self.info.unit(self.unit) else { return marked };
        let Some(own) = self.scope() else { return marked };
        let declared = declaration(self.info, self.info.die(unit, own.offset));
        let Some(line) = declared.line.as_ref().filter(|_| declared.column != 0) else {
            return marked;
        };
        let is_declared = |row: &&Row| {
            u64::from(row.line) == line.line
                && u64::from(row.column) == declared.column
                && source_line(unit, u64::from(row.file), line.line).as_ref() == Some(line)
        };
        let inner = self.copies_inside(&declared);
        let is_inner = |svma: Svma| {
            own.entry != Some(svma.0)
                && inner.iter().any(|range| (range.start..range.end).contains(&svma.0))
        };
        let found = statements.iter().filter(is_declared).map(|row| row.svma);
        marked.extend(found.filter(|svma| !is_inner(*svma)).take(ENTRIES_MAX));
        marked
    }

    /// The code of copies of the same function that are inlined into this one: a call to itself.
    fn copies_inside(&self, declared: &Declaration<'_>) -> Vec<Range<u64>> {
        let Some(unit) = self.info.unit(self.unit) else { return Vec::new() };
        let list = &self.scopes.list;
        // Outer scopes come first, and what is inside of one directly behind it.
        let mut inside = BTreeSet::from([self.index]);
        let mut ranges = Vec::new();
        for (index, scope) in list.iter().enumerate().skip(self.index + 1) {
            if !scope.parent.is_some_and(|parent| inside.contains(&parent)) {
                break;
            }
            inside.insert(index);
            if declaration(self.info, self.info.die(unit, scope.offset)) == *declared {
                ranges.extend(scope.ranges.iter().cloned());
            }
        }
        ranges
    }

    /// The ranges that start as the copy does: with the statement of its entry, and with at least one
    /// more of those that follow there, if any do. A part that the compiler has only moved away from
    /// the rest has other statements.
    fn repeated(&self, entry: Svma, statements: &[Row]) -> BTreeSet<Svma> {
        let place = |row: &Row| -> Place { (row.file, row.line, row.column) };
        let firsts: BTreeSet<Place> = statements
            .iter()
            .filter(|row| row.svma == entry && row.column != 0)
            .map(place)
            .collect();
        let mut starts: Vec<Svma> = runs(self.ranges()).iter().map(|run| Svma(run.start)).collect();
        starts.retain(|start| {
            statements.iter().any(|row| row.svma == *start && firsts.contains(&place(row)))
        });
        if !starts.contains(&entry) || starts.len() < 2 {
            return BTreeSet::new();
        }
        // What follows each start, up to the next one.
        let part = |start: &Svma| -> BTreeSet<Place> {
            let end = starts.iter().find(|next| *next > start).map_or(u64::MAX, |next| next.0);
            let rows = statements.iter().filter(|row| row.svma >= *start && row.svma.0 < end);
            rows.map(place).filter(|place| !firsts.contains(place)).collect()
        };
        let own = part(&entry);
        let is_copy = |start: &Svma| own.is_empty() || !own.is_disjoint(&part(start));
        starts.iter().copied().filter(is_copy).take(ENTRIES_MAX).collect()
    }
}

/// Ranges by address, those that touch as one.
fn runs(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => runs.push(range),
        }
    }
    runs
}
