//! Locations that mean nothing, several things, or a place where no probe may go.

use super::{refused_at, start, taken};
use tracer_core::model::issue::IssueKind;
use tracer_tests::privilege::require;
use tracer_tests::project;
use tracer_tests::targets::{RunningTarget, Target};

fn counter() -> (Target, RunningTarget) {
    require().unwrap();
    let target = super::counter();
    let running = start(&target);
    (target, running)
}

fn places() -> RunningTarget {
    require().unwrap();
    let other = project::root().join("tests/targets/c/twin.c");
    let target = Target::c("places", "gcc", &["-O2", other.to_str().unwrap()]).unwrap();
    target.start(&[]).unwrap()
}

#[test]
fn words_that_are_no_location() {
    let (_, mut target) = counter();
    for text in ["", "*counted", "*0xzz", "counter.c:0", "counted+99999999999999999999", "libc!"] {
        refused_at(&mut target, text, IssueKind::BadLocation);
    }
}

#[test]
fn an_unknown_function() {
    let (_, mut target) = counter();
    let told = refused_at(&mut target, "countd", IssueKind::NoFunction);
    assert!(told.candidates.iter().any(|name| name == "counted"), "{told:?}");
    let told = refused_at(&mut target, "nothing.so!counted", IssueKind::NoFunction);
    assert!(told.detail.contains("libc.so.6"), "{told:?}");
    taken(&mut target, "counted");
}

#[test]
fn a_line_without_code() {
    let (program, mut target) = counter();
    let code = program.line("atomic_fetch_add_explicit").unwrap();
    // The line above is the function's head, the one above that is its attribute.
    let comment = program.line("On each \"go\" all threads start").unwrap();
    let told = refused_at(&mut target, &format!("counter.c:{comment}"), IssueKind::NoLine);
    assert!(!told.candidates.is_empty(), "{told:?}");
    let empty = program.line("static pthread_barrier_t start").unwrap() + 1;
    let told = refused_at(&mut target, &format!("counter.c:{empty}"), IssueKind::NoLine);
    let near = told.candidates.iter().find(|line| line.ends_with(&format!(":{code}")));
    // What is offered works.
    taken(&mut target, near.unwrap_or_else(|| panic!("{told:?}")));
    refused_at(&mut target, "counter.c:99999", IssueKind::NoLine);
    let told = refused_at(&mut target, &format!("conter.c:{code}"), IssueKind::NoLine);
    assert!(told.candidates.contains(&format!("counter.c:{code}")), "{told:?}");
}

#[test]
fn an_ambiguous_name() {
    let mut target = places();
    let told = refused_at(&mut target, "twin", IssueKind::Ambiguous);
    assert_eq!(told.candidates.len(), 2, "{told:?}");
    for candidate in &told.candidates {
        let lines = taken(&mut target, candidate);
        assert_eq!(lines[0]["frames"][0]["function"], "twin", "{candidate}");
    }
    let caller = |lines: Vec<serde_json::Value>| lines[0]["frames"][1]["function"].clone();
    let mut callers: Vec<String> = told
        .candidates
        .iter()
        .map(|candidate| caller(taken(&mut target, candidate)).as_str().unwrap().to_owned())
        .collect();
    callers.sort();
    assert_eq!(callers, ["other_twins", "twins"]);
}

#[test]
fn an_address_inside_an_instruction() {
    let mut target = places();
    for offset in 1..5 {
        let location = format!("own_getpid+{offset}");
        refused_at(&mut target, &location, IssueKind::NotOnInstruction);
    }
    refused_at(&mut target, "own_getpid+6", IssueKind::NotOnInstruction);
    let outside = refused_at(&mut target, "own_getpid+8", IssueKind::BadLocation);
    assert!(outside.detail.contains("0x8 bytes"), "{outside:?}");
    taken(&mut target, "own_getpid");
    taken(&mut target, "own_getpid+7");
}

#[test]
fn an_instruction_that_is_refused() {
    let mut target = places();
    let told = refused_at(&mut target, "own_getpid+5", IssueKind::RefusedInstruction);
    assert!(told.all().contains("syscall"), "{told:?}");
}

#[test]
fn an_address_where_nothing_is_mapped() {
    let (_, mut target) = counter();
    refused_at(&mut target, "*0x10", IssueKind::NotMapped);
    refused_at(&mut target, "*0xffffffffff600000", IssueKind::NotMapped);
    refused_at(&mut target, "*0xdead000000000000", IssueKind::NotMapped);
}
