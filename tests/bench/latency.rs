//! How long it takes from a hit to its line, and from a request to its first line; and what a daemon
//! takes that waits for requests.

use super::Extent;
use super::figure::{Figure, fine, rounded};
use super::functions;
use super::hits::median;
use super::printed::{Line, Printing, status_kib};
use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::scope;
use std::time::Duration;
use tracer_tests::cli;
use tracer_tests::daemon::Daemon;
use tracer_tests::targets::RunningTarget;

/// Its argument says when it was called.
const FUNCTION: &str = "stamped";
/// What only the lines have that tell of a capture, and of the end.
const CAPTURE: &str = "\"frames\":";
const SUMMARY: &str = "\"summary\":";
/// Hits from which the latency to the line is taken.
const HITS: usize = 200;
/// Between two of them, in nanoseconds: everyone has gone back to sleep.
const SELDOM: u64 = 5_000_000;
/// Between two calls for a request, in nanoseconds: it hardly waits for one.
const OFTEN: u64 = 1_000_000;
/// Requests that are timed.
const REQUESTS: usize = 20;
/// How long a daemon is watched that does nothing.
const IDLE: Duration = Duration::from_secs(10);
const IDLE_SHORT: Duration = Duration::from_millis(50);

/// Measures all of them.
///
/// # Errors
///
/// Something can't be started or does not print.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let mut target = functions::start()?;
    let (hits, requests) = if extent == Extent::Full { (HITS, REQUESTS) } else { (3, 1) };
    let daemon = Daemon::start()?;
    Ok(vec![
        hit_to_printed(&mut target, hits)?,
        warm(&daemon, &mut target, requests)?,
        cold(&mut target, requests)?,
        idle(&daemon, extent)?,
    ])
}

/// From a call to the line of its capture in our hands: the argument of the function says when it
/// was called.
fn hit_to_printed(target: &mut RunningTarget, hits: usize) -> Result<Figure> {
    let pid = target.pid().to_string();
    let mut latencies = while_called(target, SELDOM, || {
        let hits = hits.to_string();
        let arguments = ["snapshot", "-p", &pid, FUNCTION, "--json", "--hits", &hits];
        let mut tracer = Printing::start(&mut cli::command(&arguments)?)?;
        let mut latencies = Vec::new();
        while latencies.len() < hits.parse()? {
            let line = tracer.line(CAPTURE)?;
            latencies.push((line.read_boot_ns - called_ns(&line)?) as f64 / 1e6);
        }
        // A breakpoint that is still there would be in the way of the next.
        tracer.end()?;
        Ok(latencies)
    })?;
    latencies.sort_by(f64::total_cmp);
    let values = vec![
        ("ms", json!(fine(median(&latencies)))),
        ("ms_max", json!(latencies.last().copied().map(fine))),
        ("hits", json!(latencies.len())),
    ];
    Ok(Figure::Other { bench: "hit_to_printed", values })
}

/// When the function was called whose capture the line is.
fn called_ns(line: &Line) -> Result<u64> {
    let json: Json = serde_json::from_str(&line.text)?;
    let time = &json["frames"][0]["variables"][0]["value"];
    time.as_u64().with_context(|| format!("no time of the call in {}", line.text))
}

/// From the start of `tracer` to its first capture, by a daemon that knows the program.
fn warm(daemon: &Daemon, target: &mut RunningTarget, requests: usize) -> Result<Figure> {
    requests_to_printed("latency_warm", target, requests, &|words| daemon.command(words))
}

/// The same without a daemon.
fn cold(target: &mut RunningTarget, requests: usize) -> Result<Figure> {
    requests_to_printed("latency_cold", target, requests, &|words| cli::command(words))
}

fn requests_to_printed(
    bench: &'static str,
    target: &mut RunningTarget,
    requests: usize,
    tracer: &dyn Fn(&[&str]) -> Result<Command>,
) -> Result<Figure> {
    let pid = target.pid().to_string();
    let ask = || request(&mut tracer(&["snapshot", "-p", &pid, FUNCTION, "--json"])?);
    let times = while_called(target, OFTEN, || {
        // The first one makes what is known afterwards.
        ask()?;
        (0..requests).map(|_| ask()).collect::<Result<Vec<_>>>()
    })?;
    let values = vec![("ms", json!(rounded(median(&times)))), ("requests", json!(requests))];
    Ok(Figure::Other { bench, values })
}

/// Milliseconds from the start of `tracer` to the line of its first capture. It has ended when
/// this returns: a request does not pay for the one before.
fn request(command: &mut Command) -> Result<f64> {
    let mut tracer = Printing::start(command)?;
    let line = tracer.line(CAPTURE)?;
    let ms = tracer.ms_until(&line);
    tracer.line(SUMMARY)?;
    tracer.end()?;
    Ok(ms)
}

/// What a daemon takes that has served and has nothing to do.
fn idle(daemon: &Daemon, extent: Extent) -> Result<Figure> {
    let time = if extent == Extent::Full { IDLE } else { IDLE_SHORT };
    let before = cpu_ns(daemon.pid())?;
    std::thread::sleep(time);
    let after = cpu_ns(daemon.pid())?;
    // A thread that has ended meanwhile had nothing to do either.
    let used = |(thread, ns): (&u32, &u64)| ns - before.get(thread).copied().unwrap_or(0);
    let used: u64 = after.iter().map(used).sum();
    let values = vec![
        ("rss_mb", json!(rounded(status_kib(daemon.pid(), "VmRSS")? as f64 * 1.024 / 1e3))),
        ("cpu_percent", json!(fine(100.0 * used as f64 / time.as_nanos() as f64))),
        ("seconds", json!(time.as_secs_f64())),
    ];
    Ok(Figure::Other { bench: "idle_daemon", values })
}

/// CPU time of each thread of a process so far, in nanoseconds.
fn cpu_ns(pid: u32) -> Result<BTreeMap<u32, u64>> {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        // One that ends at this moment has no file any more.
        let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        let ns = text.split(' ').next().context("no time")?.parse()?;
        threads.insert(task.file_name().to_string_lossy().parse()?, ns);
    }
    Ok(threads)
}

/// Does `work` while the target calls the function every `interval` nanoseconds.
fn while_called<T>(
    target: &mut RunningTarget,
    interval: u64,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let over = AtomicBool::new(false);
    // About a tenth of a second.
    let calls = 100_000_000 / interval;
    scope(|scope| {
        let caller = scope.spawn(|| {
            while !over.load(Relaxed) {
                target.obey(&format!("{FUNCTION} {calls} {interval}"))?;
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
