//! Streams that are cut, that nobody reads, and clients that are killed.

use super::{assert_untouched, detach, probe, target, wait_untouched};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;
use tracer_tests::cli::RunningTracer;
use tracer_tests::daemon::{Daemon, Open};
use tracer_tests::targets::{RunningTarget, Target};

/// Clients that are killed, unless TRACER_SOAK_N asks for more.
const CLIENTS: u64 = 10;
const CLIENTS_MAX: u64 = 100;
/// Clients at once, each with a target of its own.
const AT_ONCE: u64 = 5;
/// A client is killed within this time: while it connects, while its place is looked up, while it
/// waits.
const KILLED_WITHIN_MS: u64 = 200;

/// Numbers that look random and are the same each time (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// END-1
#[test]
fn clients_that_are_killed_leave_no_probe() {
    let asked = std::env::var("TRACER_SOAK_N").ok().and_then(|text| text.parse().ok());
    let clients = asked.unwrap_or(CLIENTS).min(CLIENTS_MAX);
    let daemon = Daemon::start().unwrap();
    let targets: Vec<RunningTarget> = std::thread::scope(|scope| {
        let kill = |worker| {
            let daemon = &daemon;
            scope.spawn(move || kill_clients(daemon, worker, clients.div_ceil(AT_ONCE)))
        };
        let workers: Vec<_> = (0..AT_ONCE).map(kill).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    daemon.wait_until_none_lives().unwrap();
    for mut target in targets {
        assert_untouched(&mut target);
    }
    let placed = daemon.probes().unwrap();
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    for probe in &placed {
        let code = [&probe["ended"], &probe["error"]["code"]].into_iter().find_map(Json::as_str);
        *ends.entry(code.unwrap_or("?").to_owned()).or_default() += 1;
    }
    println!("{clients} clients were killed, {} probes asked for: {ends:?}", placed.len());
    // A client may find the breakpoints of the one before it, which was killed just now.
    assert!(ends.keys().all(|end| end == "stopped" || end == "already_probed"), "{placed:#?}");
    assert!(ends.contains_key("stopped"), "no client came so far");
}

/// Gives the target that they probed.
fn kill_clients(daemon: &Daemon, worker: u64, clients: u64) -> RunningTarget {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 + worker);
    let mut target = target();
    let pid = target.pid().to_string();
    for _ in 0..clients {
        let arguments = ["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--json"];
        let mut client = RunningTracer::start(&mut daemon.command(&arguments).unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(random.below(KILLED_WITHIN_MS)));
        target.start_work().unwrap();
        client.kill().unwrap();
        drop(client);
        target.wait_done().unwrap();
        // The next one is refused as long as this one's breakpoints are in place.
        wait_untouched(&target);
    }
    target
}

/// Reads a stream to its end, or until `bytes` were read: what comes then is cut off, in the
/// middle of a line as likely as not.
fn read_until_cut(mut stream: Open, bytes: u64) -> Vec<Json> {
    let mut text = Vec::new();
    (&mut stream.body).take(bytes).read_to_end(&mut text).unwrap();
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// LOSS-2
#[test]
fn a_stream_that_is_cut_and_resumed_has_no_gap_and_no_double() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let id = detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    let (seqs, summary, cuts) = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            (0..40).for_each(|_| assert!(target.go().is_ok()));
            daemon.ask("DELETE", &format!("/v1/probes/{id}"), None).unwrap();
        });
        let mut random = Random(88_172_645_463_325_252);
        let (mut seqs, mut cuts) = (Vec::new(), 0);
        let summary = loop {
            let after = seqs.last().copied().unwrap_or(0);
            let path = format!("/v1/probes/{id}/captures?after={after}&follow=true");
            let stream = daemon.open("GET", &path, b"").unwrap();
            let lines = read_until_cut(stream, 1 + random.below(60_000));
            seqs.extend(lines.iter().filter_map(|line| line["seq"].as_u64()));
            assert!(lines.iter().all(|line| line.get("gap").is_none()), "captures were dropped");
            if let Some(end) = lines.iter().find_map(|line| line.get("summary")) {
                break end.clone();
            }
            cuts += 1;
        };
        worker.join().unwrap();
        (seqs, summary, cuts)
    });
    println!("{} captures, cut {cuts} times", seqs.len());
    assert!(cuts > 3, "hardly cut");
    assert_eq!(summary["written"], seqs.len());
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    // Once more after the end, without waiting.
    let path = format!("/v1/probes/{id}/captures?after={}", seqs.len() - 2);
    let lines = daemon.ask("GET", &path, None).unwrap().lines().unwrap();
    assert_eq!(lines.len(), 4, "armed, two captures, summary");
    assert_untouched(&mut target);
}

/// A client that does not read stops nobody, loses nothing silently, and its probe goes when it
/// goes.
///
/// LOSS-2, END-1
#[test]
fn a_client_that_does_not_read() {
    let program = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let mut target = program.start(&["1", "200"]).unwrap();
    let mut other = super::target();
    let daemon = Daemon::start().unwrap();
    let request = json!({"pid": target.pid(), "location": "counted", "hits": 0, "rate": 0});
    let mut sleeper = daemon.open("POST", "/v1/probes", request.to_string().as_bytes()).unwrap();
    assert_eq!(sleeper.status, 200);
    let armed = sleeper.line().unwrap().unwrap();
    let id = armed["probe"].as_str().unwrap().to_owned();
    // Until its log must have dropped some that were not on their way to the sleeper already: the
    // socket holds some hundred KiB.
    const ON_THEIR_WAY: u64 = 1000;
    let second_line = || {
        let mut stream = daemon.open("GET", &format!("/v1/probes/{id}/captures"), b"").unwrap();
        stream.line().unwrap();
        stream.line().unwrap()
    };
    let dropped = || second_line().and_then(|line| line["gap"]["to"].as_u64()).unwrap_or(0);
    while dropped() < ON_THEIR_WAY {
        target.go().unwrap();
    }
    // Another client is served meanwhile.
    let other_id = detach(&daemon, &other, &[]);
    other.go().unwrap();
    daemon.ask("GET", &format!("/v1/probes/{other_id}/captures?follow=true"), None).unwrap();
    assert_eq!(probe(&daemon, &other_id)["ended"], "complete");

    daemon.ask("DELETE", &format!("/v1/probes/{id}"), None).unwrap();
    wait_untouched(&target);
    let (mut expected, mut gaps) = (1, 0);
    let summary = loop {
        let line = sleeper.line().unwrap().expect("a stream without an end");
        if let Some(gap) = line.get("gap") {
            assert_eq!(gap["from"], expected);
            expected = gap["to"].as_u64().unwrap() + 1;
            gaps += 1;
        } else if let Some(summary) = line.get("summary") {
            break summary.clone();
        } else {
            assert_eq!(line["seq"], expected);
            expected += 1;
        }
    };
    println!("{} captures, {gaps} gaps", expected - 1);
    assert_eq!((gaps, &summary["written"]), (1, &(expected - 1).into()));

    let request = json!({"pid": target.pid(), "location": "counted", "hits": 0, "rate": 0});
    let sleeper = daemon.open("POST", "/v1/probes", request.to_string().as_bytes()).unwrap();
    target.go().unwrap();
    drop(sleeper);
    daemon.wait_until_none_lives().unwrap();
    wait_untouched(&target);
}
