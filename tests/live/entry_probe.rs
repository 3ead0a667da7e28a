//! Arguments that are gone where the probe is, from the breakpoint at the function's entry: each one is
//! that of the very call that was hit, or is not shown.
//!
//! SEM-6

use std::collections::BTreeMap;
use tracer_core::engine::event::{Event, Summary};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::capture::{Capture, Provenance, Variable};
use tracer_core::model::limits::Limits;
use tracer_core::model::reason::ReasonCode;
use tracer_core::model::value::{Typed, Value};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{during, engine, request};
use tracer_tests::targets::{RunningTarget, Target};

/// The arguments of `settle`, all of them gone in its middle.
const ARGUMENTS: [&str; 4] = ["order", "tag", "kind", "deeper"];
/// Enough stack for the registers that the function saved.
const STACK_BYTES: u32 = 256;

struct Dying {
    location: String,
    running: RunningTarget,
}

/// What captures told of the arguments.
#[derive(Default, Debug)]
struct Told {
    captures: u64,
    right: u64,
    unseen: u64,
}

impl Dying {
    fn start(compiler: &str, level: &str, rounds: u64) -> Self {
        require().unwrap();
        let target = Target::c("dying", compiler, &[level]).unwrap();
        let line = target.line("/* the arguments are gone */").unwrap();
        let running = target.start(&[&rounds.to_string()]).unwrap();
        Self { location: format!("dying.c:{line}"), running }
    }

    fn request(&self, hits: u64) -> SnapshotRequest {
        let limits = Limits { stack_bytes: STACK_BYTES, ..Limits::DEFAULT };
        SnapshotRequest { hits, limits, ..request(self.running.pid(), &self.location).unwrap() }
    }
}

fn variables(capture: &Capture) -> BTreeMap<&str, &Variable> {
    let frame = capture.frames.first().unwrap();
    frame.variables.iter().map(|variable| (variable.name.as_str(), variable)).collect()
}

/// The value as a number, an address for a pointer.
fn number(typed: &Typed) -> i128 {
    match &typed.value {
        Value::Signed(number) => *number,
        Value::Unsigned(number) => number.cast_signed(),
        Value::Char { code, .. } => (*code).into(),
        Value::Address(address)
        | Value::Pointer { address, .. }
        | Value::Reference { address, .. } => (*address).into(),
        other => panic!("{other:?}"),
    }
}

impl Told {
    /// Compares each argument with the call's own note of it.
    fn add(&mut self, capture: &Capture) {
        let variables = variables(capture);
        let Value::Pointer { target, .. } = &variables["note"].value.value else {
            panic!("{:?}", variables["note"]);
        };
        let Value::Record(fields) = &target.value else { panic!("{target:?}") };
        self.captures += 1;
        for name in ARGUMENTS {
            let argument = variables[name];
            let noted = fields.iter().find(|field| field.name.as_deref() == Some(name)).unwrap();
            match &argument.value.value {
                Value::Unavailable(reason) => {
                    assert_eq!(reason.code, ReasonCode::EntryNotSeen, "{argument:?}");
                    assert_eq!(argument.provenance, Provenance::None);
                    self.unseen += 1;
                }
                _ => {
                    let (is, was) = (number(&argument.value), number(&noted.value));
                    assert_eq!(is, was, "hit {}: {name}", capture.hit);
                    assert_eq!(argument.provenance, Provenance::EntryProbe);
                    self.right += 1;
                }
            }
        }
    }
}

/// Captures all hits of some work.
fn tell(dying: &mut Dying, request: &SnapshotRequest, work: &str) -> (Told, Summary) {
    let mut told = Told::default();
    let running = &mut dying.running;
    let work = || running.obey(work);
    let (summary, _) = during(&engine(), request, work, &mut |event, _| {
        if let Event::Capture { capture, .. } = event {
            told.add(&capture);
        }
    })
    .unwrap();
    (told, summary)
}

#[test]
fn every_argument_of_ten_thousand_calls_is_that_of_its_call() {
    for (compiler, level) in [("gcc", "-O2"), ("clang", "-O2"), ("gcc", "-O3")] {
        let mut dying = Dying::start(compiler, level, 1000);
        let request = dying.request(0);
        let (told, summary) = tell(&mut dying, &request, "go");
        println!("{compiler} {level}: {told:?} {:?}", summary.outcomes);
        assert_eq!(summary.hits, summary.outcomes.values().sum::<u64>());
        assert_eq!(summary.hits, dying.running.count, "hits of the entry are no hits");
        assert!(told.captures > 1000, "{told:?}");
        // Few frames share a place.
        assert!(told.unseen * 100 <= told.right, "{told:?}");
        dying.running.finish().unwrap();
    }
}
