//! Functions that are inlined everywhere: by name, every call is one hit, at a site that says which
//! caller it is in, and the variables are those of the inlined copy.

use std::collections::BTreeMap;
use tracer_core::engine::event::Event;
use tracer_core::model::capture::Capture;
use tracer_core::model::issue::IssueKind;
use tracer_core::model::resolved::Site;
use tracer_core::model::value::Value;
use tracer_tests::cli::tracer;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{accompany, engine, request};
use tracer_tests::targets::{Language, RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// What callers have handed over, call by call; `None` where a capture does not show it.
type Calls = BTreeMap<String, Vec<Option<i128>>>;

/// What a target says at its end: `calls NAME 1,2,3 NAME 1,2,3`.
fn told(line: &str) -> Calls {
    let words: Vec<&str> = line.strip_prefix("calls ").unwrap().split(' ').collect();
    let values = |list: &str| list.split(',').map(|value| value.parse().ok()).collect();
    words.chunks(2).map(|words| (words[0].to_owned(), values(words[1]))).collect()
}

/// The value of the parameter `value` of the inlined copy that a site is for: of the frame which the
/// caller's is the next of. `None` where the compiler kept none.
fn handed_over(site: &Site, capture: &Capture) -> Option<i128> {
    let caller = &site.inlined_into[0].function;
    let own = capture.frames.windows(2).find(|frames| frames[1].function == *caller);
    let own = &own.unwrap_or_else(|| panic!("{caller:?}: {:#?}", capture.frames))[0];
    assert!(own.inlined && own.function.as_ref().unwrap().contains("weigh"), "{own:#?}");
    let value = own.variables.iter().find(|variable| variable.name == "value").unwrap();
    match &value.value.value {
        Value::Signed(value) => Some(*value),
        Value::Unavailable(_) => None,
        other => panic!("{other:?} in {own:#?}"),
    }
}

/// The calls of an inlined function by caller, as the probe captures them while the target works once.
fn probed(target: &mut RunningTarget, function: &str) -> Calls {
    let mut wanted = request(target.pid(), function).unwrap();
    wanted.hits = 0;
    let mut sites = Vec::new();
    let mut calls = Calls::new();
    let summary = accompany(&engine(), &wanted, target, 1, &mut |event, _| match event {
        Event::Armed(armed) => sites = armed.resolved.sites,
        Event::Capture { capture, .. } => {
            let site = &sites[capture.site];
            let caller = site.inlined_into[0].function.clone().unwrap();
            // Without parameters and template arguments: as the program says it.
            let caller = caller.split(['(', '<']).next().unwrap().to_owned();
            calls.entry(caller).or_default().push(handed_over(site, &capture));
        }
        _ => {}
    });
    let summary = summary.unwrap();
    let captured: usize = calls.values().map(Vec::len).sum();
    assert_eq!(
        (summary.hits, summary.text_restored),
        (captured as u64, Some(true)),
        "{summary:#?}"
    );
    calls
}

/// Each function in a run of its own; together they have all calls that the program knows of, with
/// the same values wherever there is one, and most have one.
fn check(target: &Target, functions: &[&str]) {
    require().unwrap();
    let mut all = Calls::new();
    let mut program = Calls::new();
    for function in functions {
        let mut running = target.start(&[]).unwrap();
        let calls = probed(&mut running, function);
        assert!(!calls.is_empty(), "{function}");
        require_as_in_files(running.pid()).unwrap();
        program = told(&running.finish().unwrap().unwrap());
        all.extend(calls);
    }
    let counts = |calls: &Calls| -> BTreeMap<String, usize> {
        calls.iter().map(|(caller, values)| (caller.clone(), values.len())).collect()
    };
    assert_eq!(counts(&all), counts(&program), "{}", target.program.display());
    let pairs = all.iter().flat_map(|(caller, values)| values.iter().zip(&program[caller]));
    let (shown, missing): (Vec<_>, Vec<_>) = pairs.partition(|(value, _)| value.is_some());
    assert!(shown.iter().all(|(value, own)| value == own), "{all:?} {program:?}");
    println!("{} values, {} missing", shown.len(), missing.len());
    assert!(shown.len() > missing.len(), "{all:?}");
}

#[test]
fn every_call_of_an_inlined_function_is_a_hit_in_c() {
    for (compiler, level) in [("gcc", "-O2"), ("gcc", "-O3"), ("clang", "-O2")] {
        check(&Target::c("instances", compiler, &[level]).unwrap(), &["weigh"]);
    }
}

#[test]
fn every_call_of_an_inlined_method_or_template_is_a_hit_in_cpp() {
    let functions =
        ["shop::Scale::weigh", "Box::weigh", "shop::detail::weigh", "shop::weigh_hidden"];
    for compiler in ["g++", "clang++"] {
        let target = Target::by(Language::Cpp, "instances", compiler, &["-O2"]).unwrap();
        check(&target, &functions);
    }
}

#[test]
fn one_caller_can_be_chosen() {
    require().unwrap();
    let target = Target::c("instances", "gcc", &["-O2"]).unwrap();
    for (location, caller) in [("weigh@once", "once"), ("weigh@nested", "around")] {
        let mut running = target.start(&[]).unwrap();
        let calls = probed(&mut running, location);
        let program = told(&running.finish().unwrap().unwrap());
        assert_eq!(calls, Calls::from([(caller.to_owned(), program[caller].clone())]));
    }
    let running = target.start(&[]).unwrap();
    let pid = running.pid().to_string();
    let done = tracer(&["vars", "-p", &pid, "weigh@main"]).unwrap();
    assert_eq!(done.status.code(), Some(i32::from(IssueKind::NoFunction.exit_code())), "{done:?}");
    let errors = done.errors().unwrap();
    assert!(errors.contains("weigh@once") && errors.contains("weigh@around"), "{errors}");
}

#[test]
fn every_call_of_an_inlined_function_is_a_hit_in_rust() {
    let target = Target::of(Language::Rust, "instances").unwrap();
    check(&target, &["shop::weigh", "Scale::weigh"]);
}
