//! Whose processes a caller may trace: checked when a probe is placed and again at every hit.

use anyhow::Context as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use tracer_common::outcome::Outcome;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::event::{Ended, Event, Summary};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::caller::Caller;
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{during, engine, request, take};
use tracer_tests::targets::{RunningTarget, Target};

/// `nobody` and `nogroup`: without rights, and without processes of their own.
const OWNER: u32 = 65534;
const STRANGER: u32 = 65533;

/// The program in a directory that every user can enter.
struct Place {
    directory: tempfile::TempDir,
    program: PathBuf,
}

impl Place {
    fn new() -> Self {
        require().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let built = Target::c("owned", "gcc", &["-O2"]).unwrap().program;
        let program = directory.path().join("owned");
        fs::copy(built, &program).unwrap();
        Self { directory, program }
    }

    /// A copy of the program with a mode, such as setuid, of root's.
    fn copy(&self, name: &str, mode: u32) -> PathBuf {
        let copy = self.directory.path().join(name);
        fs::copy(&self.program, &copy).unwrap();
        chown(&copy, Some(0), Some(0)).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        copy
    }
}

/// Starts a program as the owner.
fn start(program: &Path, arguments: &[&str]) -> RunningTarget {
    let mut command = Command::new(program);
    RunningTarget::start(command.args(arguments).uid(OWNER).gid(OWNER)).unwrap()
}

fn asked_by(uid: u32, target: &RunningTarget, location: &str) -> SnapshotRequest {
    let request = request(target.pid(), location).unwrap();
    SnapshotRequest { caller: Caller::User { uid, gid: uid }, ..request }
}

/// Asks in vain; gives the reason.
fn refused(uid: u32, target: &mut RunningTarget) -> String {
    let error = take(&asked_by(uid, target, "counted"), target).unwrap_err();
    let EngineError::Issue(issue) = error.downcast::<EngineError>().unwrap() else {
        panic!("no issue")
    };
    assert_eq!(issue.kind, IssueKind::NotYours, "{issue}");
    let caller = Caller::User { uid, gid: uid };
    let asked = [engine().find(caller, target.pid(), "counted").map(drop), {
        let location = tracer_core::engine::parse_location("counted").unwrap();
        engine().vars(caller, target.pid(), &location, "counted").map(drop)
    }];
    for answer in asked {
        let Err(EngineError::Issue(Issue { kind, .. })) = answer else { panic!("{answer:?}") };
        assert_eq!(kind, IssueKind::NotYours);
    }
    issue.detail
}

/// AUTH-1
#[test]
fn an_owner_traces_their_own_process_and_no_one_elses() {
    let place = Place::new();
    let mut target = start(&place.program, &[]);
    let snapshot = take(&asked_by(OWNER, &target, "counted"), &mut target).unwrap();
    assert_eq!(snapshot.captures.len(), 1);
    let by_root = take(&request(target.pid(), "counted").unwrap(), &mut target).unwrap();
    assert_eq!(by_root.captures.len(), 1);
    assert_eq!(
        refused(STRANGER, &mut target),
        format!("it runs as user {OWNER}, you are user {STRANGER}")
    );
}

#[test]
fn a_process_of_root_is_roots() {
    let place = Place::new();
    let mut target = RunningTarget::start(&mut Command::new(&place.program)).unwrap();
    assert_eq!(refused(OWNER, &mut target), format!("it runs as user 0, you are user {OWNER}"));
}

#[test]
fn a_setuid_or_setgid_program_is_not_its_callers() {
    let place = Place::new();
    let mut target = start(&place.copy("setuid", 0o4755), &[]);
    assert_eq!(refused(OWNER, &mut target), "it runs a setuid program");
    let mut target = start(&place.copy("setgid", 0o2755), &[]);
    assert_eq!(refused(OWNER, &mut target), "it runs a setgid program");
}

#[test]
fn a_program_with_file_capabilities_is_not_its_callers() {
    let place = Place::new();
    let program = place.copy("capable", 0o755);
    // struct vfs_cap_data of linux/capability.h: revision 2 and the effective bit, CAP_NET_RAW.
    let words = [0x0200_0001_u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&program, "security.capability", words.as_flattened(), flags).unwrap();
    let mut target = start(&program, &[]);
    assert_eq!(refused(OWNER, &mut target), "it has capabilities");
}

