//! Containers are shown as their programmers think of them, in every library and build at hand; and
//! only as far as their own data agree.

use std::collections::BTreeMap;
use tracer_core::model::limits::Limits;
use tracer_core::model::value::{Field, Value};
use tracer_tests::meaning::line;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::{Language, Target};

/// SEM-8
#[test]
fn libstdcxx() {
    for level in ["-O0", "-O2"] {
        check("g++", &[level]);
    }
}

#[test]
fn libcxx() {
    for level in ["-O0", "-O2"] {
        // Else clang leaves out classes whose virtual functions are in the library.
        check("clang++", &["-stdlib=libc++", "-fstandalone-debug", level]);
    }
}

/// HOST-1
#[test]
fn what_can_not_be_true_is_not_shown() {
    check_values("broken", "g++", &["-O2"], 15);
}

fn check(compiler: &str, flags: &[&str]) {
    check_values("containers", compiler, flags, 60);
}

/// Compares what is shown where a function of the program's name is called with what its source says.
fn check_values(program: &str, compiler: &str, flags: &[&str], least: usize) {
    require().unwrap();
    let target = Target::by(Language::Cpp, program, compiler, flags).unwrap();
    let source = std::fs::read_to_string(&target.source).unwrap();
    let shown = shown(&target, program, Limits::CEILING.bytes_max);
    let expected = expected(&source);
    assert!(expected.len() > least, "{}", expected.len());
    let mut wrong = String::new();
    for (name, expected) in expected {
        let value = shown.get(&name);
        if value != Some(&expected) {
            wrong.push_str(&format!("{name}: {value:?}\n  not {expected}\n"));
        }
    }
    assert!(wrong.is_empty(), "{compiler} {flags:?}:\n{wrong}");
}

/// What is shown of each member of the members of what the only argument points to.
fn shown(target: &Target, function: &str, bytes_max: u32) -> BTreeMap<String, String> {
    let mut running = target.start(&[]).unwrap();
    let mut request = request(running.pid(), function).unwrap();
    request.limits = Limits { bytes_max, ..Limits::DEFAULT };
    let snapshot = take(&request, &mut running).unwrap();
    running.finish().unwrap();
    let capture = snapshot.captures.first().unwrap();
    let variable = capture.frames.first().unwrap().variables.first().unwrap();
    let Value::Pointer { target, .. } = &variable.value.value else {
        panic!("{:?}", variable.value);
    };
    let mut shown = BTreeMap::new();
    for group in members(&target.value) {
        for field in members(&group.value.value) {
            let name = |field: &Field| field.name.clone().unwrap_or_default();
            let name = format!("{}.{}", name(group), name(field));
            shown.insert(name, line(&field.value.value));
        }
    }
    shown
}

fn members(value: &Value) -> &[Field] {
    match value {
        Value::Record(fields) => fields,
        other => panic!("{other:?}"),
    }
}

/// The values that the source states behind `//=`, by the member.
fn expected(source: &str) -> BTreeMap<String, String> {
    let mut group = String::new();
    let mut expected = BTreeMap::new();
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("struct ") {
            group = name.trim_end_matches(" {").to_lowercase();
        }
        if let Some((declaration, value)) = line.split_once("//=") {
            let Some(end) = declaration.find(['=', '{', ';']) else { continue };
            let name = declaration[..end].split_whitespace().next_back().unwrap();
            expected.insert(format!("{group}.{name}"), value.trim().to_owned());
        }
    }
    expected
}
