//! `tracer daemon` and the command line as its client: the same results as without one, and no
//! probe outlives its owner.

mod access;
mod api;
mod figures;
mod leases;
mod room;
mod stop_all;
mod stream;
mod together;
mod top;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};
use tracer_tests::cli::{Done, RunningTracer, tracer};
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// How long the kernel may take to close what a killed process had open.
const CLEANUP: Duration = Duration::from_secs(60);

/// A target with ten calls for each "go".
fn target() -> RunningTarget {
    require().unwrap();
    Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["2", "5"]).unwrap()
}

/// Leaves a probe of `counted` to a daemon; gives its name.
fn detach(daemon: &Daemon, target: &RunningTarget, arguments: &[&str]) -> String {
    let pid = target.pid().to_string();
    let all =
        [&["snapshot", "-p", &pid, "counted", "--budget", "10", "--detach"], arguments].concat();
    let done = daemon.tracer(&all).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let id = done.output().unwrap().trim().to_owned();
    assert!(done.errors().unwrap().contains(&format!("tracer remove {id}")), "{done:?}");
    assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
    id
}

fn probe(daemon: &Daemon, id: &str) -> Json {
    daemon.ask("GET", &format!("/v1/probes/{id}"), None).unwrap().json().unwrap()
}

/// A run of `tracer snapshot` by the daemon, its breakpoints in place.
fn armed(daemon: &Daemon, target: &RunningTarget, arguments: &[&str]) -> RunningTracer {
    let pid = target.pid().to_string();
    let all = [&["snapshot", "-p", &pid, "counted"], arguments].concat();
    let mut tracer = RunningTracer::start(&mut daemon.command(&all).unwrap()).unwrap();
    tracer.wait_for("probing ").unwrap();
    assert_eq!(daemon.living().unwrap().len(), 1, "not by the daemon");
    tracer
}

fn assert_untouched(target: &mut RunningTarget) {
    require_as_in_files(target.pid()).unwrap();
    let before = target.count;
    assert_eq!(target.go().unwrap(), before + 10);
}

fn wait_untouched(target: &RunningTarget) {
    let start = Instant::now();
    while let Err(error) = require_as_in_files(target.pid()) {
        assert!(start.elapsed() < CLEANUP, "{error:#}");
    }
}

