//! How long it takes from a hit to its line, and from a request to its first line.

use super::Extent;
use super::figure::{Figure, rounded};
use super::functions;
use super::hits::median;
use super::printed::{Line, Printing};
use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::scope;
use tracer_tests::cli;
use tracer_tests::targets::RunningTarget;

/// Hits from which the latency to the line is taken.
const HITS: usize = 200;
/// Between two of them, in nanoseconds: everyone has gone back to sleep.
const SELDOM: u64 = 5_000_000;
/// Between two calls for a request, in nanoseconds: it hardly waits for one.
const OFTEN: u64 = 1_000_000;
/// Requests that are timed.
const REQUESTS: usize = 20;

/// Measures all of them.
///
/// # Errors
///
/// Something can't be started or does not print.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let mut target = functions::start()?;
    let (hits, requests) = if extent == Extent::Full { (HITS, REQUESTS) } else { (3, 1) };
    Ok(vec![hit_to_line(&mut target, hits)?, request_to_line(&mut target, requests)?])
}

/// From a call to the line of its capture in our hands: the argument of the function says when it
/// was called.
fn hit_to_line(target: &mut RunningTarget, hits: usize) -> Result<Figure> {
    let pid = target.pid().to_string();
    let mut latencies = while_called(target, "stamped", SELDOM, || {
        let hits = hits.to_string();
        let arguments = ["snapshot", "-p", &pid, "stamped", "--json", "--hits", &hits];
        let mut tracer = Printing::start(&mut cli::command(&arguments)?)?;
        let mut latencies = Vec::new();
        while latencies.len() < hits.parse()? {
            let line = tracer.line("\"frames\"")?;
            latencies.push((line.read_boot_ns - called_ns(&line)?) as f64 / 1e3);
        }
        Ok(latencies)
    })?;
    latencies.sort_by(f64::total_cmp);
    let values = vec![
        ("us_median", json!(rounded(median(&latencies)))),
        ("us_max", json!(latencies.last().copied().map(rounded))),
        ("hits", json!(latencies.len())),
    ];
    Ok(Figure::Other { bench: "latency_hit_to_line", values })
}

/// When the function was called whose capture the line is.
fn called_ns(line: &Line) -> Result<u64> {
    let json: Json = serde_json::from_str(&line.text)?;
    let time = &json["frames"][0]["variables"][0]["value"];
    time.as_u64().with_context(|| format!("no time of the call in {}", line.text))
}

/// From the start of `tracer`, without a daemon, to its first line.
fn request_to_line(target: &mut RunningTarget, requests: usize) -> Result<Figure> {
    let pid = target.pid().to_string();
    let times: Vec<f64> = while_called(target, "stamped", OFTEN, || {
        (0..requests).map(|_| request(&["snapshot", "-p", &pid, "stamped", "--json"])).collect()
    })?;
    let values = vec![("ms_median", json!(rounded(median(&times)))), ("requests", json!(requests))];
    Ok(Figure::Other { bench: "latency_cold_small", values })
}

/// Milliseconds from the start of `tracer` to the line of its first capture.
fn request(arguments: &[&str]) -> Result<f64> {
    let mut tracer = Printing::start(&mut cli::command(arguments)?)?;
    let line = tracer.line("\"frames\"")?;
    Ok((line.read - tracer.started).as_secs_f64() * 1e3)
}

/// Does `work` while the target calls a function every `interval` nanoseconds.
fn while_called<T>(
    target: &mut RunningTarget,
    function: &str,
    interval: u64,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let over = AtomicBool::new(false);
    // About a tenth of a second.
    let calls = 100_000_000 / interval;
    scope(|scope| {
        let caller = scope.spawn(|| {
            while !over.load(Relaxed) {
                target.obey(&format!("{function} {calls} {interval}"))?;
            }
            Ok(())
        });
        let result = work();
        over.store(true, Relaxed);
        let called: Result<()> =
            caller.join().map_err(|_| anyhow::anyhow!("who drove the target died"))?;
        called.and(result)
    })
}
