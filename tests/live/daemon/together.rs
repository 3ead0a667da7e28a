//! Requests that come at the same time.

use super::{assert_untouched, target};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::ScopedJoinHandle;
use tracer_tests::daemon::Daemon;
use tracer_tests::placed::Placed;

/// Who ask at once, and how often they do: two that look at a place at once both see no breakpoint.
const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
/// Probes that each of two clients has at one place.
const CHANGES: usize = 20;

/// With two probes at one place the first that is removed finds a breakpoint in the text still, and
/// must take it for damage.
///
/// END-1
#[test]
fn of_those_who_ask_for_one_place_at_once_one_gets_it() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let request = json!({"pid": target.pid(), "location": "counted", "detach": true});
    let ask = || {
        let answer = daemon.ask("POST", "/v1/probes", Some(&request)).unwrap();
        (answer.status, answer.json().unwrap())
    };
    for _ in 0..ROUNDS {
        let answers: Vec<(u16, Json)> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let (placed, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|(status, _)| *status == 201);
        assert_eq!(placed.len(), 1, "{placed:#?}");
        for (_, line) in refused {
            assert_eq!(line["error"]["code"], "already_probed", "{line}");
        }
        let id = placed[0].1["id"].as_str().unwrap();
        daemon.ask("DELETE", &format!("/v1/probes/{id}"), None).unwrap();
        let mut stream = daemon.open("GET", &format!("/v1/probes/{id}/captures"), b"").unwrap();
        let lines = std::iter::from_fn(|| stream.line().unwrap());
        let summary = lines.last().unwrap();
        assert_eq!(summary["summary"]["text_restored"], true, "{summary}");
        assert_untouched(&mut target);
    }
}

/// The next probe may be in a place before the last one has looked whether it left the place as it
/// was.
///
/// SAFE-1
#[test]
fn a_place_changes_hands() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let request = json!({"pid": target.pid(), "location": "counted", "hits": 1});
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let place_again_and_again = || {
            let mut placed = 0;
            while placed < CHANGES {
                let Ok(probe) = Placed::place(&daemon, &request).unwrap() else { continue };
                let summary = probe.require_exact(&daemon).unwrap();
                assert_eq!(summary["text_restored"], true, "{summary}");
                placed += 1;
            }
        };
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(place_again_and_again)).collect();
        let work = scope.spawn(|| {
            while !done.load(Relaxed) {
                target.go().unwrap();
            }
        });
        let results: Vec<_> = clients.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Relaxed);
        work.join().unwrap();
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert_untouched(&mut target);
}
