//! Probes in programs that do not run yet: they wait for the first process of the caller that runs
//! the file.

use serde_json::{Value as Json, json};
use std::fs;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tracer_core::engine::event::{Ended, Event, Summary};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::caller::Caller;
use tracer_core::model::process::ProcessSpec;
use tracer_tests::cli::{RunningTracer, command, tracer};
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{engine, request};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

const NO_HIT: i32 = 28;
const NO_PROGRAM: i32 = 58;
/// How long a process may take to be noticed and probed, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Users without processes of their own.
const OWNER: u32 = 65534;
const STRANGER: u32 = 65533;

/// A program that nobody else runs, where every user may run it.
struct Program {
    folder: TempDir,
    path: PathBuf,
}

impl Program {
    fn new(name: &str) -> Self {
        require().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join(name);
        fs::copy(Target::c(name, "gcc", &["-O2"]).unwrap().program, &path).unwrap();
        Self { folder, path }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn start(&self, arguments: &[&str]) -> RunningTarget {
        RunningTarget::start(Command::new(&self.path).args(arguments)).unwrap()
    }

    /// Leaves a probe to a daemon; gives its name.
    fn detach(&self, daemon: &Daemon, location: &str, arguments: &[&str]) -> String {
        let first = ["snapshot", "--exe", self.name(), location, "--detach"];
        let done = daemon.tracer(&[&first[..], &["--budget", "10"], arguments].concat()).unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        let said = done.errors().unwrap();
        assert!(said.contains("waiting for a process that runs"), "{said}");
        done.output().unwrap().trim().to_owned()
    }
}

fn probe(daemon: &Daemon, id: &str) -> Json {
    daemon.ask("GET", &format!("/v1/probes/{id}"), None).unwrap().json().unwrap()
}

/// Asks again and again until a probe is in this state.
fn wait_for(daemon: &Daemon, id: &str, state: &str) -> Json {
    let start = Instant::now();
    loop {
        let line = probe(daemon, id);
        if line["state"] == state {
            return line;
        }
        assert!(start.elapsed() < PATIENCE && line["state"] != "failed", "{line:#}");
        std::thread::yield_now();
    }
}

/// SAFE-1, END-1
#[test]
fn a_probe_waits_for_its_program_and_ends_with_its_process() {
    let program = Program::new("counter");
    let daemon = Daemon::start().unwrap();
    let id = program.detach(&daemon, "counted", &["--hits", "0", "--rate", "0"]);
    let line = probe(&daemon, &id);
    assert_eq!((&line["state"], &line["pid"]), (&"pending".into(), &Json::Null), "{line:#}");
    let listed = daemon.tracer(&["list"]).unwrap();
    assert!(listed.output().unwrap().contains("pending"), "{listed:?}");
    let from = Instant::now();
    let mut target = program.start(&["2", "5"]);
    let line = wait_for(&daemon, &id, "armed");
    println!("armed {} ms after its process was started", from.elapsed().as_millis());
    assert_eq!((&line["pid"], &line["sites"]), (&target.pid().into(), &1.into()), "{line:#}");
    assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
    // It is for one process only.
    let mut other = program.start(&["2", "5"]);
    target.go().unwrap();
    other.go().unwrap();
    require_as_in_files(other.pid()).unwrap();
    assert_eq!(probe(&daemon, &id)["outcomes"]["captured"], 10);
    target.finish().unwrap();
    assert_eq!(wait_for(&daemon, &id, "ended")["ended"], "process_gone");
    let lines = daemon.ask("GET", &format!("/v1/probes/{id}/captures"), None).unwrap();
    let lines = lines.lines().unwrap();
    let left = lines[0]["armed"]["timeout_ms"].as_u64().unwrap();
    assert!(left < 3_600_000, "the hour began when it was asked for: {left} ms");
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "the first calls are there");
}

/// IDENT-5
#[test]
fn a_process_that_becomes_the_program_is_noticed() {
    let [owned, program] = ["owned", "counter"].map(Program::new);
    let daemon = Daemon::start().unwrap();
    let mut target = owned.start(&[]);
    let id = program.detach(&daemon, "counted", &["--hits", "1"]);
    target.become_another(&program.path).unwrap();
    let line = wait_for(&daemon, &id, "armed");
    assert_eq!(line["pid"], target.pid(), "{line:#}");
    target.go().unwrap();
    let line = wait_for(&daemon, &id, "ended");
    assert_eq!((&line["ended"], &line["written"]), (&"complete".into(), &1.into()), "{line:#}");
}

#[test]
fn without_a_daemon_a_command_waits_too() {
    let program = Program::new("owned");
    let arguments = ["snapshot", "--exe", program.name(), "libc.so.6!getppid"];
    let mut tracer = RunningTracer::start(&mut command(&arguments).unwrap()).unwrap();
    tracer.wait_for("waiting for a process that runs").unwrap();
    let mut target = program.start(&[]);
    tracer.wait_for("probing ").unwrap();
    target.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.output().unwrap().contains("getppid"), "{done:?}");
    // One that runs already is as good.
    let tracer = RunningTracer::armed(&["snapshot", "--exe", program.name(), "counted"]).unwrap();
    target.go().unwrap();
    assert_eq!(tracer.finish().unwrap().status.code(), Some(0));
    let nothing = ["snapshot", "--exe", program.name(), "no_such_function"];
    let done = self::tracer(&nothing).unwrap();
    assert!(done.errors().unwrap().contains("no function has this name"), "{done:?}");
    require_as_in_files(target.pid()).unwrap();
}

