//! Arguments as typed → as meant; events → output and exit codes.

use super::failure::Failure;
use super::output::{Format, Output};
use super::show::{Show, Shown};
use super::snapshot::{exit_code, options, request};
use super::{Cli, Command, SnapshotArgs};
use crate::api::probes::{HITS, ProbeRequest, TIMEOUT_MS};
use crate::api::refusal::RefusalKind;
use crate::api::stream::{Lines, StreamLine};
use crate::api::types::{ERROR, ErrorLine};
use crate::api::{convert, json, samples};
use clap::{CommandFactory as _, Parser as _};
use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Duration;
use tracer_common::limits::RING_BYTES;
use tracer_core::engine::event::{Ended, Summary};
use tracer_core::engine::options::{AttachMode, Options};
use tracer_core::engine::request::{SnapshotRequest, ring_bytes};
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_core::model::limits::Limits;
use tracer_core::model::process::ProcessSpec;
use tracer_core::model::resolved::LocationSpec;

fn snapshot(arguments: &[&str]) -> Result<SnapshotArgs, clap::Error> {
    let all = ["tracer", "snapshot", "-p", "4242", "f"].iter().chain(arguments);
    match Cli::try_parse_from(all)?.command {
        Command::Snapshot(args) => Ok(args),
        other => panic!("{other:?}"),
    }
}

