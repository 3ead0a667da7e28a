//! The process that reads files: it has no rights, and what ends it ends nothing else.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tracer_tests::bombs::{self, Base};
use tracer_tests::cli::{Done, RunningTracer, command};
use tracer_tests::daemon::{Daemon, Open};
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};

/// Takes more than [`MEMORY_MIB`].
const BOMB: &str = "abbreviations without end";
/// Memory that the parser may take in the test of a bomb; honest files take less there.
const MEMORY_MIB: &str = "24";
/// The bomb is smaller than it could be, to be quick.
const SMALLER: usize = 8;
/// A limit that is met soon, and not by what is honest.
const SECONDS: &str = "3";

fn counter() -> (Target, RunningTarget) {
    let target = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let running = target.start(&["1", "1"]).unwrap();
    (target, running)
}

/// A daemon whose parser has these limits.
fn daemon(limits: &[(&str, &str)]) -> Daemon {
    let mut command = command(&["daemon", "--metrics-listen", "off"]).unwrap();
    command.args(["--process-budget", "25", "--node-budget", "25"]);
    command.envs(limits.iter().copied());
    Daemon::start_by(&mut command, tempfile::tempdir().unwrap()).unwrap()
}

/// Its one parser.
fn parser(daemon: &Daemon) -> u32 {
    let parsers = daemon.parsers().unwrap();
    let [parser] = parsers.as_slice() else { panic!("{parsers:?}") };
    *parser
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Ends a parser, and waits until it has.
fn end(daemon: &Daemon, parser: u32) {
    send(parser, Signal::KILL);
    while daemon.parsers().unwrap().contains(&parser) {
        std::thread::yield_now();
    }
}

/// A probe that takes all that comes, and the lines of it.
fn endless(daemon: &Daemon, pid: u32) -> Open {
    let words = ["--hits", "0", "--timeout", "1h", "--budget", "10", "--detach"];
    let pid = pid.to_string();
    let words = [&["snapshot", "-p", &pid, "counted"], words.as_slice()].concat();
    let done = daemon.tracer(&words).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let id = done.output().unwrap().trim();
    let path = format!("/v1/probes/{id}/captures?follow=true");
    daemon.open("GET", &path, &[]).unwrap()
}

/// Makes hits until one more is captured, whole.
fn captures_one(target: &mut RunningTarget, lines: &mut Open) {
    target.go().unwrap();
    loop {
        let line = lines.line().unwrap().expect("the probe has ended");
        if line["frames"].is_array() {
            let frame = &line["frames"][0];
            assert_eq!(frame["function"], "counted", "{line}");
            assert!(!frame["variables"].as_array().unwrap().is_empty(), "{line}");
            return;
        }
    }
}

fn find(daemon: &Daemon, pid: u32) -> Done {
    daemon.tracer(&["find", "-p", &pid.to_string(), "count", "--json"]).unwrap()
}

fn vars(daemon: &Daemon, pid: u32) -> Done {
    daemon.tracer(&["vars", "-p", &pid.to_string(), "counted", "--json"]).unwrap()
}

fn error(done: &Done) -> Json {
    let text = [done.output().unwrap(), done.errors().unwrap()].concat();
    assert_eq!(done.status.code(), Some(60), "{text}");
    let line: Json = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["error"]["code"], "unread", "{line}");
    line["error"].clone()
}

/// HOST-4
#[test]
fn the_parser_has_no_rights() {
    require().unwrap();
    let (_, target) = counter();
    let daemon = Daemon::start().unwrap();
    assert_eq!(find(&daemon, target.pid()).status.code(), Some(0));
    let folder = format!("/proc/{}", parser(&daemon));
    let status = fs::read_to_string(format!("{folder}/status")).unwrap();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for name in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(value(name), "0000000000000000", "{name}");
    }
    let nobody = "65534 65534 65534 65534";
    assert_eq!(
        (value("Uid:"), value("Gid:"), value("Groups:")),
        (nobody.into(), nobody.into(), String::new())
    );
    assert_eq!((value("Seccomp:"), value("NoNewPrivs:")), ("2".into(), "1".into()));
    let limits = fs::read_to_string(format!("{folder}/limits")).unwrap();
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(!limit("Max data size").contains("unlimited"), "{limits}");
    // What it has open: what is said to it, and files that it may only read.
    for fd in fs::read_dir(format!("{folder}/fd")).unwrap() {
        let fd = fd.unwrap();
        let opened = fs::read_link(fd.path()).unwrap();
        let mode = fd.path().symlink_metadata().unwrap().permissions().mode();
        let is_spoken = opened.starts_with("/dev/null") || !opened.is_absolute();
        assert!(is_spoken || mode & 0o200 == 0, "{opened:?} {mode:o}");
    }
}

