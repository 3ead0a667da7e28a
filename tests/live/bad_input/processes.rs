//! Processes that can't be probed.

use super::{Told, assert_untouched, counter, refused, refused_at, start};
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use tracer_core::attach::text::process_bytes;
use tracer_core::model::address::Avma;
use tracer_core::model::issue::IssueKind;
use tracer_tests::cli::{self, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::project;
use tracer_tests::targets::{RunningTarget, Target};

/// A child that is ended and waited for, whatever happens.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn no_such_process() {
    require().unwrap();
    let mut ended = Owned(Command::new("true").spawn().unwrap());
    ended.0.wait().unwrap();
    let told = refused(ended.0.id(), "main", IssueKind::NoProcess, &|command| command);
    assert!(told.text.contains(&ended.0.id().to_string()), "{told:?}");
    // Above what the kernel gives out by default; a thread of the kernel has no program.
    refused(4_194_304, "main", IssueKind::NoProcess, &|command| command);
    let told = refused(2, "main", IssueKind::NoProcess, &|command| command);
    assert!(told.all().contains("thread of the kernel"), "{told:?}");
}

/// It has ended, but its parent has not waited for it.
#[test]
fn a_process_that_has_ended() {
    require().unwrap();
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let zombie = Owned(child);
    // The end of its output comes when it has closed all that it had.
    assert_eq!(BufReader::new(output).lines().count(), 0);
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", zombie.0.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
    };
    while !state() {
        std::thread::yield_now();
    }
    refused(zombie.0.id(), "main", IssueKind::ProcessGone, &|command| command);
}

/// The process ends at some moment while it is looked at or probed.
#[test]
fn a_process_that_ends_during_the_work() {
    require().unwrap();
    let mut codes = std::collections::BTreeMap::new();
    for round in 0..24_u32 {
        let target = start(&counter());
        let pid = target.pid().to_string();
        let arguments =
            ["snapshot", "-p", &pid, "counted", "--timeout", "60s", "--hits", "0", "--rate", "0"];
        let mut command = cli::command(&arguments).unwrap();
        let tracer = RunningTracer::start(&mut command).unwrap();
        // Other work that takes a little longer in each round decides the moment.
        for _ in 0..round * 8 {
            fs::read("/proc/self/maps").unwrap();
        }
        drop(target);
        let done = tracer.finish().unwrap();
        let code = done.status.code().unwrap_or(-1);
        *codes.entry(code).or_insert(0) += 1;
        assert!(matches!(code, 10 | 11), "{done:?}");
        assert!(done.errors().unwrap().contains("help: "), "{done:?}");
    }
    println!("exit codes: {codes:?}");
}

/// `tracer` where everybody may execute it.
fn for_everybody(folder: &tempfile::TempDir) -> std::path::PathBuf {
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("tracer");
    fs::copy(project::tracer().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    copy
}

const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn no_permission() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tracer = for_everybody(&folder);
    let as_nobody = |command: Command| {
        let mut nobody = Command::new("setpriv");
        nobody.args(NOBODY).arg(&tracer).args(command.get_args());
        nobody
    };
    // Another user's process may not even be looked at.
    let mut target = start(&counter());
    let told = refused(target.pid(), "counted", IssueKind::NoPermission, &as_nobody);
    assert!(told.detail.contains("/proc/"), "{told:?}");
    assert_untouched(&mut target);

    // One's own may, but the kernel takes no program.
    let program = folder.path().join("counter");
    fs::copy(counter().program, &program).unwrap();
    let mut own = Command::new("setpriv");
    own.args(NOBODY).arg(&program).args(["1", "5"]);
    let mut own = RunningTarget::start(&mut own).unwrap();
    refused(own.pid(), "counted", IssueKind::NoPermission, &as_nobody);
    assert_untouched(&mut own);
}

#[test]
fn a_process_under_a_debugger() {
    require().unwrap();
    let mut target = start(&counter());
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-p", &target.pid().to_string(), "-ex", "echo attached\\n"]);
    gdb.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut gdb = Owned(gdb.spawn().unwrap());
    let output = BufReader::new(gdb.0.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("attached")), "gdb did not attach");
    let told = refused(target.pid(), "counted", IssueKind::BeingDebugged, &|command| command);
    assert!(told.detail.contains(&gdb.0.id().to_string()), "{told:?}");
    // It detaches when it ends.
    drop(gdb.0.stdin.take());
    gdb.0.wait().unwrap();
    assert_untouched(&mut target);
}

fn places(argument: &str) -> RunningTarget {
    require().unwrap();
    let other = project::root().join("tests/targets/c/twin.c");
    let target = Target::c("places", "gcc", &["-O2", other.to_str().unwrap()]).unwrap();
    target.start(&[argument]).unwrap()
}

/// SAFE-4
#[test]
fn code_where_no_breakpoint_can_fire() {
    let mut target = places("rwx");
    refused_at(&mut target, "twins", IssueKind::CannotFire);
}

/// SAFE-4
#[test]
fn code_that_is_not_what_the_file_has() {
    let mut target = places("patch");
    let told = refused(target.pid(), "own_getpid", IssueKind::TextChanged, &|command| command);
    assert!(told.detail.contains("process [6a, 27, 58"), "{told:?}");
    // No breakpoint is left in what it has made of itself.
    let first_bytes = |pid: u32| process_bytes(pid, told_address(&told), 5).unwrap();
    assert_eq!(first_bytes(target.pid()), [0x6a, 0x27, 0x58, 0x66, 0x90]);
    let before = target.count;
    assert!(target.go().unwrap() > before);
}

/// The address that a message begins with.
fn told_address(told: &Told) -> Avma {
    let digits = told.text.strip_prefix("0x").unwrap().split(' ').next().unwrap();
    Avma(u64::from_str_radix(digits, 16).unwrap())
}
