//! Values of Rust's library, as its programmers think of them, by two compilers with and without
//! optimisation: exact, or a reason. What a bug left behind is never a plausible element.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tracer_core::engine::Engine;
use tracer_core::engine::event::Event;
use tracer_core::engine::options::AttachMode;
use tracer_core::model::limits::Limits;
use tracer_core::model::value::{Typed, Value};
use tracer_tests::meaning::line;
use tracer_tests::privilege::require;
use tracer_tests::project::target_dir;
use tracer_tests::snapshot::{self, accompany, request};
use tracer_tests::targets::{Language, RunningTarget, Target};

/// What is shown of each variable, and of each member of what a variable points to: lines of
/// `FUNCTION.NAME = VALUE`. A line may be of one compiler only: `old ...`, `new ...`.
const EXPECTED: &str = include_str!("expected/rust_values.txt");

#[test]
fn the_compiler_of_the_project() {
    check("rustc", "new", "0");
}

#[test]
fn the_compiler_of_the_project_optimised() {
    check("rustc", "new", "3");
}

#[test]
fn an_older_compiler() {
    check(&old_rustc(), "old", "0");
}

#[test]
fn an_older_compiler_optimised() {
    check(&old_rustc(), "old", "3");
}

/// Debian's, as `cargo xtask setup` unpacked it.
fn old_rustc() -> String {
    target_dir().join("programs/old-rust/rustc").to_string_lossy().into_owned()
}

/// SEM-1
fn check(compiler: &str, version: &str, level: &str) {
    require().unwrap();
    if snapshot::options().attach == AttachMode::Perf {
        // How a probe is attached changes nothing of what a hit copies.
        return;
    }
    let level = format!("-Copt-level={level}");
    let flags = ["--edition=2021", &level];
    let target = Target::by(Language::Rust, "values", compiler, &flags).unwrap();
    let engine = snapshot::engine();
    let mut running = target.start(&[]).unwrap();
    let mut wrong = String::new();
    for (function, expected) in expectations(version, &target) {
        let location = match target.line(&format!("// {function}")) {
            Ok(line) => format!("values.rs:{line}"),
            Err(_) => function.to_owned(),
        };
        match shown(&engine, &mut running, function, &location) {
            Ok(shown) => compare(function, &shown, &expected, &mut wrong),
            Err(error) => writeln!(wrong, "{function}: {error:#}").unwrap(),
        }
    }
    running.finish().unwrap();
    assert!(wrong.is_empty(), "{compiler} {level}:\n{wrong}");
}

/// What is expected of each function's variables.
fn expectations(version: &str, target: &Target) -> BTreeMap<&'static str, Vec<(String, String)>> {
    let mut all: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for line in EXPECTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let line = match line.split_once(' ') {
            Some(("old" | "new", _)) if !line.starts_with(version) => continue,
            Some(("old" | "new", rest)) => rest,
            _ => line,
        };
        let (path, value) = line.split_once(" = ").unwrap_or((line, ""));
        let (function, name) = path.split_once('.').unwrap_or((path, ""));
        let mut value = value.to_owned();
        for place in ["inner waits", "outer waits"] {
            let number = target.line(&format!("// {place}")).unwrap();
            value = value.replace(&format!("<{place}>"), &format!("values.rs:{number}"));
        }
        all.entry(function).or_default().push((name.to_owned(), value));
    }
    all
}

/// The variables of the first capture at a function's entry, on one line each. Of `v`, which refers
/// to a record, each member.
fn shown(
    engine: &Engine,
    running: &mut RunningTarget,
    function: &str,
    location: &str,
) -> Result<BTreeMap<String, String>> {
    let mut request = request(running.pid(), location)?;
    request.limits = Limits { depth_max: 8, ..Limits::DEFAULT };
    let mut variables = None;
    accompany(engine, &request, running, 1, &mut |event, _| {
        if let Event::Capture { capture, .. } = event {
            // What is inlined at the line has frames of its own.
            let is_own = |name: &String| name.contains(function);
            let mut frames = capture.frames.into_iter();
            let frame = frames.find(|frame| frame.function.as_ref().is_some_and(is_own));
            variables = frame.map(|frame| frame.variables);
        }
    })?;
    let mut shown = BTreeMap::new();
    for variable in variables.context("no capture")? {
        match members(&variable.value) {
            Some(members) if variable.name == "v" => shown.extend(members),
            _ => drop(shown.insert(variable.name, line(&variable.value.value))),
        }
    }
    Ok(shown)
}

fn members(typed: &Typed) -> Option<Vec<(String, String)>> {
    let Value::Pointer { target, .. } = &typed.value else { return None };
    let Value::Record(fields) = &target.value else { return None };
    let named = fields
        .iter()
        .map(|field| (field.name.clone().unwrap_or_default(), line(&field.value.value)));
    Some(named.collect())
}

fn compare(
    function: &str,
    shown: &BTreeMap<String, String>,
    expected: &[(String, String)],
    wrong: &mut String,
) {
    for (name, value) in expected {
        match shown.get(name) {
            Some(shown) if fits(shown, value) => {}
            Some(shown) => writeln!(wrong, "{function}.{name} = {shown}\n    not {value}").unwrap(),
            None => writeln!(wrong, "{function}.{name} is not shown, of {shown:?}").unwrap(),
        }
    }
    for (name, value) in shown {
        if !expected.iter().any(|(known, _)| known == name) {
            writeln!(wrong, "{function}.{name} = {value}\n    which nobody expects").unwrap();
        }
    }
}

/// Whether a value is what is expected; of what ends in `*` the beginning counts.
fn fits(shown: &str, expected: &str) -> bool {
    let start = expected.strip_suffix('*');
    start.map_or(shown == expected, |start| shown.starts_with(start))
}