/// HOST-4
#[test]
fn what_ends_the_parser_ends_nothing_else() {
    require().unwrap();
    let (_, mut target) = counter();
    let daemon = Daemon::start().unwrap();
    let mut lines = endless(&daemon, target.pid());
    captures_one(&mut target, &mut lines);
    // It dies while nobody asks it anything.
    let first = parser(&daemon);
    end(&daemon, first);
    captures_one(&mut target, &mut lines);
    assert_eq!(find(&daemon, target.pid()).status.code(), Some(0));
    assert!(!daemon.parsers().unwrap().contains(&first));

    // It dies while it is asked: who asked is answered by another one.
    let other = Target::c("values", "gcc", &["-O2"]).unwrap().start(&[]).unwrap();
    for parser in daemon.parsers().unwrap() {
        send(parser, Signal::STOP);
    }
    let words = ["find", "-p", &other.pid().to_string(), "call_", "--json"];
    let mut asked = RunningTracer::start(&mut daemon.command(&words).unwrap()).unwrap();
    assert!(asked.runs().unwrap());
    for parser in daemon.parsers().unwrap() {
        end(&daemon, parser);
    }
    let answer = asked.finish().unwrap();
    assert_eq!(answer.status.code(), Some(0), "{answer:?}");
    captures_one(&mut target, &mut lines);
}

/// HOST-4
#[test]
fn a_parser_that_takes_too_long_is_ended_with_a_reason() {
    require().unwrap();
    let (_, mut target) = counter();
    let daemon = daemon(&[("TRACER_PARSER_SECONDS", SECONDS)]);
    let mut lines = endless(&daemon, target.pid());
    captures_one(&mut target, &mut lines);
    let stopped = parser(&daemon);
    send(stopped, Signal::STOP);
    let error = error(&find(&daemon, target.pid()));
    assert!(error["detail"].as_str().unwrap().contains("more than 3 s"), "{error}");
    assert!(error["remedy"].as_str().unwrap().contains("TRACER_PARSER_SECONDS"), "{error}");
    // The probe's decoder was that parser too.
    captures_one(&mut target, &mut lines);
    assert_eq!(find(&daemon, target.pid()).status.code(), Some(0));
    assert!(!Path::new(&format!("/proc/{stopped}")).exists());
}

/// HOST-4
#[test]
fn a_file_that_takes_too_much_is_refused_until_it_is_another_one() {
    require().unwrap();
    let (program, mut target) = counter();
    let folder = tempfile::tempdir().unwrap();
    let base = Base::of(&program, folder.path(), SMALLER).unwrap();
    let bomb = bombs::all().into_iter().find(|bomb| bomb.name == BOMB).unwrap();
    let bomb = bomb.write(&base, folder.path()).unwrap();
    let victim = bomb.start(&["1", "1"]).unwrap();
    let daemon = daemon(&[("TRACER_PARSER_MIB", MEMORY_MIB)]);
    let mut lines = endless(&daemon, target.pid());
    captures_one(&mut target, &mut lines);
    let told = error(&vars(&daemon, victim.pid()));
    let path = bomb.program.to_str().unwrap();
    assert!(told["subject"].as_str() == Some(path), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("24 MiB"), "{told}");
    captures_one(&mut target, &mut lines);

    // Nobody dies of it again.
    assert_eq!(vars(&daemon, target.pid()).status.code(), Some(0));
    let before = daemon.parsers().unwrap();
    assert_eq!(error(&vars(&daemon, victim.pid())), told);
    assert_eq!(daemon.parsers().unwrap(), before);

    // As long as it is the same file.
    let permissions = fs::metadata(&bomb.program).unwrap().permissions();
    fs::set_permissions(&bomb.program, permissions).unwrap();
    error(&vars(&daemon, victim.pid()));
    assert_ne!(daemon.parsers().unwrap(), before);
    captures_one(&mut target, &mut lines);
}