/// END-1
#[test]
fn the_lease_of_a_pending_probe_is_obeyed() {
    let program = Program::new("counter");
    let daemon = Daemon::start().unwrap();
    let id = program.detach(&daemon, "counted", &["--timeout", "2s"]);
    let order = |id: &str, what: &str, body: Option<&Json>| {
        let answer = daemon.ask("POST", &format!("/v1/probes/{id}/{what}"), body).unwrap();
        (answer.status, answer.json().unwrap())
    };
    let (status, line) = order(&id, "pause", None);
    assert_eq!((status, &line["error"]["code"]), (409, &"still_pending".into()), "{line}");
    assert_eq!(order(&id, "resume", None).0, 200);
    let before = probe(&daemon, &id)["expires_unix_ms"].as_u64().unwrap();
    let (status, line) = order(&id, "extend", Some(&json!({ "by_ms": 100 })));
    assert_eq!((status, line["expires_unix_ms"].as_u64()), (200, Some(before + 100)), "{line}");
    let line = wait_for(&daemon, &id, "ended");
    assert_eq!((&line["ended"], &line["text_restored"]), (&"timeout".into(), &true.into()));

    let removed = program.detach(&daemon, "counted", &[]);
    let done = daemon.tracer(&["remove", &removed]).unwrap();
    assert!(done.output().unwrap().contains("is out; 0 captures"), "{done:?}");
    let stopped = program.detach(&daemon, "counted", &[]);
    // Of this daemon only: the command would end other tracers of the machine too.
    let answer = daemon.ask("POST", "/v1/stop-all", None).unwrap().json().unwrap();
    let line = &answer["stopped"][0];
    assert_eq!((&line["id"], &line["text"]), (&json!(stopped), &"restored".into()), "{answer}");
    for id in [removed, stopped] {
        assert_eq!(probe(&daemon, &id)["ended"], "stopped");
    }
    let mut target = program.start(&["2", "5"]);
    assert_eq!(target.go().unwrap(), 10);
    require_as_in_files(target.pid()).unwrap();
}

#[test]
fn what_can_never_run_is_refused_and_what_did_not_is_told() {
    let program = Program::new("counter");
    let script = program.folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let daemon = Daemon::start().unwrap();
    for path in ["/no/such/program", "/tmp", script.to_str().unwrap()] {
        let arguments = ["snapshot", "--exe", path, "counted"];
        for done in [daemon.tracer(&arguments).unwrap(), tracer(&arguments).unwrap()] {
            assert_eq!(done.status.code(), Some(NO_PROGRAM), "{done:?}");
            assert!(done.errors().unwrap().contains("readlink -f PATH"), "{done:?}");
        }
    }
    let arguments = ["snapshot", "--exe", program.name(), "counted", "--timeout", "200ms"];
    for done in [daemon.tracer(&arguments).unwrap(), tracer(&arguments).unwrap()] {
        assert_eq!(done.status.code(), Some(NO_HIT), "{done:?}");
        let why = format!("no process of yours ran {}", program.name());
        assert!(done.errors().unwrap().contains(&why), "{done:?}");
    }
}

/// Takes one capture for a user, of whatever runs the program while that works once.
fn taken_by(
    uid: u32,
    program: &Program,
    timeout: Duration,
    target: &mut RunningTarget,
) -> (Summary, u64) {
    let request = SnapshotRequest {
        caller: Caller::User { uid, gid: uid },
        process: ProcessSpec::Exe(program.path.clone()),
        timeout,
        ..request(0, "counted").unwrap()
    };
    let (stop, _keep_going) = std::io::pipe().unwrap();
    let mut captures = 0;
    let summary = engine().snapshot(&request, stop.as_fd(), &mut |event| {
        match event {
            Event::Armed(_) => drop(target.go().unwrap()),
            Event::Capture { .. } => captures += 1,
            _ => {}
        }
        ControlFlow::Continue(())
    });
    (summary.unwrap(), captures)
}

/// AUTH-1, IDENT-5
#[test]
fn a_process_of_another_user_is_not_taken() {
    let program = Program::new("owned");
    let mut target =
        RunningTarget::start(Command::new(&program.path).uid(OWNER).gid(OWNER)).unwrap();
    let (summary, captures) = taken_by(STRANGER, &program, Duration::from_millis(500), &mut target);
    assert_eq!((summary.ended, captures), (Ended::Timeout, 0), "{summary:?}");
    require_as_in_files(target.pid()).unwrap();
    let (summary, captures) = taken_by(OWNER, &program, PATIENCE, &mut target);
    assert_eq!((summary.ended, captures), (Ended::Complete, 1), "{summary:?}");
}