#[test]
fn a_process_that_is_not_dumpable_hides_from_its_owner() {
    let place = Place::new();
    let mut target = start(&place.program, &["hidden"]);
    assert_eq!(refused(OWNER, &mut target), "it is not dumpable (prctl PR_SET_DUMPABLE)");
    target.obey("show").unwrap();
    let snapshot = take(&asked_by(OWNER, &target, "counted"), &mut target).unwrap();
    assert_eq!(snapshot.captures.len(), 1);
}

/// Takes all hits of a location while the target does as it is told.
fn probed(target: &mut RunningTarget, location: &str, lines: &[&str]) -> (Summary, u64) {
    let mut request = asked_by(OWNER, target, location);
    request.hits = 0;
    let mut captures = 0;
    let work = || lines.iter().try_for_each(|line| target.obey(line).map(drop));
    let (summary, _) = during(&engine(), &request, work, &mut |event, _| {
        captures += u64::from(matches!(event, Event::Capture { .. }));
    })
    .unwrap();
    (summary, captures)
}

/// AUTH-1: the kernel program asks again at every hit.
#[test]
fn a_process_that_hides_after_the_probe_was_placed_is_not_captured() {
    let place = Place::new();
    let mut target = start(&place.program, &[]);
    let lines = ["go", "go", "hide", "go", "go", "go", "show", "go"];
    let (summary, captures) = probed(&mut target, "counted", &lines);
    assert_eq!(captures, 3, "{summary:?}");
    assert_eq!(summary.outcomes[&Outcome::Denied], 3, "{summary:?}");
    assert_eq!(summary.hits, 6, "{summary:?}");
    assert_eq!(summary.text_restored, Some(true));
}

/// The library is mapped into the new program too, and the kernel places its breakpoint there.
#[test]
fn a_setuid_program_that_the_process_becomes_is_not_captured() {
    let place = Place::new();
    let setuid = place.copy("setuid", 0o4755);
    let mut target = start(&place.program, &[]);
    let mut request = asked_by(OWNER, &target, "libc.so.6!getppid");
    request.hits = 0;
    let mut captures = 0;
    let work = || {
        target.obey("go")?;
        target.become_another(&setuid)?;
        (0..5).try_for_each(|_| target.go().map(drop))
    };
    let (summary, _) = during(&engine(), &request, work, &mut |event, _| {
        captures += u64::from(matches!(event, Event::Capture { .. }));
    })
    .unwrap();
    println!("a setuid program after exec: {summary:?}");
    assert_eq!(captures, 1, "{summary:?}");
    assert_eq!(summary.outcomes[&Outcome::Captured], 1, "{summary:?}");
    assert!(summary.hits > 1 || summary.ended == Ended::CodeGone, "{summary:?}");
    assert!(refused(OWNER, &mut target).contains("setuid"));
}

/// The pid of a process that has ended is given to another one.
#[test]
fn the_next_process_of_the_same_pid_is_another() {
    let place = Place::new();
    let mut target = start(&place.program, &[]);
    let pid = target.pid();
    let request = asked_by(OWNER, &target, "counted");
    let mut request = SnapshotRequest { hits: 0, ..request };
    request.timeout = std::time::Duration::from_secs(60);
    let mut captures = 0;
    let (ended, end) = channel();
    let (program, patience) = (place.program.clone(), request.timeout);
    let work = move || {
        target.go()?;
        drop(target);
        let mut next = next_of(pid, &program)?;
        (0..5).try_for_each(|_| next.go().map(drop))?;
        tracer_tests::text::require_as_in_files(pid)?;
        end.recv_timeout(patience).context("the probe never ended")
    };
    let (summary, _) = during(&engine(), &request, work, &mut |event, _| {
        captures += u64::from(matches!(event, Event::Capture { .. }));
        if let Event::Finished(_) = event {
            // Who waits for it may have given up.
            ended.send(()).ok();
        }
    })
    .unwrap();
    assert_eq!((captures, summary.hits), (1, 1), "{summary:?}");
    assert_eq!(summary.ended, Ended::ProcessGone);
}

/// Starts a program, as root, with a pid that is free: the kernel gives the one after the last.
fn next_of(pid: u32, program: &Path) -> anyhow::Result<RunningTarget> {
    for _ in 0..1000 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?;
        let target = RunningTarget::start(&mut Command::new(program))?;
        if target.pid() == pid {
            return Ok(target);
        }
    }
    anyhow::bail!("pid {pid} was never given again")
}
