//! What the comparison of a program gave, for people and for machines.

use super::compare::{Comparison, Counts, sum};
use super::leaf::Leaf;
use super::variables::Variables;
use serde_json::{Value, json};
use std::fmt;

/// What the comparison of one build gave.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Program and build.
    pub name: String,
    /// Hits that were compared.
    pub hits: usize,
    /// The leaves of the variables.
    pub counts: Counts,
    /// Registers and stack.
    pub context: Counts,
    /// The variables in scope at these hits.
    pub variables: Variables,
    /// Each hit: the location with the number of the hit, and what was found.
    pub comparisons: Vec<(String, Comparison)>,
    /// By location, whether a hit of it was compared.
    pub was_hit: Vec<bool>,
    /// Locations that could not be probed, and hits that gdb did not see.
    pub problems: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<18} {:>3} hits {} | variables: tracer {} gdb {}",
            self.name,
            self.hits,
            self.counts,
            self.variables.declared.tracer,
            self.variables.declared.gdb
        )
    }
}

impl Report {
    /// The object that `--json` prints of a program.
    pub fn json(&self) -> Value {
        let counts = &self.counts;
        json!({
            "program": self.name,
            "points": self.hits,
            "leaves": counts.leaves(),
            "equal": counts.equal,
            "both_unavailable": counts.both_missing,
            "only_tracer": sum(&counts.only_ours),
            "only_gdb": sum(&counts.only_gdb),
            "different": self.different(),
            "disputed": sum(&counts.disputed),
            "variables": self.variables.declared.in_scope,
            "variables_tracer": self.variables.declared.tracer,
            "variables_gdb": self.variables.declared.gdb,
            "undeclared": self.variables.undeclared.in_scope,
            "undeclared_tracer": self.variables.undeclared.tracer,
            "undeclared_gdb": self.variables.undeclared.gdb,
        })
    }

    /// How many values differ.
    pub fn different(&self) -> usize {
        self.counts.different + self.context.different
    }

    /// Every leaf that differs, and the reasons why one of the two shows nothing, with how often
    /// and an example each.
    pub fn details(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text += &format!("    {problem}\n");
        }
        for (hit, comparison) in &self.comparisons {
            for difference in &comparison.different {
                text += &format!("    different at {hit}\n        {difference}\n");
            }
        }
        for (who, by) in [
            ("only tracer", &self.counts.only_ours),
            ("only gdb", &self.counts.only_gdb),
            ("only tracer, of the stack:", &self.context.only_ours),
            ("only gdb, of the stack:", &self.context.only_gdb),
        ] {
            for (reason, count) in by {
                let example = self.example(reason).unwrap_or_default();
                text += &format!("    {who} {count} {reason}, as {example}\n");
            }
        }
        for (why, count) in &self.counts.disputed {
            text += &format!("    disputed {count}: {why}\n");
        }
        text
    }

    /// Every value that only gdb shows.
    pub fn only_gdb(&self) -> String {
        let mut text = String::new();
        for (hit, comparison) in &self.comparisons {
            for difference in comparison.one_sided.iter().filter(|one| one.gdb.is_there()) {
                text += &format!("    only gdb at {hit}\n        {difference}\n");
            }
        }
        text
    }

    fn example(&self, reason: &str) -> Option<String> {
        self.comparisons.iter().find_map(|(hit, comparison)| {
            let mut found = comparison.one_sided.iter();
            let found = found.find(|difference| {
                [&difference.ours, &difference.gdb]
                    .into_iter()
                    .any(|leaf| matches!(leaf, Leaf::Missing(why) if why == reason))
            });
            found.map(|difference| format!("{difference} ({hit})"))
        })
    }
}
