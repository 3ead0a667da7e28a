//! `tracer stop-all` and SIGUSR1: every probe out, and proven in the code of every target.

use super::{Daemon, assert_untouched, detach, probe, target};
use rustix::process::Signal;
use serde_json::Value as Json;
use std::process::Command;
use tracer_tests::cli::{Done, RunningTracer};
use tracer_tests::project;
use tracer_tests::text::require_as_in_files;

/// `tracer stop-all` on a machine that has no processes but these: others may be traced meanwhile.
/// Its `/proc` is made of theirs.
fn stop_all(daemon: Option<&Daemon>, pids: &[u32], arguments: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        proc=$1 tracer=$2 pids="$3 $$"
        shift 3
        mount -t tmpfs none "$proc"
        for pid in $pids; do mkdir "$proc/$pid" && mount --bind "/proc/$pid" "$proc/$pid"; done
        ln -s $$ "$proc/self"
        mount --rbind "$proc" /proc
        exec "$tracer" stop-all "$@"
    "#;
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(folder.path());
    command.arg(project::tracer().unwrap()).arg(pids.join(" ")).args(arguments);
    command.env_remove("TRACER_LOG").env_remove("TRACER_DAEMON").env_remove("TRACER_ATTACH");
    // Nobody listens there.
    let nowhere = folder.path().join("none");
    command.env("TRACER_SOCKET", daemon.map_or(nowhere, Daemon::socket));
    RunningTracer::start(&mut command).unwrap().finish().unwrap()
}

/// A process, those that it has started, and so on.
fn with_children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children = children.split_whitespace().map(|child| child.parse().unwrap());
    [pid].into_iter().chain(children.flat_map(with_children)).collect()
}

fn lines(done: &Done) -> Vec<Json> {
    done.output().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// STOP-1, SAFE-1
#[test]
fn every_probe_of_the_daemon_is_out_and_proven() {
    let [mut one, mut other] = [target(), target()];
    let daemon = Daemon::start().unwrap();
    let ids = [&one, &other].map(|target| detach(&daemon, target, &["--hits", "0", "--rate", "0"]));
    let paused = daemon.tracer(&["pause", &ids[1]]).unwrap();
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    let gone = target();
    let ended = detach(&daemon, &gone, &["--hits", "0", "--rate", "0"]);
    gone.finish().unwrap();
    daemon.tracer(&["remove", &ended]).unwrap();

    one.go().unwrap();
    let done = stop_all(Some(&daemon), &[one.pid(), other.pid()], &["--json"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let told = lines(&done);
    assert_eq!(told.len(), 2, "what has ended is no probe any more: {done:?}");
    for ((id, target), line) in ids.iter().zip([&mut one, &mut other]).zip(&told) {
        assert_eq!((&line["id"], &line["pid"]), (&id.as_str().into(), &target.pid().into()));
        assert_eq!((&line["text"], &line["sites"]), (&"restored".into(), &1.into()), "{line}");
        assert_untouched(target);
        assert_eq!(probe(&daemon, id)["ended"], "stopped");
    }
    let done = stop_all(Some(&daemon), &[], &[]);
    assert_eq!(done.output().unwrap(), "no probes\n", "{done:?}");
    // It takes new ones.
    let again = detach(&daemon, &one, &["--hits", "0", "--rate", "0"]);
    let done = stop_all(Some(&daemon), &[one.pid()], &[]);
    let said = done.output().unwrap();
    assert!(said.contains(&again) && said.contains("1 is out; the code of every"), "{done:?}");
}

/// Those that no daemon knows of: a command that works alone, and a daemon at another socket.
///
/// STOP-1, SAFE-1
#[test]
fn tracers_that_no_daemon_knows_of_are_told_by_a_signal() {
    let [mut one, mut other] = [target(), target()];
    let elsewhere = Daemon::start().unwrap();
    let id = detach(&elsewhere, &one, &["--hits", "0", "--rate", "0"]);
    let arguments =
        ["snapshot", "-p", &other.pid().to_string(), "counted", "--hits", "0", "--rate", "0"];
    let alone = RunningTracer::armed(&arguments).unwrap();
    let mut pids = vec![one.pid(), other.pid()];
    pids.extend(with_children(elsewhere.pid()));
    pids.extend(with_children(alone.pid()));

    let done = stop_all(None, &pids, &["--json"]);
    let told = lines(&done);
    assert_eq!(told.len(), 2, "{done:?}");
    let is_told = std::env::var_os("TRACER_ATTACH").is_none_or(|how| how != "perf");
    for (tracer, target) in [(elsewhere.pid(), &mut one), (alone.pid(), &mut other)] {
        let id = format!("process {tracer}");
        let line = told.iter().find(|line| line["id"] == id.as_str()).unwrap();
        if is_told {
            assert_eq!((&line["pid"], &line["sites"]), (&target.pid().into(), &1.into()), "{line}");
            assert_eq!(line["text"], "restored", "{line}");
        } else {
            assert_eq!(line["text"], "unknown", "the kernel does not tell: {line}");
        }
        assert_untouched(target);
    }
    assert_eq!(done.status.code(), Some(if is_told { 0 } else { 1 }), "{done:?}");
    elsewhere.wait_until_none_lives().unwrap();
    assert_eq!(probe(&elsewhere, &id)["ended"], "stopped");
    let alone = alone.finish().unwrap();
    assert_eq!(alone.status.code(), Some(128 + Signal::USR1.as_raw()), "{alone:?}");
    assert!(alone.output().unwrap().contains("the code is as before"), "{alone:?}");
}

/// STOP-1
#[test]
fn the_signal_takes_all_probes_of_a_daemon_out_and_its_log_has_the_proof() {
    let mut target = target();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let mut command = tracer_tests::cli::command(&["daemon", "--metrics-listen", "off"]).unwrap();
    let mut daemon = RunningTracer::start(command.arg("--socket").arg(&socket)).unwrap();
    daemon.wait_for("the daemon listens").unwrap();
    let pid = target.pid().to_string();
    let mut place =
        tracer_tests::cli::command(&["snapshot", "-p", &pid, "counted", "--detach"]).unwrap();
    place.env_remove("TRACER_DAEMON").env_remove("TRACER_ATTACH").env("TRACER_SOCKET", &socket);
    let placed = RunningTracer::start(&mut place).unwrap().finish().unwrap();
    assert_eq!(placed.status.code(), Some(0), "{placed:?}");
    let id = placed.output().unwrap().trim().to_owned();
    assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");

    super::send(&daemon, Signal::USR1);
    let proof = format!("id=\"{id}\"");
    daemon.wait_for("a probe is out").unwrap();
    daemon.wait_for("all probes were to be taken out clean=1 all=1").unwrap();
    assert_untouched(&mut target);
    super::send(&daemon, Signal::TERM);
    let done = daemon.finish().unwrap();
    let log = done.errors().unwrap();
    let line = log.lines().find(|line| line.contains("a probe is out")).unwrap();
    assert!(line.contains(&proof) && line.contains("text=\"restored\""), "{line}");
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}
