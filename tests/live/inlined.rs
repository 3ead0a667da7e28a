//! Functions that are inlined everywhere: by name, every call is one hit, at a site that says which
//! caller it is in, and the variables are those of the inlined copy.

use std::collections::BTreeMap;
use tracer_core::engine::event::Event;
use tracer_core::model::capture::Capture;
use tracer_core::model::resolved::Site;
use tracer_core::model::value::Value;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{accompany, engine, request};
use tracer_tests::targets::{Language, RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// How often a caller has called, and the sum of what it handed over.
type Calls = BTreeMap<String, (u64, i128)>;

/// What a target says at its end: `calls NAME COUNT SUM NAME COUNT SUM`.
fn told(line: &str) -> Calls {
    let words: Vec<&str> = line.strip_prefix("calls ").unwrap().split(' ').collect();
    let caller = |words: &[&str]| {
        (words[0].to_owned(), (words[1].parse().unwrap(), words[2].parse().unwrap()))
    };
    words.chunks(3).map(caller).collect()
}

/// The value of the parameter `value` of the inlined copy that a site is for: of the frame which the
/// caller's is the next of.
fn handed_over(site: &Site, capture: &Capture) -> i128 {
    let caller = &site.inlined_into[0].function;
    let own = capture.frames.windows(2).find(|frames| frames[1].function == *caller);
    let own = &own.unwrap_or_else(|| panic!("{caller:?}: {:#?}", capture.frames))[0];
    assert!(own.inlined, "{own:#?}");
    let value = own.variables.iter().find(|variable| variable.name == "value").unwrap();
    match value.value.value {
        Value::Signed(value) => value,
        ref other => panic!("{other:?} in {own:#?}"),
    }
}

/// The calls of an inlined function by caller, as the probe counts and captures them while the target
/// works once.
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
            let (count, sum) = calls.entry(caller).or_default();
            *count += 1;
            *sum += handed_over(site, &capture);
        }
        _ => {}
    });
    let summary = summary.unwrap();
    let captured: u64 = calls.values().map(|(count, _)| count).sum();
    assert_eq!((summary.hits, summary.text_restored), (captured, Some(true)), "{summary:#?}");
    calls
}

/// Each function in a run of its own, for the target counts all calls of a caller; together they are
/// all calls.
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
        for (caller, (count, sum)) in calls {
            let (all_count, all_sum) = all.entry(caller).or_default();
            *all_count += count;
            *all_sum += sum;
        }
    }
    assert_eq!(all, program, "{}", target.program.display());
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
fn every_call_of_an_inlined_function_is_a_hit_in_rust() {
    let target = Target::of(Language::Rust, "instances").unwrap();
    check(&target, &["shop::weigh", "Scale::weigh"]);
}