fn requested(arguments: &[&str]) -> SnapshotRequest {
    let function = LocationSpec::Function { module: None, name: "f".to_owned(), offset: None };
    request(&snapshot(arguments).unwrap(), function)
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn nothing_asked_for_gives_the_documented_defaults() {
    let request = requested(&[]);
    assert_eq!(request.process, ProcessSpec::Pid(4242));
    assert_eq!(request.location_text, "f");
    assert_eq!(request.hits, 1);
    assert_eq!(request.rate, 0);
    assert_eq!(request.timeout, Duration::from_secs(30));
    assert_eq!(request.limits, Limits::DEFAULT);
    assert_eq!(request.ring_bytes, ring_bytes(1, &Limits::DEFAULT));
    assert_eq!(requested(&["--hits=0"]).ring_bytes, RING_BYTES);
    assert_eq!(options(&snapshot(&[]).unwrap()), Options::default());
}

#[test]
fn what_is_typed_is_what_is_requested() {
    let request = requested(&[
        "--hits=5",
        "--rate=10",
        "--timeout=500ms",
        "--depth=8",
        "--max-string=4k",
        "--max-items=7",
        "--stack=64KiB",
        "--limit-bytes=100",
        "--globals",
        "--ring-bytes=64k",
    ]);
    assert_eq!((request.hits, request.rate), (5, 10));
    assert_eq!(request.timeout, Duration::from_millis(500));
    assert_eq!(
        request.limits,
        Limits {
            stack_bytes: 65536,
            bytes_max: 100,
            text_bytes_max: 4096,
            items_max: 7,
            depth_max: 8,
            nodes_max: Limits::DEFAULT.nodes_max,
            globals_max: 100,
        }
    );
    assert_eq!(request.ring_bytes, 65536);
    let options = options(&snapshot(&["--kernel-log=debug", "--attach=perf"]).unwrap());
    assert_eq!(options.kernel_log, Some(tracing::Level::DEBUG));
    assert_eq!(options.attach, AttachMode::Perf);
}

#[test]
fn a_program_is_meant_by_the_path_that_leads_to_it() {
    let meant = |path: &str| {
        let all = ["tracer", "snapshot", "f", "--exe", path];
        let Command::Snapshot(args) = Cli::try_parse_from(all).unwrap().command else { panic!() };
        let function = LocationSpec::Function { module: None, name: "f".to_owned(), offset: None };
        request(&args, function)
    };
    let own = std::env::current_exe().unwrap().canonicalize().unwrap();
    let request = meant("/proc/self/exe");
    assert_eq!(request.process, ProcessSpec::Exe(own.clone()));
    let asked = ProbeRequest::of(&request, false);
    assert_eq!((asked.pid, asked.exe.as_deref()), (None, own.to_str()));
    let missing = std::path::absolute("no/such/program").unwrap();
    assert_eq!(meant("no/such/program").process, ProcessSpec::Exe(missing));
}

#[test]
fn a_probe_that_is_left_to_a_daemon_waits_longer() {
    let request = requested(&["--detach"]);
    assert_eq!((request.hits, request.timeout), (HITS, Duration::from_millis(TIMEOUT_MS)));
    let asked = ProbeRequest::of(&request, true);
    assert_eq!((asked.hits, asked.timeout_ms, asked.detach), (HITS, TIMEOUT_MS, true));
    assert_eq!(requested(&["--detach", "--hits=3"]).hits, 3);
}

#[test]
fn a_daemon_listens_where_it_is_told() {
    let config = |arguments: &[&str]| {
        let all = ["tracer", "daemon"].iter().chain(arguments);
        let cli = Cli::try_parse_from(all).unwrap();
        let Command::Daemon(args) = &cli.command else { panic!("{cli:?}") };
        super::daemon::config(args, &cli.reach)
    };
    let default = config(&[]);
    assert_eq!(default.metrics_listen, "127.0.0.1:9464".parse().ok());
    assert_eq!((default.group, default.options), (None, Options::default()));
    let other = config(&["--socket=/x", "--group=g", "--metrics-listen=off", "--attach=perf"]);
    assert_eq!((other.socket, other.group), ("/x".into(), Some("g".to_owned())));
    assert_eq!((other.metrics_listen, other.options.attach), (None, AttachMode::Perf));
}

#[test]
fn what_is_out_of_range_is_wrong_usage_that_names_the_range() {
    for (argument, range) in [
        ("--depth=65", "0 to 64"),
        ("--max-string=0", "1 to 64KiB"),
        ("--max-string=65k", "1 to 64KiB"),
        ("--max-items=10001", "1 to 10000"),
        ("--stack=1M", "0 to 64KiB"),
        ("--limit-bytes=161k", "0 to 160KiB"),
        ("--timeout=0s", "1ms to 24h"),
        ("--ring-bytes=5000", "power of two"),
        ("--pid=0", "1..=4194304"),
        ("--pid=-1", "-1"),
        ("--exe=/bin/true", "cannot be used with"),
        ("--json", "--exe <PATH>"),
    ] {
        let mut arguments = vec!["tracer", "snapshot", "f", argument];
        if !argument.starts_with("--pid") && argument != "--json" {
            arguments.push("-p1");
        }
        let error = Cli::try_parse_from(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{argument}");
        assert!(error.to_string().contains(range), "{argument}: {error}");
    }
}

#[test]
fn the_help_names_the_limits_as_they_are() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("snapshot").unwrap().render_help().to_string();
    let (default, ceiling) = (Limits::DEFAULT, Limits::CEILING);
    for (option, ceiling, default) in [
        ("--depth", ceiling.depth_max.to_string(), default.depth_max.to_string()),
        ("--max-items", ceiling.items_max.to_string(), default.items_max.to_string()),
        ("--max-string", size(ceiling.text_bytes_max), size(default.text_bytes_max)),
        ("--stack", size(ceiling.stack_bytes), size(default.stack_bytes)),
        ("--limit-bytes", size(ceiling.bytes_max), size(default.bytes_max)),
    ] {
        let text = help.rsplit(option).next().unwrap().split("  --").next().unwrap();
        assert!(text.contains(&format!("(up to {ceiling})")), "{option}: {text}");
        assert!(text.contains(&format!("[default: {default}]")), "{option}: {text}");
    }
}

fn size(bytes: u32) -> String {
    super::units::bytes_text(bytes)
}

#[test]
fn every_issue_has_its_own_code_and_exit_code() {
    let codes: HashSet<_> = IssueKind::ALL.iter().map(|kind| kind.code()).collect();
    let exits: HashSet<_> = IssueKind::ALL.iter().map(|kind| kind.exit_code()).collect();
    assert_eq!(codes.len(), IssueKind::ALL.len());
    assert_eq!(exits.len(), IssueKind::ALL.len());
    assert!(exits.iter().all(|code| (3..126).contains(code)), "126 up belong to the shell");
}

#[test]
fn help_errors_lists_every_issue_with_its_remedy() {
    let page = super::errors::errors().plain();
    for kind in IssueKind::ALL {
        let head = page.lines().find(|line| line.split_whitespace().nth(1) == Some(kind.code()));
        let head = head.unwrap_or_else(|| panic!("{kind:?} is missing"));
        assert!(head.trim_start().starts_with(&kind.exit_code().to_string()));
        assert!(head.ends_with(kind.text()));
        assert!(page.contains(kind.remedy()));
    }
    for kind in RefusalKind::ALL {
        assert!(page.lines().any(|line| line.contains(kind.code()) && line.ends_with(kind.text())));
        assert!(page.contains(kind.remedy()));
        let issue = IssueKind::ALL.iter().find(|issue| issue.exit_code() == kind.exit_code());
        assert!(matches!(issue, None | Some(IssueKind::NoPermission)), "{kind:?}");
    }
    for code in ["  0 ", "  1 ", "  2 ", "130 ", "143 ", "129 "] {
        assert!(page.lines().any(|line| line.contains(code)), "{code}");
    }
}

fn ended(ended: Ended, hits: u64) -> Summary {
    Summary { hits, ended, ..Summary::default() }
}

fn exit(summary: &Summary, written: u64, signal: Option<u8>) -> u8 {
    let end = Some(Ok(convert::summary("p1", written, summary).summary));
    exit_of(Shown { written, end }, signal)
}

fn exit_of(shown: Shown, signal: Option<u8>) -> u8 {
    exit_code(&requested(&[]), shown, signal).unwrap_or_else(|failure| failure.report().exit_code)
}

#[test]
fn exit_codes_tell_how_it_ended() {
    assert_eq!(exit(&ended(Ended::Complete, 1), 1, None), 0);
    assert_eq!(exit(&ended(Ended::Timeout, 1), 1, None), 0, "some captures are a result");
    assert_eq!(exit(&ended(Ended::Timeout, 0), 0, None), 28);
    assert_eq!(exit(&ended(Ended::Timeout, 9), 0, None), 31, "hits that were all lost");
    assert_eq!(exit(&ended(Ended::ProcessGone, 0), 0, None), 11);
    assert_eq!(exit(&ended(Ended::Stopped, 1), 1, Some(2)), 130);
    assert_eq!(exit(&ended(Ended::Stopped, 0), 0, Some(15)), 143);
    assert_eq!(exit(&ended(Ended::Stopped, 1), 1, None), 0, "the reader has seen enough");
    assert_eq!(exit(&ended(Ended::Complete, 1), 1, Some(2)), 0, "complete before the signal");
    assert_eq!(exit_of(Shown { written: 1, end: None }, None), 1, "nobody knows how it ended");
}

#[test]
fn an_error_in_the_stream_is_told_as_if_it_had_happened_here() {
    let issue = Issue::new(IssueKind::BeingDebugged, "f", "by gdb");
    let error = Failure::from(issue).report();
    let line = ErrorLine { schema: ERROR.into(), error };
    let mut bytes = Vec::new();
    let mut show = Show::new(Format::Json, &|| false, Output::new(&mut bytes));
    assert!(show.line(StreamLine::Error(Box::new(line))).is_continue());
    let shown = show.finish().unwrap();
    assert_eq!(exit_of(shown, None), IssueKind::BeingDebugged.exit_code());
    assert!(bytes.is_empty(), "errors go to stderr");
}

/// The lines of a probe with two captures.
fn lines() -> Vec<StreamLine> {
    let request = requested(&[]);
    let mut lines = Lines::new("p1".to_owned(), &request);
    samples::events().into_iter().map(|event| lines.line(event).unwrap()).collect()
}

/// What is printed of `lines`.
fn printed(format: Format, lines: Vec<StreamLine>) -> String {
    let mut bytes = Vec::new();
    let mut show = Show::new(format, &|| false, Output::new(&mut bytes));
    for line in lines {
        assert!(show.line(line).is_continue());
    }
    assert_eq!(show.finish().unwrap().written, 2);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn lines_that_have_come_as_json_are_shown_as_those_made_here() {
    for format in [Format::Text, Format::Json] {
        let read = |line: &StreamLine| StreamLine::read(&json::line(line).unwrap()).unwrap();
        let come = lines().iter().map(read).collect();
        assert_eq!(printed(format, come), printed(format, lines()));
    }
}

#[test]
fn json_output_is_captures_in_order_then_a_summary() {
    let lines: Vec<serde_json::Value> = printed(Format::Json, lines())
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["seq"], &lines[1]["seq"]), (&1.into(), &2.into()));
    assert_eq!(lines[2]["summary"]["written"], 2);
    assert!(lines.iter().all(|line| line["probe"] == lines[0]["probe"]));
}

#[test]
fn a_stop_that_was_asked_for_ends_the_captures() {
    let mut show = Show::new(Format::Json, &|| true, Output::new(io::sink()));
    assert!(show.line(lines().remove(0)).is_break());
}

#[test]
fn a_closed_pipe_ends_the_captures_and_counts_none() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in [Format::Json, Format::Text] {
        let mut show = Show::new(format, &|| false, Output::new(Closed));
        let mut lines = lines();
        let summary = lines.pop().unwrap();
        let mut lines = lines.into_iter();
        assert!(show.line(lines.next().unwrap()).is_continue());
        assert!(show.line(lines.next().unwrap()).is_break());
        assert!(show.line(summary).is_break());
        let shown = show.finish().expect("the reader has seen enough");
        assert_eq!(shown.written, 0);
        assert!(shown.end.unwrap().is_ok(), "how it ended is known");
    }
}
