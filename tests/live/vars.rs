//! `tracer vars`: what it says of a place is what a snapshot there shows, and where it sends for a
//! variable a snapshot shows the variable.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use tracer_core::model::capture::{Capture, Frame, Provenance, Variable};
use tracer_core::model::issue::IssueKind;
use tracer_core::model::resolved::VariableKind;
use tracer_core::model::value::Value;
use tracer_tests::cli::tracer;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::{RunningTarget, Target};

/// A target with its first capture at each place where one was taken.
struct Build {
    target: Target,
    running: RunningTarget,
    /// With the address that was probed; `None` where the place did not run.
    captures: BTreeMap<String, Option<(String, Capture)>>,
}

/// What was checked.
#[derive(Default, Debug)]
struct Counts {
    here: usize,
    missing: usize,
    sent: usize,
}

impl Build {
    fn new(name: &str, compiler: &str, level: &str) -> Self {
        require().unwrap();
        let target = Target::c(name, compiler, &[level]).unwrap();
        let running = target.start(&[]).unwrap();
        Self { target, running, captures: BTreeMap::new() }
    }

    /// What `tracer vars` says; nothing for a line without code.
    fn vars(&self, location: &str) -> Option<Json> {
        let pid = self.running.pid().to_string();
        let done = tracer(&["vars", "-p", &pid, location, "--json"]).unwrap();
        match done.status.code() {
            Some(0) => Some(serde_json::from_slice(&done.stdout).unwrap()),
            code => {
                let no_line = i32::from(IssueKind::NoLine.exit_code());
                assert_eq!(code, Some(no_line), "{}", done.errors().unwrap());
                None
            }
        }
    }

    fn capture(&mut self, location: &str) -> Option<(String, Capture)> {
        if let Some(known) = self.captures.get(location) {
            return known.clone();
        }
        let request = request(self.running.pid(), location).unwrap();
        let snapshot = take(&request, &mut self.running).unwrap();
        let first = snapshot.captures.into_iter().next().map(|capture| {
            let pc = snapshot.armed.resolved.sites[capture.site].pc;
            (pc.to_string(), capture)
        });
        self.captures.insert(location.to_owned(), first.clone());
        first
    }

    /// Compares what is said of a place, and of those it sends to, with snapshots.
    fn check(&mut self, location: &str, counts: &mut Counts) {
        let Some(vars) = self.vars(location) else { return };
        let captured = self.capture(location);
        for site in vars["sites"].as_array().unwrap() {
            let here = captured.as_ref().filter(|(pc, _)| site["pc"] == pc.as_str());
            for (number, frame) in site["frames"].as_array().unwrap().iter().enumerate() {
                let stated = frame["variables"].as_array().unwrap();
                if let Some((_, capture)) = here {
                    compare(location, stated, &capture.frames[number].variables, counts);
                }
                for variable in stated {
                    if let Some(nearest) = variable["nearest"]["location"].as_str() {
                        self.follow(nearest, &frame["function"], variable, counts);
                    }
                }
            }
        }
    }

    /// A snapshot of the place shows the variable, if the place runs.
    fn follow(&mut self, place: &str, function: &Json, variable: &Json, counts: &mut Counts) {
        let Some((_, capture)) = self.capture(place) else { return };
        let is_function = |frame: &&Frame| frame.function.as_deref() == function.as_str();
        let frame = capture.frames.iter().find(is_function);
        let frame = frame.unwrap_or_else(|| panic!("{place} is not in {function}: {capture:#?}"));
        let mut variables = frame.variables.iter();
        let shown = variables.any(|other| is_same(variable, other) && is_shown(other));
        assert!(shown, "{place} does not show {variable:#}: {frame:#?}");
        counts.sent += 1;
    }
}

/// What is said to be in scope is what a capture has, in the same order, and is shown or missing
/// for the same reason.
fn compare(location: &str, stated: &[Json], captured: &[Variable], counts: &mut Counts) {
    let in_scope = |variable: &&Json| variable["unavailable"]["code"] != "not_in_scope";
    let stated: Vec<&Json> = stated.iter().filter(in_scope).collect();
    assert_eq!(stated.len(), captured.len(), "{location}");
    for (stated, captured) in stated.into_iter().zip(captured) {
        let what = format!("{location}: {stated:#} {captured:#?}");
        assert!(is_same(stated, captured), "{what}");
        match &captured.value.value {
            Value::Unavailable(reason) => {
                assert_eq!(stated["unavailable"]["code"], reason.code.code(), "{what}");
                counts.missing += 1;
            }
            // A page says where it lives; what it was at another pc is not its value here.
            _ if captured.provenance == Provenance::MovedPc => {
                assert!(stated["unavailable"].is_object(), "{what}");
                counts.missing += 1;
            }
            _ => {
                assert!(stated["location"].is_string(), "{what}");
                counts.here += 1;
            }
        }
    }
}

fn is_same(stated: &Json, captured: &Variable) -> bool {
    let kind = match captured.kind {
        VariableKind::Parameter => "parameter",
        VariableKind::Local => "local",
        VariableKind::Global => "global",
    };
    stated["name"] == captured.name.as_str() && stated["kind"] == kind
}

fn is_shown(variable: &Variable) -> bool {
    !matches!(variable.value.value, Value::Unavailable(_))
}

/// Asks for a function and for each of its lines, from the one with `first` to that with `last`.
fn check(name: &str, function: &str, (first, last): (&str, &str)) {
    for (compiler, level) in [("gcc", "-O0"), ("gcc", "-O2"), ("clang", "-O0"), ("clang", "-O2")] {
        let mut build = Build::new(name, compiler, level);
        let mut counts = Counts::default();
        build.check(function, &mut counts);
        let lines = build.target.line(first).unwrap()..=build.target.line(last).unwrap();
        for line in lines {
            build.check(&format!("{name}.c:{line}"), &mut counts);
        }
        println!("{compiler} {level} {function}: {counts:?}");
        assert!(counts.here > 0 && counts.missing > 0 && counts.sent > 0, "{counts:?}");
        build.running.finish().unwrap();
    }
}

/// SEM-1
#[test]
fn locals_of_nested_blocks() {
    check("values", "locals", ("TRACED long locals", "return sum + pair.x"));
}

#[test]
fn inlined_calls() {
    check("inlined", "caller", ("int middle(int value)", "return result ^ value"));
}

#[test]
fn a_page_names_the_lines_and_an_unknown_place_fails_as_a_snapshot_does() {
    require().unwrap();
    let target = Target::c("values", "gcc", &["-O0"]).unwrap();
    let running = target.start(&[]).unwrap();
    let pid = running.pid().to_string();
    let text = "long sum = 0;";
    let line = target.line(text).unwrap();
    let done = tracer(&["vars", "-p", &pid, &format!("values.c:{line}")]).unwrap();
    let page = done.output().unwrap();
    assert!(page.contains(&format!("  {line} | {text}\n")), "{page}");
    let sum = page.lines().find(|line| line.contains("sum: long int")).expect(page);
    assert!(sum.ends_with(&format!("not here; on line {}", line + 1)), "{page}");
    let done = tracer(&["vars", "-p", &pid, "no_such_function", "--json"]).unwrap();
    assert_eq!(done.status.code(), Some(i32::from(IssueKind::NoFunction.exit_code())));
    let error: Json = serde_json::from_str(done.errors().unwrap()).unwrap();
    assert_eq!(error["error"]["code"], IssueKind::NoFunction.code());
    running.finish().unwrap();
}
