//! Every kind of value that C has, in six builds: shown exactly as the source says, or not shown
//! with the reason. Each function is probed at its entry and in its middle.

use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tracer_core::engine::error::EngineError;
use tracer_core::model::issue::IssueKind;
use tracer_core::model::limits::Limits;
use tracer_tests::flat::{compare, flatten};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::{RunningTarget, Target};

/// Where values are when a function runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Home {
    /// In objects that arguments point to.
    Memory,
    /// In arguments and locals themselves, as the compiler keeps them.
    Frame,
}

/// A place in `values.c`, and its values there.
struct Place {
    /// A function, or a part of a line's text.
    at: &'static str,
    expected: String,
    home: Home,
}

/// Values that are shown, of those that there are.
#[derive(Clone, Copy, Default, Debug)]
struct Shown {
    shown: usize,
    all: usize,
}

impl Shown {
    fn percent(self) -> usize {
        self.shown * 100 / self.all.max(1)
    }
}

#[test]
fn gcc_o0() {
    check("gcc", "-O0", 85);
}

#[test]
fn gcc_og() {
    check("gcc", "-Og", 75);
}

#[test]
fn gcc_o2() {
    check("gcc", "-O2", 75);
}

#[test]
fn clang_o0() {
    check("clang", "-O0", 85);
}

#[test]
fn clang_og() {
    check("clang", "-Og", 65);
}

#[test]
fn clang_o2() {
    check("clang", "-O2", 65);
}

/// Probes every place of a build. At least `percent` of the values in frames must be shown, and
/// nearly all that are in memory: only complex numbers are not understood.
fn check(compiler: &str, level: &str, percent: usize) {
    require().unwrap();
    let target = Target::c("values", compiler, &[level]).unwrap();
    let mut running = target.start(&[]).unwrap();
    let mut shown: BTreeMap<Home, Shown> = BTreeMap::new();
    let mut wrong = String::new();
    for place in places() {
        let location = match target.line(place.at) {
            Ok(line) if place.at.contains(' ') => format!("values.c:{line}"),
            _ => place.at.to_owned(),
        };
        match probe(&mut running, &location, &place.expected, &mut wrong) {
            Ok(Some(more)) => {
                let sum = shown.entry(place.home).or_default();
                sum.shown += more.shown;
                sum.all += more.all;
            }
            // An optimiser may leave nothing of a line, or only a copy that does not run, such as
            // that for the odd one of an unrolled loop.
            Ok(None) if level != "-O0" => println!("    {location}: no hit"),
            Err(error) if level != "-O0" && is_no_line(&error) => println!("    {error}"),
            Ok(None) => writeln!(wrong, "{location}: no hit").unwrap(),
            Err(error) => writeln!(wrong, "{location}: {error:#}").unwrap(),
        }
    }
    println!("{compiler} {level}: {shown:?}");
    assert!(wrong.is_empty(), "{compiler} {level}:\n{wrong}");
    assert!(shown[&Home::Memory].percent() >= 99, "{shown:?}");
    assert!(shown[&Home::Frame].percent() >= percent, "{shown:?}");
    running.finish().unwrap();
}

fn is_no_line(error: &anyhow::Error) -> bool {
    let issue = error.downcast_ref::<EngineError>();
    matches!(issue, Some(EngineError::Issue(issue)) if issue.kind == IssueKind::NoLine)
}

/// Takes one capture and compares its values; none if the place did not run.
fn probe(
    target: &mut RunningTarget,
    location: &str,
    expected: &str,
    wrong: &mut String,
) -> Result<Option<Shown>> {
    let mut request = request(target.pid(), location)?;
    // Deep enough for the longest list; the 1000 elements are cut all the same.
    request.limits = Limits { depth_max: 30, ..Limits::DEFAULT };
    let snapshot = take(&request, target)?;
    assert_eq!(snapshot.summary.text_restored, Some(true));
    let Some(capture) = snapshot.captures.first() else {
        assert_eq!(snapshot.summary.hits, 0, "{:?}", snapshot.summary);
        return Ok(None);
    };
    let leaves = flatten(&capture.frames[0].variables);
    let comparison = compare(&leaves, expected);
    for error in &comparison.wrong {
        writeln!(wrong, "{location}: {error}")?;
    }
    for (path, reason) in &comparison.missing {
        println!("    {location}: {path}: {}", reason.code());
    }
    let missing = comparison.missing.len();
    Ok(Some(Shown { shown: comparison.right, all: comparison.right + missing }))
}

/// Entry and middle of each function.
fn places() -> Vec<Place> {
    let containers = include_str!("expected/containers.txt").to_owned() + &long_list();
    let pointers = include_str!("expected/pointers.txt").to_owned() + &long_text();
    let graph = include_str!("expected/graph.txt").to_owned() + &list();
    let locals = include_str!("expected/locals.txt").to_owned();
    let in_loop =
        locals.replace("limit = 6", "limit = 0\nlimit#2 = 6\ni = 0\nsum = 11\nvalue = 11");
    // Optimised code knows `sum` and `i` from the start; else they are not there yet.
    let at_entry = format!("{locals}optional sum = 0\noptional i = 0");
    let at_end = format!("{locals}sum = 181");
    let memory = [
        ("scalars", "sink = scalars->integer", include_str!("expected/scalars.txt")),
        ("bit_fields", "sink = bits->negative", include_str!("expected/bit_fields.txt")),
        ("unions", "sink = number->integer", include_str!("expected/unions.txt")),
        ("containers", "sink = containers->numbers[0]", &containers),
        ("pointers", "sink = (long)pointers->anything", &pointers),
        ("graph", "sink = ring->number", &graph),
    ];
    let frame = [
        ("arguments", "return strlen(text)", include_str!("expected/arguments.txt")),
        ("by_value", "return inner.x + inner.y", include_str!("expected/by_value.txt")),
    ];
    let mut places = Vec::new();
    let mut add = |at, expected: &str, home| {
        places.push(Place { at, expected: expected.to_owned(), home });
    };
    for (home, functions) in [(Home::Memory, memory.as_slice()), (Home::Frame, &frame)] {
        for (function, line, expected) in functions {
            add(*function, expected, home);
            add(*line, expected, home);
        }
    }
    add("locals", &at_entry, Home::Frame);
    add("sum += limit", &in_loop, Home::Frame);
    add("return sum + pair.x", &at_end, Home::Frame);
    places
}

/// The first elements of `long_list`, as many as are shown unless asked for.
fn long_list() -> String {
    let mut text = "containers->long_list = 1000 elements\n".to_owned();
    for index in 0..Limits::DEFAULT.items_max {
        writeln!(text, "containers->long_list[{index}] = {}", index * 3).unwrap();
    }
    text
}

/// What is shown of a string of 5000 bytes unless asked for.
fn long_text() -> String {
    let shown = "L".repeat(Limits::DEFAULT.text_bytes_max as usize);
    format!("pointers->long_text = \"{shown}\" of 5000\n")
}

/// Twenty nodes behind each other.
fn list() -> String {
    let mut text = String::new();
    let mut path = "list".to_owned();
    for number in 100..120 {
        writeln!(text, "{path} = pointer\n{path}->number = {number}").unwrap();
        writeln!(text, "{path}->previous = null").unwrap();
        path += "->next";
    }
    writeln!(text, "{path} = null").unwrap();
    text
}