/// What stays the same from one run to the next: words, not numbers, nor whether the breakpoints
/// were hit once more before they were out.
fn form(text: &str) -> Vec<String> {
    let is_number = |c: char| c.is_ascii_digit();
    let words = |line: &str| {
        let words = line.split_whitespace().filter(|word| !word.contains(is_number));
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().filter(|line| !line.contains(" hit_limit: ")).map(words).collect()
}

/// The members of an object and all objects in it.
fn members(json: &Json, path: &str, all: &mut Vec<String>) {
    match json {
        Json::Object(object) => object.iter().for_each(|(name, value)| {
            all.push(format!("{path}.{name}"));
            members(value, &format!("{path}.{name}"), all);
        }),
        Json::Array(items) => items.iter().for_each(|item| members(item, path, all)),
        _ => {}
    }
}

/// As the daemon that was started here places breakpoints.
fn attach() -> Option<(&'static str, std::ffi::OsString)> {
    std::env::var_os("TRACER_ATTACH").map(|how| ("TRACER_ATTACH", how))
}

#[test]
fn results_are_as_without_a_daemon() {
    require().unwrap();
    // One thread: the same calls in the same order.
    let program = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let mut target = program.start(&["1", "10"]).unwrap();
    let daemon = Daemon::start().unwrap();
    let pid = target.pid().to_string();
    for json in [false, true] {
        let format: &[&str] = if json { &["--json"] } else { &[] };
        let mut results = Vec::new();
        for by_daemon in [false, true] {
            let arguments = [&["snapshot", "-p", &pid, "counted", "--hits", "2"], format].concat();
            let mut command = daemon.command(&arguments).unwrap();
            if !by_daemon {
                command.arg("--no-daemon").envs(attach());
            }
            let mut tracer = RunningTracer::start(&mut command).unwrap();
            if !json {
                tracer.wait_for("probing ").unwrap();
                assert_eq!(daemon.living().unwrap().len(), usize::from(by_daemon));
            }
            // In JSON nothing is said before the first capture.
            while tracer.runs().unwrap() {
                target.go().unwrap();
            }
            let done = tracer.finish().unwrap();
            assert_eq!(done.status.code(), Some(0), "{done:?}");
            results.push(done);
        }
        let texts = [&results[0], &results[1]].map(|done| done.output().unwrap());
        if json {
            let forms = texts.map(|text| {
                let mut all = Vec::new();
                text.lines().for_each(|line| {
                    members(&serde_json::from_str(line).unwrap(), "", &mut all);
                });
                all
            });
            assert_eq!(forms[0], forms[1]);
        } else {
            assert_eq!(form(texts[0]), form(texts[1]), "{}\n{}", texts[0], texts[1]);
            let errors = [&results[0], &results[1]].map(|done| form(done.errors().unwrap()));
            assert_eq!(errors[0], errors[1]);
        }
        assert_untouched(&mut target);
    }
    for arguments in [&["find", "-p", &pid, "counted"], &["vars", "-p", &pid, "counted"]] {
        for format in [&[][..], &["--json"]] {
            let arguments = [&arguments[..], format].concat();
            let by_daemon = daemon.tracer(&arguments).unwrap();
            let alone = tracer(&arguments).unwrap();
            assert_eq!(by_daemon.output().unwrap(), alone.output().unwrap());
            assert_eq!(by_daemon.status.code(), Some(0), "{by_daemon:?}");
        }
    }
}

#[test]
fn errors_are_as_without_a_daemon() {
    let target = target();
    let daemon = Daemon::start().unwrap();
    let pid = target.pid().to_string();
    for arguments in [
        &["snapshot", "-p", &pid, "no_such_function"][..],
        &["snapshot", "-p", "4194303", "f"],
        &["snapshot", "-p", &pid, "::"],
        &["snapshot", "-p", &pid, "counter.c:1", "--json"],
        &["snapshot", "-p", &pid, "counted", "--timeout", "300ms"],
        &["vars", "-p", &pid, "no_such_function"],
        &["vars", "-p", "4194303", "f", "--json"],
        &["find", "-p", &pid, "no_such_function"],
        &["find", "-p", "4194303", "f"],
    ] {
        let [by_daemon, alone] = [daemon.tracer(arguments).unwrap(), tracer(arguments).unwrap()];
        assert_ne!(alone.status.code(), Some(0), "{arguments:?}");
        assert_eq!(by_daemon.status.code(), alone.status.code(), "{arguments:?}: {by_daemon:?}");
        assert_eq!(by_daemon.errors().unwrap(), alone.errors().unwrap(), "{arguments:?}");
    }
}

#[test]
fn a_detached_probe_is_listed_read_and_removed() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let id = detach(&daemon, &target, &[]);
    let line = probe(&daemon, &id);
    assert_eq!((&line["state"], &line["written"]), (&"armed".into(), &0.into()));
    assert_eq!((&line["request"]["hits"], &line["owner_uid"]), (&10.into(), &0.into()));
    let lives =
        line["expires_unix_ms"].as_u64().unwrap() - line["created_unix_ms"].as_u64().unwrap();
    // It is looked up first.
    let hour = 60 * 60 * 1000;
    assert!((hour..hour + 60_000).contains(&lives), "{lives}");

    let list = daemon.tracer(&["list"]).unwrap();
    let list = list.output().unwrap();
    assert!(list.lines().any(|line| line.starts_with(&id) && line.contains("armed")), "{list}");

    let follower = RunningTracer::start(
        &mut daemon.command(&["captures", &id, "--follow", "--json"]).unwrap(),
    )
    .unwrap();
    target.go().unwrap();
    let followed = follower.finish().unwrap();
    assert_eq!(followed.status.code(), Some(0), "{followed:?}");
    assert_eq!(followed.output().unwrap().lines().count(), 11, "captures and a summary");
    wait_untouched(&target);
    assert_eq!(probe(&daemon, &id)["ended"], "complete");

    let read = daemon.tracer(&["captures", &id, "--after", "7"]).unwrap();
    let shown = read.output().unwrap().lines().filter(|line| line.starts_with("#0")).count();
    assert_eq!((read.status.code(), shown), (Some(0), 3), "{read:?}");

    let second = detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    for _ in 0..2 {
        let removed = daemon.tracer(&["remove", &second]).unwrap();
        assert_eq!(removed.status.code(), Some(0), "removing is idempotent: {removed:?}");
        assert_untouched(&mut target);
    }
    assert_eq!(probe(&daemon, &second)["ended"], "stopped");
    let unknown = daemon.tracer(&["remove", "nobody", &second]).unwrap();
    assert_eq!(unknown.status.code(), Some(40), "{unknown:?}");
    assert!(unknown.errors().unwrap().contains("no such probe"), "{unknown:?}");
}

/// END-1
#[test]
fn a_detached_probe_ends_in_time_and_with_its_process() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    let expires = detach(&daemon, &target, &["--hits", "0", "--rate", "0", "--timeout", "500ms"]);
    daemon.wait_until_none_lives().unwrap();
    assert_eq!(probe(&daemon, &expires)["ended"], "timeout");
    assert_untouched(&mut target);

    let outlives = detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    target.go().unwrap();
    target.finish().unwrap();
    daemon.wait_until_none_lives().unwrap();
    let line = probe(&daemon, &outlives);
    assert_eq!((&line["ended"], &line["written"]), (&"process_gone".into(), &10.into()));
    assert_eq!(line["outcomes"]["captured"], 10);
}

