//! The variables in scope at the hits: how many each of the two shows a value of, and why tracer does
//! not show the others.
//!
//! One that is declared on a line that was not reached yet is not in scope by the rules of the
//! language, though debug info has it in the whole block: what is at its place then is no value of
//! it. Such ones are counted by themselves, whether a side shows something there or not; gdb tells
//! which they are.

use super::leaf::View;
use std::collections::BTreeMap;
use std::fmt;

/// How many there are, and of how many there is a value.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Count {
    /// In scope.
    pub in_scope: usize,
    /// tracer shows a value, or a part of one.
    pub tracer: usize,
    /// gdb does.
    pub gdb: usize,
}

impl Count {
    fn add(&mut self, tracer: bool, gdb: bool) {
        self.in_scope += 1;
        self.tracer += usize::from(tracer);
        self.gdb += usize::from(gdb);
    }
}

/// The variables in scope at some hits.
#[derive(Clone, Default, Debug)]
pub struct Variables {
    /// In scope by the rules of the language.
    pub declared: Count,
    /// Not declared yet.
    pub undeclared: Count,
    /// Of `declared`, those that tracer does not show, by its reason.
    by_reason: BTreeMap<String, Count>,
}

impl Variables {
    /// Adds those of a hit.
    pub fn add(&mut self, ours: &View, gdb: &View) {
        for path in ours.variables.union(&gdb.variables) {
            // What gdb was told to look for at another pc it does not show by itself.
            let shown = (ours.shows(path), gdb.shows_itself(path));
            if gdb.undeclared.contains(path) {
                self.undeclared.add(shown.0, shown.1);
                continue;
            }
            self.declared.add(shown.0, shown.1);
            if !shown.0 {
                let of_parts = || "only parts of it are known by their reasons".to_owned();
                let absent = || "not in debug info as tracer reads it".to_owned();
                let known = ours.variables.contains(path);
                let reason = ours.reasons.get(path).cloned();
                let reason = reason.unwrap_or_else(|| if known { of_parts() } else { absent() });
                self.by_reason.entry(reason).or_default().add(shown.0, shown.1);
            }
        }
    }
}

impl fmt::Display for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, Count { in_scope, tracer, gdb }) in
            [("variables", self.declared), ("not declared yet", self.undeclared)]
        {
            writeln!(f, "    {what}: {in_scope} in scope, tracer {tracer}, gdb {gdb}")?;
        }
        let mut by_reason: Vec<_> = self.by_reason.iter().collect();
        by_reason.sort_by_key(|(_, count)| std::cmp::Reverse(count.in_scope));
        for (reason, Count { in_scope, gdb, .. }) in by_reason {
            writeln!(f, "    {in_scope:>6} not shown, {gdb:>4} by gdb: {reason}")?;
        }
        Ok(())
    }
}
