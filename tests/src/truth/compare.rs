//! Two views of the same hit, leaf by leaf.

use super::leaf::{Leaf, Leaves, parent};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

/// How many leaves agree.
#[derive(Clone, Default, Debug)]
pub struct Counts {
    /// Both show the same value.
    pub equal: usize,
    /// Neither shows a value.
    pub both_missing: usize,
    /// Only tracer shows a value, by gdb's reason.
    pub only_ours: BTreeMap<String, usize>,
    /// Only gdb shows a value, by our reason.
    pub only_gdb: BTreeMap<String, usize>,
    /// The values differ, and it is proven why, by that.
    pub disputed: BTreeMap<String, usize>,
    /// The values differ.
    pub different: usize,
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.equal += other.equal;
        self.both_missing += other.both_missing;
        self.different += other.different;
        for (mine, theirs) in [
            (&mut self.only_ours, &other.only_ours),
            (&mut self.only_gdb, &other.only_gdb),
            (&mut self.disputed, &other.disputed),
        ] {
            for (reason, count) in theirs {
                *mine.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

impl Counts {
    /// All leaves.
    pub fn leaves(&self) -> usize {
        let by_reason = sum(&self.only_ours) + sum(&self.only_gdb) + sum(&self.disputed);
        self.equal + self.both_missing + self.different + by_reason
    }
}

/// How many there are for all reasons together.
pub fn sum(by_reason: &BTreeMap<String, usize>) -> usize {
    by_reason.values().sum()
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7} equal {:>5} both unavailable {:>5} only tracer {:>5} only gdb {:>4} disputed \
             {:>3} different",
            self.equal,
            self.both_missing,
            sum(&self.only_ours),
            sum(&self.only_gdb),
            sum(&self.disputed),
            self.different
        )
    }
}

/// A leaf on which the two do not agree.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Where.
    pub path: String,
    /// What tracer says.
    pub ours: Leaf,
    /// What gdb says.
    pub gdb: Leaf,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: tracer {}, gdb {}", self.path, self.ours, self.gdb)
    }
}

/// The counts of one hit, the leaves that differ, and those that only one of the two shows.
#[derive(Clone, Default, Debug)]
pub struct Comparison {
    /// How many of each kind.
    pub counts: Counts,
    /// Both show a value, but not the same.
    pub different: Vec<Difference>,
    /// One shows a value.
    pub one_sided: Vec<Difference>,
}

/// Tells why the two values at a path may differ.
pub type Verdict<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// Compares.
///
/// A value that is missing as a whole on one side counts once, however many leaves it has on the
/// other.
pub fn compare(ours: &Leaves, gdb: &Leaves, verdict: &Verdict<'_>) -> Comparison {
    let mut result = Comparison::default();
    for (path, mine) in ours {
        if let Some(theirs) = gdb.get(path) {
            result.pair(path, mine, theirs, verdict);
        }
    }
    for (path, leaf) in alone(gdb, ours) {
        let mine = ours.get(path).cloned().unwrap_or_else(absent);
        result.one_side(Difference { path: path.to_owned(), ours: mine, gdb: leaf });
    }
    for (path, leaf) in alone(ours, gdb) {
        let theirs = gdb.get(path).cloned().unwrap_or_else(absent);
        result.one_side(Difference { path: path.to_owned(), ours: leaf, gdb: theirs });
    }
    result
}

fn absent() -> Leaf {
    Leaf::Missing("absent".to_owned())
}

/// What `here` has and `there` has not, by the outermost value that is missing `there`; each with
/// one of its leaves, one with a value if there is any.
fn alone<'a>(here: &'a Leaves, there: &Leaves) -> BTreeMap<&'a str, Leaf> {
    let mut found: BTreeMap<&str, Leaf> = BTreeMap::new();
    for (path, leaf) in here {
        // The length of an array in a type is known though its elements are not.
        let is_length = path.ends_with(".$length");
        if there.contains_key(path) || is_length || (!leaf.is_there() && has_parts(there, path)) {
            continue;
        }
        let above = std::iter::successors(parent(path), |path| parent(path));
        let missing = above.filter(|path| there.get(*path).is_some_and(|leaf| !leaf.is_there()));
        let slot = found.entry(missing.last().unwrap_or(path)).or_insert_with(|| leaf.clone());
        if !slot.is_there() {
            *slot = leaf.clone();
        }
    }
    found
}

