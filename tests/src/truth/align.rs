//! What a parameter holds and what it held at the entry of its function are two things: `x` and
//! `x@entry`. Each view shows one of them.

use super::leaf::{Leaf, Leaves, View, is_part};

const AT_ENTRY: &str = "@entry";

/// The leaves of two views, such that each variable is one of the two in both: where only one view
/// has the value at the entry, the other has none.
pub fn aligned(ours: &View, gdb: &View) -> (Leaves, Leaves) {
    let (mut mine, mut theirs) = (ours.leaves.clone(), gdb.leaves.clone());
    for variable in ours.variables.union(&gdb.variables) {
        let at_entry = format!("{variable}{AT_ENTRY}");
        match (has(&mine, &at_entry), has(&theirs, &at_entry)) {
            (true, false) => align(&mut mine, &mut theirs, variable),
            (false, true) => align(&mut theirs, &mut mine, variable),
            _ => {}
        }
    }
    (mine, theirs)
}

/// `entry` has the value at the entry, `other` that of now, if any.
fn align(entry: &mut Leaves, other: &mut Leaves, variable: &str) {
    let at_entry = format!("{variable}{AT_ENTRY}");
    match other.get(variable) {
        Some(Leaf::Missing(why)) => {
            let missing = Leaf::Missing(why.clone());
            other.remove(variable);
            other.insert(at_entry, missing);
        }
        None if !has(other, variable) => {}
        _ => {
            entry.retain(|path, _| !is_part(path, &at_entry));
            let why = Leaf::Missing("only the value at the entry".to_owned());
            entry.insert(variable.to_owned(), why);
        }
    }
}

fn has(leaves: &Leaves, of: &str) -> bool {
    let mut behind = leaves.range(of.to_owned()..).take_while(|(path, _)| path.starts_with(of));
    behind.any(|(path, _)| is_part(path, of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn view(list: &[(&str, Option<i128>)]) -> View {
        let leaf = |value: &Option<i128>| match value {
            Some(number) => Leaf::Number(*number),
            None => Leaf::Missing("why".to_owned()),
        };
        let leaves = list.iter().map(|(path, value)| ((*path).to_owned(), leaf(value)));
        View { variables: BTreeSet::from(["#0 x".to_owned()]), ..leaves.collect() }
    }

    fn check(one: &[(&str, Option<i128>)], other: &[(&str, Option<i128>)], expected: [usize; 2]) {
        for (ours, gdb) in [(one, other), (other, one)] {
            let (mine, theirs) = aligned(&view(ours), &view(gdb));
            let both = mine.keys().filter(|path| theirs.contains_key(*path)).count();
            assert_eq!([both, mine.len() + theirs.len()], expected, "{mine:?} {theirs:?}");
        }
    }

    #[test]
    fn a_value_at_the_entry_is_compared_with_such_a_value_only() {
        check(&[("#0 x@entry", Some(1))], &[("#0 x@entry", Some(1))], [1, 2]);
        check(&[("#0 x@entry", Some(1))], &[("#0 x", None)], [1, 2]);
        check(&[("#0 x@entry", Some(1))], &[("#0 x", Some(2))], [1, 2]);
        check(
            &[("#0 x@entry.a", Some(1)), ("#0 x@entry.b", Some(1))],
            &[("#0 x", Some(2))],
            [1, 2],
        );
        check(&[("#0 x@entry", Some(1))], &[("#0 y", Some(2))], [0, 2]);
    }
}
