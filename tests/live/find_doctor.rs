//! `tracer find` lists functions with their lines; `tracer doctor` tells what this machine has.

use serde_json::Value as Json;
use tracer_tests::cli;
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

fn start(flags: &[&str]) -> (Target, RunningTarget) {
    require().unwrap();
    let target = Target::c("values", "gcc", flags).unwrap();
    let running = target.start(&[]).unwrap();
    (target, running)
}

fn json_lines(output: &str) -> Vec<Json> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn functions_are_found_with_their_lines() {
    let (target, mut running) = start(&["-O2"]);
    let pid = running.pid().to_string();
    let done = cli::tracer(&["find", "-p", &pid, "call_"]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    // Static functions that were inlined are functions all the same.
    for name in ["call_scalars", "call_records", "call_containers", "call_pointers", "call_graph"] {
        assert!(done.output().unwrap().contains(name), "{done:?}");
    }

    let done = cli::tracer(&["find", "-p", &pid, "by_value", "--json"]).unwrap();
    let lines = json_lines(done.output().unwrap());
    let [found] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(found["schema"], "tracer/find/1");
    assert_eq!(found["function"], "by_value");
    assert!(found["file"].as_str().unwrap().ends_with("/values.c"), "{found}");
    assert_eq!(found["line"], target.line("TRACED long by_value").unwrap(), "{found}");
    assert_eq!(found["module"], target.program.to_str().unwrap());

    // The address that is told is where the function is.
    let address = format!("*{}", found["address"].as_str().unwrap());
    let request = tracer_tests::snapshot::request(running.pid(), &address).unwrap();
    let snapshot = tracer_tests::snapshot::take(&request, &mut running).unwrap();
    assert_eq!(snapshot.captures[0].frames[0].function.as_deref(), Some("by_value"));
    running.finish().unwrap();
}

#[test]
fn a_pattern_can_name_a_module_or_fit_nothing() {
    let (_, running) = start(&["-O0"]);
    let pid = running.pid().to_string();
    let done = cli::tracer(&["find", "-p", &pid, "libc.so.6!mallo", "--json"]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let lines = json_lines(done.output().unwrap());
    assert!(!lines.is_empty());
    for line in &lines {
        assert!(line["module"].as_str().unwrap().ends_with("/libc.so.6"), "{line}");
        assert!(line["function"].as_str().unwrap().contains("mallo"), "{line}");
    }
    for pattern in ["no_function_is_called_this", "no_module.so!main"] {
        let done = cli::tracer(&["find", "-p", &pid, pattern]).unwrap();
        assert_eq!(done.status.code(), Some(17), "{done:?}");
        assert!(done.errors().unwrap().contains("help: "), "{done:?}");
    }
    require_as_in_files(running.pid()).unwrap();
    running.finish().unwrap();
}

#[test]
fn doctor_is_content_here_and_tells_both_costs() {
    require().unwrap();
    let done = cli::tracer(&["doctor"]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let text = done.output().unwrap();
    println!("{text}");
    let done = cli::tracer(&["doctor", "--json"]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let checks = json_lines(done.output().unwrap());
    let mut costs = Vec::new();
    for check in &checks {
        assert_eq!(check["schema"], "tracer/doctor/1");
        assert_ne!(check["status"], "fail", "{check}");
        let name = check["name"].as_str().unwrap();
        assert!(text.contains(name), "{name}");
        // What is wrong comes with what to do.
        assert!(check["status"] == "ok" || check["remedy"].is_string(), "{check}");
        if ["cost, emulated", "cost, single-stepped"].contains(&name) {
            let detail = check["detail"].as_str().unwrap();
            costs.push(detail.split(' ').next().unwrap().parse::<u64>().unwrap());
        }
    }
    let [emulated, single_stepped] = costs.as_slice() else { panic!("{checks:#?}") };
    assert!(*emulated > 50 && *emulated < *single_stepped, "{costs:?}");
}
