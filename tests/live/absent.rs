//! Memory that can't be read at a hit: missing with the right reason, never empty, never zero
//! unless it is, and never a harm to the values beside it. What is found later is in `late.rs`.

use std::collections::BTreeMap;
use tracer_core::model::reason::ReasonCode;
use tracer_tests::flat::{Leaf, flatten};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::Target;

/// One capture of `absent`, built at this level.
fn leaves(level: &str) -> BTreeMap<String, Leaf> {
    require().unwrap();
    let target = Target::c("absent", "gcc", &[level]).unwrap();
    let once = |_| {
        let mut running = target.start(&[]).unwrap();
        let request = request(running.pid(), "absent").unwrap();
        let snapshot = take(&request, &mut running).unwrap();
        assert_eq!(snapshot.captures.len(), 1, "{:?}", snapshot.summary);
        assert_eq!(snapshot.summary.text_restored, Some(true));
        // The pages are not harmed: the target sets them up anew and works.
        running.go().unwrap();
        running.finish().unwrap();
        flatten(&snapshot.captures[0].frames[0].variables)
    };
    // On a busy machine what is read after the hit may not be in time.
    let is_late = |leaf: &Leaf| *leaf == Leaf::Missing(ReasonCode::TooLate);
    let in_time = (0..5).map(once).find(|leaves| !leaves.values().any(is_late));
    in_time.expect("too late, five times")
}

fn check(level: &str) {
    let leaves = leaves(level);
    for (path, leaf) in &leaves {
        println!("{level}: {path}: {leaf:?}");
    }
    let leaf = |path: &str| leaves.get(path).unwrap_or_else(|| panic!("no {path}: {leaves:#?}"));
    let is = |path: &str, text: &str| assert_eq!(leaf(path), &Leaf::Is(text.to_owned()), "{path}");
    let missing = |path, why| assert_eq!(leaf(path), &Leaf::Missing(why), "{path}");

    // A constant that nobody has touched is in the file.
    is("places->untouched", "\"a string constant that nothing has touched\"");
    is("untouched", "\"a string constant that nothing has touched\"");
    is("*places->never_written", "0");
    missing("*places->unmapped", ReasonCode::Unmapped);
    missing("*places->no_access", ReasonCode::NoAccess);
    missing("*places->wild", ReasonCode::Unmapped);
    missing("*wild", ReasonCode::Unmapped);

    is("places->touched", "\"a string constant that the argument list touches\"");
    is("places->null", "null");
    // Up to the fault all is there, and the fault is named.
    is("places->cut", "\"yyyy\" of 4+");
    is("(*places->half)[0]", &u64::from_ne_bytes(*b"yyyyyyyy").to_string());
    missing("(*places->half)[1]…", ReasonCode::Unmapped);
}

#[test]
fn unoptimised() {
    check("-O0");
}

#[test]
fn optimised() {
    check("-O2");
}