/// Whether there are leaves below a path.
fn has_parts(leaves: &Leaves, path: &str) -> bool {
    let behind = leaves.range(path.to_owned()..).map(|(other, _)| other);
    let mut parts = behind.take_while(|other| other.starts_with(path));
    parts.any(|other| other.get(path.len()..).is_some_and(|rest| rest.starts_with(['.', '['])))
}

impl Comparison {
    fn pair(&mut self, path: &str, ours: &Leaf, gdb: &Leaf, verdict: &Verdict<'_>) {
        let difference =
            || Difference { path: path.to_owned(), ours: ours.clone(), gdb: gdb.clone() };
        if !ours.is_there() || !gdb.is_there() {
            self.one_side(difference());
        } else if ours == gdb {
            self.counts.equal += 1;
        } else if let Some(why) = verdict(path) {
            *self.counts.disputed.entry(why.to_owned()).or_default() += 1;
        } else {
            self.counts.different += 1;
            self.different.push(difference());
        }
    }

    /// At most one of the two has a value.
    fn one_side(&mut self, difference: Difference) {
        let (by, reason) = match (&difference.ours, &difference.gdb) {
            (Leaf::Missing(_), Leaf::Missing(_)) => {
                self.counts.both_missing += 1;
                return;
            }
            (Leaf::Missing(why), _) => (&mut self.counts.only_gdb, why),
            (_, Leaf::Missing(why)) => (&mut self.counts.only_ours, why),
            _ => return,
        };
        *by.entry(reason.clone()).or_default() += 1;
        self.one_sided.push(difference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(list: &[(&str, Option<i128>)]) -> Leaves {
        let leaf = |value: &Option<i128>| match value {
            Some(number) => Leaf::Number(*number),
            None => Leaf::Missing("why".to_owned()),
        };
        list.iter().map(|(path, value)| ((*path).to_owned(), leaf(value))).collect()
    }

    fn check(ours: &[(&str, Option<i128>)], gdb: &[(&str, Option<i128>)], expected: [usize; 5]) {
        let verdict = |path: &str| path.ends_with(".time").then_some("a time");
        let found = compare(&leaves(ours), &leaves(gdb), &verdict).counts;
        let counts = [
            found.equal,
            found.both_missing,
            found.only_ours.values().sum(),
            found.only_gdb.values().sum(),
            found.different,
        ];
        assert_eq!(counts, expected, "{ours:?} {gdb:?}");
    }

    #[test]
    fn each_leaf_is_of_one_kind() {
        check(&[("#0 a", Some(1))], &[("#0 a", Some(1))], [1, 0, 0, 0, 0]);
        check(&[("#0 a", None)], &[("#0 a", None)], [0, 1, 0, 0, 0]);
        check(&[("#0 a", Some(1))], &[("#0 a", None)], [0, 0, 1, 0, 0]);
        check(&[("#0 a", None)], &[("#0 a", Some(1))], [0, 0, 0, 1, 0]);
        check(&[("#0 a", Some(1))], &[("#0 a", Some(2))], [0, 0, 0, 0, 1]);
        check(&[("#0 a", Some(1))], &[], [0, 0, 1, 0, 0]);
        check(&[("#0 a.time", Some(1))], &[("#0 a.time", Some(2))], [0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_value_that_is_missing_as_a_whole_counts_once() {
        let parts = [("#0 a.x", Some(1)), ("#0 a.y[0]", Some(2)), ("#0 ab", Some(3))];
        let none = [("#0 a.x", None), ("#0 a.y[0]", None), ("#0 ab", Some(3))];
        let whole = [("#0 a", None), ("#0 ab", Some(3))];
        check(&whole, &parts, [1, 0, 0, 1, 0]);
        check(&parts, &whole, [1, 0, 1, 0, 0]);
        check(&whole, &none, [1, 1, 0, 0, 0]);
    }
}
