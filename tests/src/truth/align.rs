//! What a variable holds and what it held, or what it was computed from, at the entry of its
//! function are two things: `x` and `x@entry`. tracer shows one of them, gdb one or both. What
//! tracer says it read after the hit may have changed since the hit.

use super::leaf::{Leaf, Leaves, View, is_part};

const AT_ENTRY: &str = "@entry";

/// The leaves of two views, such that each variable is one of the two in both.
pub fn aligned(ours: &View, gdb: &View) -> (Leaves, Leaves) {
    let (mut mine, mut theirs) = (ours.leaves.clone(), gdb.leaves.clone());
    for now in ours.variables.union(&gdb.variables) {
        let entry = &format!("{now}{AT_ENTRY}");
        match (has(&mine, entry), has(&theirs, entry)) {
            (true, true) => theirs.retain(|path, _| !is_value(path, now)),
            (true, false) => only_here(&mut mine, &mut theirs, now, entry),
            (false, true) if shows(&theirs, now) || shows(&mine, now) => {
                theirs.retain(|path, _| !is_part(path, entry));
            }
            (false, true) => {
                theirs.retain(|path, _| !is_value(path, now));
                rename(&mut mine, now, entry);
            }
            (false, false) => {}
        }
    }
    for late in &ours.late {
        let has_changed = |(path, leaf): (&String, &Leaf)| {
            let other = theirs.get(path).filter(|other| other.is_there() && leaf.is_there());
            is_part(path, late) && other.is_some_and(|other| other != leaf)
        };
        if mine.iter().any(has_changed) {
            // None of it can be told to be of the hit.
            mine.retain(|path, _| !is_part(path, late));
            let why = "read after the hit, when it was another value";
            mine.insert(late.clone(), Leaf::Missing(why.to_owned()));
        }
    }
    (mine, theirs)
}

/// Only tracer has the value at the entry. gdb does not say of a value of now that debug info
/// states it by that.
fn only_here(mine: &mut Leaves, theirs: &mut Leaves, now: &str, entry: &str) {
    if !shows(theirs, now) {
        rename(theirs, now, entry);
        return;
    }
    let part = |path: &str| path.strip_prefix(entry).map(|rest| format!("{now}{rest}"));
    let same = mine.iter().all(|(path, leaf)| {
        let theirs = part(path).and_then(|path| theirs.get(&path));
        theirs.is_none_or(|other| other == leaf || !other.is_there() || !leaf.is_there())
    });
    if same {
        rename(mine, entry, now);
    } else {
        mine.retain(|path, _| !is_part(path, entry));
        let why = Leaf::Missing("only the value at the entry".to_owned());
        mine.insert(now.to_owned(), why);
    }
}

/// Whether there is any leaf of a value, at the entry or now.
fn has(leaves: &Leaves, of: &str) -> bool {
    leaves.keys().any(|path| is_value(path, of))
}

/// Whether there is a value, or a part of one.
fn shows(leaves: &Leaves, of: &str) -> bool {
    leaves.iter().any(|(path, leaf)| is_value(path, of) && leaf.is_there())
}

/// A part of the one of the two values that is meant.
fn is_value(path: &str, of: &str) -> bool {
    is_part(path, of) && !path.get(of.len()..).is_some_and(|rest| rest.starts_with('@'))
}

fn rename(leaves: &mut Leaves, from: &str, to: &str) {
    let renamed = |(path, leaf): (String, Leaf)| {
        let rest = path.strip_prefix(from).filter(|_| is_value(&path, from));
        (rest.map_or(path.clone(), |rest| format!("{to}{rest}")), leaf)
    };
    *leaves = std::mem::take(leaves).into_iter().map(renamed).collect();
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

    fn check(ours: &[(&str, Option<i128>)], gdb: &[(&str, Option<i128>)], expected: [&str; 2]) {
        let text = |leaves: Leaves| {
            let text = |(path, leaf): (&String, &Leaf)| {
                let sign = if leaf.is_there() { "" } else { "?" };
                format!("{}{sign}", path.trim_start_matches("#0 "))
            };
            leaves.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        let (mine, theirs) = aligned(&view(ours), &view(gdb));
        assert_eq!([text(mine), text(theirs)], expected, "{ours:?} {gdb:?}");
    }

    #[test]
    fn a_value_at_the_entry_is_compared_with_such_a_value() {
        let (entry, now, missing) = (("#0 x@entry", Some(1)), ("#0 x", Some(2)), ("#0 x", None));
        check(&[entry], &[entry, now], ["x@entry", "x@entry"]);
        check(&[entry], &[entry, missing], ["x@entry", "x@entry"]);
        check(&[entry], &[missing], ["x@entry", "x@entry?"]);
        check(&[missing], &[entry, missing], ["x@entry?", "x@entry"]);
        check(&[missing], &[entry, now], ["x?", "x"]);
        check(&[now], &[entry, missing], ["x", "x?"]);
        check(&[now], &[entry, now], ["x", "x"]);
    }

    #[test]
    fn a_value_of_now_may_be_stated_by_what_was_passed() {
        let (a, b) = (("#0 x@entry.a", Some(1)), ("#0 x@entry.b", None));
        check(&[a, b], &[("#0 x.a", Some(1))], ["x.a x.b?", "x.a"]);
        check(&[a, b], &[("#0 x.a", Some(2))], ["x?", "x.a"]);
    }

    #[test]
    fn an_object_that_changed_until_it_was_read_is_missing() {
        let late = BTreeSet::from(["#0 x.*".to_owned()]);
        let leaves = [("#0 x", Some(1)), ("#0 x.*.a", Some(2)), ("#0 x.*.b", Some(3))];
        let ours = View { late, ..view(&leaves) };
        assert_eq!(aligned(&ours, &view(&leaves)).0, ours.leaves);
        let changed = view(&[("#0 x", Some(1)), ("#0 x.*.a", Some(2)), ("#0 x.*.b", Some(4))]);
        let paths: Vec<String> = aligned(&ours, &changed).0.into_keys().collect();
        assert_eq!(paths, ["#0 x", "#0 x.*"]);
    }
}
