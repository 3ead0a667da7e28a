//! Bad input: a message that says what to do next, an exit code of its own, nothing left behind,
//! and the target untouched.

mod files;
mod locations;
mod processes;

use serde_json::Value as Json;
use std::process::Command;
use tracer_core::model::issue::IssueKind;
use tracer_tests::cli::{self, Done, RunningTracer};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

/// What is told about an error with `--json`.
#[derive(Debug)]
struct Told {
    text: String,
    detail: String,
    candidates: Vec<String>,
}

impl Told {
    /// Every fact that was told, in one text.
    fn all(&self) -> String {
        format!("{} {} {:?}", self.text, self.detail, self.candidates)
    }
}

/// A snapshot that `kind` must refuse, told for people and in JSON; `change` prepares the command.
fn refused(pid: u32, location: &str, kind: IssueKind, change: &dyn Fn(Command) -> Command) -> Told {
    let pid = pid.to_string();
    let arguments = ["snapshot", "-p", &pid, location, "--timeout", "10s"];
    let run = |arguments: &[&str]| -> Done {
        let mut command = change(cli::command(arguments).unwrap());
        RunningTracer::start(&mut command).unwrap().finish().unwrap()
    };
    let text = run(&arguments);
    let code = Some(i32::from(kind.exit_code()));
    assert_eq!(text.status.code(), code, "{location}: {text:?}");
    let said = text.errors().unwrap();
    println!("{said}");
    assert!(said.starts_with("error: "), "{said}");
    assert!(said.contains(kind.text()), "{said}");
    assert!(said.contains(&format!("help: {}", kind.remedy())), "{said}");
    assert!(text.stdout.is_empty(), "{text:?}");

    let json = run(&[arguments.as_slice(), &["--json"]].concat());
    assert_eq!(json.status.code(), code, "{json:?}");
    let line: Json = serde_json::from_slice(&json.stderr).unwrap();
    let error = &line["error"];
    assert_eq!(error["code"], kind.code(), "{line}");
    assert_eq!(error["exit_code"], kind.exit_code(), "{line}");
    assert_eq!(error["remedy"], kind.remedy(), "{line}");
    let string = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let candidates = error["candidates"].as_array().into_iter().flatten();
    Told {
        text: format!("{}: {}", string("subject"), string("text")),
        detail: string("detail"),
        candidates: candidates.map(|name| name.as_str().unwrap().to_owned()).collect(),
    }
}

/// The same for a target, which must be as it was.
fn refused_at(target: &mut RunningTarget, location: &str, kind: IssueKind) -> Told {
    let told = refused(target.pid(), location, kind, &|command| command);
    assert_untouched(target);
    told
}

/// The target's code is as in its files, and it works.
fn assert_untouched(target: &mut RunningTarget) {
    require_as_in_files(target.pid()).unwrap();
    let before = target.count;
    assert!(target.go().unwrap() > before);
}

/// A snapshot that must be taken; gives its lines of JSON.
fn taken(target: &mut RunningTarget, location: &str) -> Vec<Json> {
    let pid = target.pid().to_string();
    let arguments = ["snapshot", "-p", &pid, location, "--json", "--timeout", "60s"];
    let mut tracer = RunningTracer::start(&mut cli::command(&arguments).unwrap()).unwrap();
    // Nothing says in JSON that the probe is in place, so the target works until it was hit.
    while tracer.runs().unwrap() {
        target.go().unwrap();
    }
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{location}: {done:?}");
    assert_untouched(target);
    let lines = done.output().unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A program with one thread and a few calls for each "go".
fn counter() -> Target {
    Target::c("counter", "gcc", &["-O2"]).unwrap()
}

fn start(target: &Target) -> RunningTarget {
    target.start(&["1", "5"]).unwrap()
}

/// `tracer help errors` lists each exit code with its code once.
#[test]
fn help_lists_every_exit_code() {
    let done = cli::tracer(&["help", "errors"]).unwrap();
    let page = done.output().unwrap();
    let mut codes = Vec::new();
    for kind in IssueKind::ALL {
        let code = kind.exit_code();
        let words = format!("{code}  {} ", kind.code());
        assert_eq!(page.matches(&words).count(), 1, "{words}");
        codes.push(code);
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), IssueKind::ALL.len(), "an exit code means two things");
}

/// Not an issue of the target's, but of the words: nothing is touched.
#[test]
fn wrong_usage() {
    for arguments in [
        ["snapshot", "-p", "0", "main"].as_slice(),
        &["snapshot", "main"],
        &["snapshot", "-p", "1", "main", "--stack", "1TiB"],
        &["snapshot", "-p", "1", "main", "--nonsense"],
        &["nonsense"],
    ] {
        let done = cli::tracer(arguments).unwrap();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {done:?}");
        assert!(!done.stderr.is_empty());
    }
}
