//! Memory as a bug leaves it: what can't be true is shown as the numbers that are there, or not at
//! all with the reason; never as something else, and never without end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tracer_core::model::capture::Frame;
use tracer_core::model::limits::Limits;
use tracer_core::model::reason::ReasonCode;
use tracer_tests::flat::{Leaf, flatten};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::{Language, Target};

/// What is shown of one capture, at most: the limits allow a thousand objects.
const LEAVES_MAX: usize = 10_000;
/// From the request to the capture, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The leaves of `corrupted`, taken within some limits.
fn leaves(target: &Target, limits: Limits) -> BTreeMap<String, Leaf> {
    let mut running = target.start(&[]).unwrap();
    let mut request = request(running.pid(), "corrupted").unwrap();
    request.limits = limits;
    let start = Instant::now();
    let snapshot = take(&request, &mut running).unwrap();
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(snapshot.captures.len(), 1, "{:?}", snapshot.summary);
    // In Rust the entry is that of a function of the library too, inlined there.
    let mut frames = snapshot.captures[0].frames.iter();
    let is_own = |frame: &&Frame| frame.function.as_ref().is_some_and(|f| f.ends_with("corrupted"));
    let leaves = flatten(&frames.find(is_own).unwrap().variables);
    assert!(leaves.len() < LEAVES_MAX, "{}", leaves.len());
    running.finish().unwrap();
    leaves
}

/// Fails with everything that is shown otherwise.
fn check(leaves: &BTreeMap<String, Leaf>, shown: &[(&str, &str)], missing: &[(&str, ReasonCode)]) {
    let mut wrong = Vec::new();
    for (path, text) in shown {
        let is = leaves.get(*path) == Some(&Leaf::Is((*text).to_owned()));
        wrong.extend((!is).then(|| format!("{path}: {:?}, not {text}", leaves.get(*path))));
    }
    for (path, reason) in missing {
        let is = leaves.get(*path) == Some(&Leaf::Missing(*reason));
        wrong.extend((!is).then(|| format!("{path}: {:?}, not {reason:?}", leaves.get(*path))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// HOST-1, SEM-1
#[test]
fn memory_that_c_left_behind() {
    require().unwrap();
    let target = Target::c("corrupted", "gcc", &["-O2"]).unwrap();
    let leaves = leaves(&target, Limits::DEFAULT);
    let shown = [
        ("all->null", "null"),
        // A union's members are the same bytes, whichever of them the program meant.
        ("all->word.number", "42"),
        ("all->word.node", "pointer"),
        ("word.number", "42"),
        ("all->freed.number", "-1"),
        ("all->freed.fraction", "NaN"),
        // Numbers that are of no value of their type.
        ("all->seven", "7"),
        ("truth", "7"),
        ("all->colour", "77"),
        ("all->beyond", "1114112"),
        ("all->surrogate", "55296"),
        ("all->low_bits", "7"),
        // Objects that are shown once, in whatever circles they stand.
        ("all->circle->next->next->next", "same as all->circle"),
        ("all->itself->next", "same as all->itself"),
        ("all->deep->next->next->next->number", "3"),
        ("all->misaligned->number", "1229782938247303441"),
        ("all->flexible->length", "1152921504606846976"),
        ("all->flexible->items", "elements"),
        ("all->cut_text", "\"xxxxx\" of 5+"),
        ("all->call", "function"),
    ];
    let missing = [
        ("*all->low", ReasonCode::Unmapped),
        ("*all->kernel", ReasonCode::Unmapped),
        ("*all->non_canonical", ReasonCode::Unmapped),
        ("*all->highest", ReasonCode::Unmapped),
        ("*all->unmapped", ReasonCode::Unmapped),
        // Its first bytes are there.
        ("all->across->number", ReasonCode::Unmapped),
        ("*all->misaligned->next", ReasonCode::Unmapped),
        ("*all->wild_text", ReasonCode::Unmapped),
        ("*all->kernel_text", ReasonCode::Unmapped),
        ("*all->word.node", ReasonCode::Unmapped),
        ("*all->word.text", ReasonCode::Unmapped),
        ("*word.node", ReasonCode::Unmapped),
        ("*all->freed.node", ReasonCode::NotCaptured),
        ("*all->deep->next->next->next->next", ReasonCode::LimitDepth),
    ];
    check(&leaves, &shown, &missing);
    let Some(Leaf::Is(text)) = leaves.get("all->endless_text") else { panic!("no text") };
    let start = format!("\"{}\" of ", "x".repeat(1024));
    assert!(text.starts_with(&start) && text.ends_with('+'), "{text}");
}

/// HOST-1, SEM-1
#[test]
fn memory_that_rust_forbids() {
    require().unwrap();
    let target = Target::of(Language::Rust, "corrupted").unwrap();
    let leaves = leaves(&target, Limits::DEFAULT);
    let shown = [
        ("all->before", "1"),
        // As many elements as may be shown are memory that is there.
        ("*all->slice", "1152921504606846976 elements"),
        ("(*all->slice)[3]", "13"),
        ("all->truth", "7"),
        ("all->plain", "9"),
        ("all->niche.__0", "9"),
        ("all->beyond", "1114112"),
        ("all->surrogate", "55296"),
        ("all->after", "2"),
    ];
    let missing = [
        ("(*all->slice)[100]…", ReasonCode::LimitItems),
        // More elements than there is room for.
        ("all->vector", ReasonCode::Contradiction),
        ("*all->wild", ReasonCode::Unmapped),
        ("*all->boxed", ReasonCode::Unmapped),
        ("all->tagged", ReasonCode::BadDiscriminant),
    ];
    check(&leaves, &shown, &missing);
    for path in ["all->text", "all->string"] {
        let Some(Leaf::Is(text)) = leaves.get(path) else { panic!("no {path}: {leaves:#?}") };
        assert!(text.ends_with("of 1152921504606846976"), "{path}: {text}");
    }
}
