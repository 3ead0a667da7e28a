//! The benchmark measures all that it should, and says it as JSON lines. What it measures in this
//! short form means nothing.

use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use tracer_tests::targets::Target;

/// Runs the benchmark in its shortest form; gives the objects that it prints.
fn measure(words: &[&str]) -> Vec<Json> {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--short", "--json"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_bench_gives_a_figure() {
    let figures = measure(&[]);
    let with_key = |key| figures.iter().filter(move |figure| figure.get(key).is_some());
    let hits: BTreeSet<_> = with_key("ns_per_hit")
        .map(|hit| {
            let text = |key: &str| hit[key].as_str().unwrap_or("-").to_owned();
            let keys: Vec<&str> = hit.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["bench", "in_program_ns", "ns_per_hit", "placed", "site"]);
            assert!(hit["ns_per_hit"].as_f64().unwrap() > 0.0, "{hit}");
            let in_program = hit["in_program_ns"].as_f64().is_some_and(|ns| ns > 0.0);
            assert_eq!(in_program, hit["bench"] != "none", "{hit}");
            (text("bench"), text("site"), text("placed"))
        })
        .collect();
    assert_eq!(hits.len(), with_key("ns_per_hit").count(), "each case once");
    let ours = ["count", "count_gated", "args4", "snapshot"];
    for bench in ["none", "empty", "bpftrace_count", "bpftrace_args4"].into_iter().chain(ours) {
        for site in ["emulated", "single_step"] {
            assert!(hits.iter().any(|hit| (&*hit.0, &*hit.1) == (bench, site)), "{bench} {site}");
        }
    }
    // A function that begins with endbr64 and a push: we probe the push.
    let case =
        |bench: &str, placed: &str| (bench.to_owned(), "single_step".to_owned(), placed.to_owned());
    assert!(hits.contains(&case("args4", "emulated")), "{hits:?}");
    assert!(hits.contains(&case("bpftrace_args4", "single_step")), "{hits:?}");

    for (bench, key) in [
        ("rate_args4", "events_per_second"),
        ("rate_snapshot", "events_per_second"),
        ("hit_to_printed", "ms"),
        ("latency_warm", "ms"),
        ("latency_cold", "ms"),
        ("idle_daemon", "rss_mb"),
        ("idle_daemon", "cpu_percent"),
        ("share", "emulated_percent"),
        ("server_none", "requests_per_second"),
        ("server_tracer", "p99_us"),
        ("server_bpftrace", "p99_us"),
    ] {
        let mut those = with_key(key).filter(|figure| figure["bench"] == bench);
        assert!(those.any(|figure| figure[key].is_number()), "{bench}: {figures:#?}");
    }
}

#[test]
fn the_first_probe_is_compared_with_gdb() {
    let target = Target::c("counter", "gcc", &["-O2"]).unwrap().start(&[]).unwrap();
    let figures = measure(&["cold", &target.pid().to_string(), "counted"]);
    for (figure, bench) in figures.iter().zip(["cold_tracer", "cold_gdb"]) {
        assert_eq!(figure["bench"], bench);
        let is_more = |key: &str, least| figure[key].as_f64().is_some_and(|number| number > least);
        assert!(is_more("ms", 0.0) && is_more("peak_mb", 1.0), "{figure}");
    }
    assert_eq!(figures.len(), 2, "{figures:?}");
}