/// END-1
#[test]
fn probes_end_with_the_daemon() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    let pid = target.pid().to_string();
    let client = armed_elsewhere(&daemon, &pid);
    target.go().unwrap();
    let (status, socket) = daemon.stop().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_untouched(&mut target);
    let done = client.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.output().unwrap().contains(" of 2 hits; stopped"), "{done:?}");
    assert!(!socket.exists());

    let daemon = Daemon::start().unwrap();
    detach(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    let client = armed_elsewhere(&daemon, &pid);
    let folder = daemon.kill().unwrap();
    wait_untouched(&target);
    assert_untouched(&mut target);
    let done = client.finish().unwrap();
    assert_eq!(done.status.code(), Some(45), "{done:?}");
    assert!(done.errors().unwrap().contains("the daemon went away"), "{done:?}");
    // The socket that it left is replaced.
    assert!(folder.path().join("sock").exists());
    let daemon = Daemon::start_in(folder, &[]).unwrap();
    assert!(daemon.probes().unwrap().is_empty());
}

/// At another place of the same process, with a client that waits.
fn armed_elsewhere(daemon: &Daemon, pid: &str) -> RunningTracer {
    let arguments = ["snapshot", "-p", pid, "caller", "--hits", "0", "--rate", "0"];
    let mut client = RunningTracer::start(&mut daemon.command(&arguments).unwrap()).unwrap();
    client.wait_for("probing ").unwrap();
    client
}

/// END-1
#[test]
fn a_probe_ends_with_its_client() {
    let mut target = target();
    let daemon = Daemon::start().unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let tracer = armed(&daemon, &target, &["--hits", "0", "--rate", "0"]);
        target.go().unwrap();
        send(&tracer, signal);
        let done = tracer.finish().unwrap();
        assert_eq!(done.status.code(), Some(code), "{done:?}");
        assert!(done.output().unwrap().contains(" of 10 hits; stopped"), "{done:?}");
        // At once, not a little later.
        assert_untouched(&mut target);
    }
    let mut tracer = armed(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    target.go().unwrap();
    tracer.kill().unwrap();
    daemon.wait_until_none_lives().unwrap();
    assert_untouched(&mut target);

    let mut tracer = armed(&daemon, &target, &["--hits", "0", "--rate", "0"]);
    tracer.close_output();
    assert_eq!(tracer.finish().unwrap().status.code(), Some(0));
    assert_untouched(&mut target);
}

fn send(tracer: &RunningTracer, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(tracer.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn without_a_daemon_the_work_is_done_here_and_what_needs_one_says_so() {
    let mut target = target();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let pid = target.pid().to_string();
    let done = asked(&socket, &["find", "-p", &pid, "counted"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    for arguments in [
        &["list"][..],
        &["remove", "x"],
        &["captures", "x"],
        &["snapshot", "-p", &pid, "counted", "--detach"],
    ] {
        let done = asked(&socket, arguments);
        assert_eq!(done.status.code(), Some(44), "{done:?}");
        assert!(done.errors().unwrap().contains("start one: `tracer daemon`"), "{done:?}");
    }
    assert_untouched(&mut target);
}

fn asked(socket: &Path, arguments: &[&str]) -> Done {
    let mut command = tracer_tests::cli::command(arguments).unwrap();
    command.env_remove("TRACER_DAEMON").env_remove("TRACER_ATTACH").arg("--socket").arg(socket);
    RunningTracer::start(&mut command).unwrap().finish().unwrap()
}

#[test]
fn the_service_manager_is_told() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(CLEANUP)).unwrap();
    let heard = || {
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    let mut command = tracer_tests::cli::command(&["daemon", "--metrics-listen", "off"]).unwrap();
    let daemon = Daemon::start_by(command.env("NOTIFY_SOCKET", &path), folder).unwrap();
    assert_eq!(heard(), "READY=1");
    daemon.probes().unwrap();
    daemon.stop().unwrap();
    assert_eq!(heard(), "STOPPING=1");
}

/// While nothing is asked nothing runs.
///
/// COST-1
#[test]
fn an_idle_daemon_costs_nothing() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    assert!(daemon.probes().unwrap().is_empty());
    let status = |name: &str| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let (resident_kib, wakes) = (status("VmRSS:"), status("voluntary_ctxt_switches:"));
    std::thread::sleep(Duration::from_secs(3));
    let wakes = status("voluntary_ctxt_switches:") - wakes;
    println!("resident: {resident_kib} KiB; woken {wakes} times in 3 s");
    assert!(resident_kib <= 30 * 1024);
    // What is left of the last connection; a timer of a second would come more often.
    assert!(wakes < 3);
}
