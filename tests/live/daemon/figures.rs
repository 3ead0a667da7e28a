//! The equation at every door: what a probe has counted is the same in its stream, in the API and in
//! the metrics.

use serde_json::{Value as Json, json};
use tracer_common::outcome::Outcome;
use tracer_tests::cli::command;
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::scrape::{free_address, scrape, value};
use tracer_tests::targets::Target;

fn number(line: &Json, name: &str) -> u64 {
    line[name].as_u64().unwrap_or_else(|| panic!("no {name}: {line}"))
}

/// `hits` is the sum of the outcomes.
fn assert_sum(line: &Json) {
    let outcomes = line["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.len(), Outcome::ALL.len(), "{line}");
    let sum: u64 = outcomes.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(number(line, "hits"), sum, "{line}");
}

/// LOSS-3, LOSS-1, LOSS-2
#[test]
fn all_doors_tell_the_same_of_a_probe() {
    require().unwrap();
    let address = free_address().unwrap();
    let listen = format!("--metrics-listen={address}");
    let budgets = ["--process-budget=25", "--node-budget=25"];
    let mut daemon = command(&["daemon", &listen]).unwrap();
    let daemon = Daemon::start_by(daemon.args(budgets), tempfile::tempdir().unwrap()).unwrap();
    let target = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let mut target = target.start(&["2", "50"]).unwrap();
    // A few hits fit into the ring.
    let request = json!({"pid": target.pid(), "location": "counted", "hits": 0, "rate": 0, "detach": true,
        "budget_percent": 10.0, "ring_bytes": 4096, "limits": {"stack_bytes": 256}});
    let placed = daemon.ask("POST", "/v1/probes", Some(&request)).unwrap().json().unwrap();
    let id = placed["id"].as_str().unwrap();
    let calls = target.go().unwrap();

    let path = format!("/v1/probes/{id}");
    let live = daemon.ask("GET", &path, None).unwrap().json().unwrap();
    assert_sum(&live);
    let ended = daemon.ask("DELETE", &path, None).unwrap().json().unwrap();
    let captures = format!("{path}/captures");
    let lines = daemon.ask("GET", &captures, None).unwrap().lines().unwrap();
    let samples = scrape(address).unwrap();

    let summary = &lines.last().unwrap()["summary"];
    println!("{summary}");
    assert_sum(summary);
    assert_sum(&ended);
    let hits = number(summary, "hits");
    for name in ["hits", "outcomes", "kernel_misses", "reader_stalls", "text_restored"] {
        assert_eq!(summary[name], ended[name], "{name}");
    }
    let all = hits + number(summary, "kernel_misses");
    // On a machine that is slow now it may have cost too much, and was out before the last call.
    let is_within = number(&summary["outcomes"], "over_budget") == 0;
    assert!(if is_within { all == calls } else { all <= calls }, "{calls} calls: {summary}");

    let (mut seq, mut before, mut stalls) = (0, 0, 0);
    for line in lines.iter().filter(|line| line["seq"].is_u64()) {
        assert_sum(line);
        seq += 1;
        assert_eq!(number(line, "seq"), seq, "without a hole");
        let now = (number(line, "hits"), number(line, "reader_stalls"));
        assert!(now >= (before, stalls) && now.0 <= hits, "counts only grow: {line}");
        (before, stalls) = now;
    }
    assert_eq!((seq, seq), (number(summary, "written"), number(&ended, "written")));
    assert_eq!(seq, number(&summary["outcomes"], "captured"), "each is a line");
    // Records are lost only where a look at the ring finds that they were.
    let lost = number(&summary["outcomes"], "lost_ring_full");
    let stalls = number(summary, "reader_stalls");
    assert!((lost > 0) == (stalls > 0) && stalls <= lost, "{summary}");

    for (code, count) in summary["outcomes"].as_object().unwrap() {
        let told = value(&samples, "tracer_hits_total", &json!({ "outcome": code })).unwrap();
        assert_eq!(told, count.as_f64().unwrap(), "{code}");
    }
    let one = |name, labels| value(&samples, name, &labels).unwrap();
    assert_eq!(one("tracer_reader_stalls_total", json!({})), stalls as f64);
    let missed = one("tracer_losses_total", json!({ "reason": "kernel_miss" }));
    assert_eq!(missed, number(summary, "kernel_misses") as f64);
    assert_eq!(one("tracer_records_total", json!({})), number(summary, "received") as f64);
}
