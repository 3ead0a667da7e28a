//! Arguments that are gone where the probe is: what the callers passed, labelled so, or nothing.

use std::collections::BTreeMap;
use tracer_core::model::capture::{Capture, Provenance};
use tracer_tests::flat::{Leaf, flatten};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::Target;

/// The captures of a line in a build of the target.
fn captures(target: &Target, mark: &str, hits: u64) -> Vec<Capture> {
    let mut running = target.start(&[]).unwrap();
    let line = target.line(&format!("/* {mark} */")).unwrap();
    let mut request = request(running.pid(), &format!("entry_values.c:{line}")).unwrap();
    request.hits = hits;
    // What callers tell, and not what a breakpoint at the entry kept.
    request.entry_probe = false;
    let snapshot = take(&request, &mut running).unwrap();
    assert_eq!(snapshot.summary.text_restored, Some(true));
    running.finish().unwrap();
    snapshot.captures
}

/// A variable's own value and where it came from.
fn shown(capture: &Capture, name: &str) -> (Leaf, Provenance) {
    let variables = &capture.frames[0].variables;
    let leaves: BTreeMap<String, Leaf> = flatten(variables);
    let variable = variables.iter().find(|variable| variable.name == name).unwrap();
    (leaves[name].clone(), variable.provenance)
}

fn callers(capture: &Capture) -> Vec<&str> {
    capture.frames.iter().skip(1).filter_map(|frame| frame.function.as_deref()).collect()
}

/// SEM-7
fn check(compiler: &str, version: &str) {
    require().unwrap();
    let flags = ["-O2", "-fno-pie", "-no-pie", version];
    let target = Target::c("entry_values", compiler, &flags).unwrap();
    let entry = |text: &str| (Leaf::Is(text.to_owned()), Provenance::EntryValue);
    let mut passed = 0;
    let captures_of_leaf = captures(&target, "leaf", 4);
    assert_eq!(captures_of_leaf.len(), 4);
    for capture in &captures_of_leaf {
        let (gone, doubled) = (shown(capture, "gone"), shown(capture, "doubled"));
        println!("{compiler} {version}: {:?}: {gone:?} {doubled:?}", callers(capture));
        match callers(capture)[..] {
            // What `outer` was called with itself is told by `work`.
            ["middle", "outer", ..] => {
                assert_eq!((gone, doubled), (entry("1001"), entry("42")));
                passed += 1;
            }
            // `leaf` was not called by the function that is on the stack.
            ["before_last_step", ..] => {
                assert!(matches!(gone, (Leaf::Missing(_), Provenance::None)), "{gone:?}");
                assert!(matches!(doubled, (Leaf::Missing(_), Provenance::None)), "{doubled:?}");
                passed += 1;
            }
            ["through", ..] => {
                // What the compiler tells of a call through a pointer is not enough everywhere.
                assert!(gone == entry("4007") || gone.1 == Provenance::None, "{gone:?}");
                assert!(doubled == entry("3") || doubled.1 == Provenance::None, "{doubled:?}");
                passed += 1;
            }
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!(passed, 4);
    // The first call is one that `around` describes, but nothing tells it from the others.
    let captures_of_even = captures(&target, "even", 3);
    assert_eq!(captures_of_even.len(), 3);
    for capture in &captures_of_even {
        let gone = shown(capture, "gone");
        assert!(matches!(gone, (Leaf::Missing(_), Provenance::None)), "{gone:?}");
    }
}

#[test]
fn gcc_dwarf_5() {
    check("gcc", "-gdwarf-5");
}

#[test]
fn gcc_dwarf_4() {
    check("gcc", "-gdwarf-4");
}

#[test]
fn clang_dwarf_5() {
    check("clang", "-gdwarf-5");
}
