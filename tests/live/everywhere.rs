//! Every byte of a function with many kinds of instructions: a place is refused or it is probed, and
//! either way the function does what it did.

use std::collections::BTreeMap;
use tracer_core::engine::Engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::Event;
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{self, accompany, request};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// Instructions that a uprobe breaks on every kernel, as they are shown.
const REFUSED: [&str; 6] = ["lock inc", "popfq", "pushfq", "rep stosb", "syscall", "ud2"];
/// One that some kernels break: refused where the self-test found that.
const NOP: &str = "nop ";
/// The other instructions of the function.
const TAKEN: usize = 28;

/// Probes one byte. Gives what is said where it is refused.
fn probe(engine: &Engine, target: &mut RunningTarget, offset: u64) -> Result<u64, Issue> {
    let request = request(target.pid(), &format!("everywhere+{offset}")).unwrap();
    let mut captures = 0;
    let mut count = |event, _: &_| captures += u64::from(matches!(event, Event::Capture { .. }));
    match accompany(engine, &request, target, 1, &mut count) {
        Ok(summary) => {
            assert_eq!(summary.text_restored, Some(true), "+{offset}: {summary:?}");
            Ok(captures)
        }
        Err(error) => match error.downcast().unwrap() {
            EngineError::Issue(issue) => Err(issue),
            other => panic!("+{offset}: {other}"),
        },
    }
}

/// SAFE-2
#[test]
fn what_is_refused_and_what_is_taken_leaves_the_target_as_it_is() {
    require().unwrap();
    let mut target = Target::c("everywhere", "gcc", &["-O1"]).unwrap().start(&[]).unwrap();
    let engine = snapshot::engine();
    let (mut refused, mut taken) = (BTreeMap::new(), Vec::new());
    for offset in 0.. {
        match probe(&engine, &mut target, offset) {
            Ok(captures) => {
                assert_eq!(captures, 1, "+{offset}");
                taken.push(offset);
            }
            Err(issue) if issue.kind == IssueKind::RefusedInstruction => {
                refused.insert(issue.detail, offset);
            }
            Err(issue) if issue.kind == IssueKind::NotOnInstruction => {}
            Err(issue) => {
                assert_eq!(issue.kind, IssueKind::BadLocation, "+{offset}: {issue}");
                break;
            }
        }
        require_as_in_files(target.pid()).unwrap();
        let before = target.count;
        assert_eq!(target.go().unwrap(), before + 2, "+{offset}");
    }
    println!("taken: {taken:?}\nrefused: {refused:#?}");
    let all = refused.len() + taken.len();
    refused.retain(|told, _| !told.starts_with(NOP));
    for (told, name) in refused.keys().zip(REFUSED) {
        assert!(told.starts_with(name), "{told}, not {name}");
    }
    assert_eq!((refused.len(), all), (REFUSED.len(), REFUSED.len() + 1 + TAKEN));
    target.finish().unwrap();
}
