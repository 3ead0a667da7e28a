//! Who may talk to the daemon, and whose probes they see.

use super::{Daemon, detach, probe, target};
use rustix::process::Signal;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tracer_tests::cli::{Done, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::project;
use tracer_tests::targets::{RunningTarget, Target};

/// Users and groups that need no name.
const ONE: u32 = 54_321;
const OTHER: u32 = 54_322;
const GROUP: u32 = 54_400;

/// A folder that everyone may enter, with a copy of the binary that everyone may run.
struct Shared {
    folder: tempfile::TempDir,
    tracer: PathBuf,
}

fn shared() -> Shared {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let tracer = folder.path().join("tracer");
    std::fs::copy(project::tracer().unwrap(), &tracer).unwrap();
    Shared { folder, tracer }
}

/// `program` as a user, in one more group.
fn as_user(uid: u32, group: u32, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let (uid, group) = (uid.to_string(), group.to_string());
    command.args(["--reuid", &uid, "--regid", &uid, "--groups", &group]).arg(program);
    command
}

fn ask(shared: &Shared, daemon: &Daemon, uid: u32, group: u32, arguments: &[&str]) -> Done {
    let mut command = as_user(uid, group, &shared.tracer);
    command.args(arguments).env("TRACER_SOCKET", daemon.socket());
    command.env_remove("TRACER_LOG").env_remove("TRACER_ATTACH");
    RunningTracer::start(&mut command).unwrap().finish().unwrap()
}

fn start(arguments: &[&str]) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    Daemon::start_in(folder, arguments).unwrap()
}

/// AUTH-1
#[test]
fn only_root_and_the_group_may_connect() {
    let shared = shared();
    let daemon = start(&[]);
    let facts = daemon.socket().metadata().unwrap();
    assert_eq!((facts.mode() & 0o777, facts.uid()), (0o600, 0));
    for arguments in [&["list"][..], &["find", "-p", "1", "main"]] {
        let done = ask(&shared, &daemon, ONE, GROUP, arguments);
        assert_eq!(done.status.code(), Some(12), "{done:?}");
        assert!(done.errors().unwrap().contains("--group"), "{done:?}");
    }

    let daemon = start(&["--group", &GROUP.to_string()]);
    let facts = daemon.socket().metadata().unwrap();
    assert_eq!((facts.mode() & 0o777, facts.uid(), facts.gid()), (0o660, 0, GROUP));
    let done = ask(&shared, &daemon, ONE, GROUP, &["list"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let done = ask(&shared, &daemon, ONE, GROUP + 1, &["list"]);
    assert_eq!(done.status.code(), Some(12), "{done:?}");
    drop(shared.folder);
}

/// AUTH-1
#[test]
fn probes_of_others_are_not_there() {
    let shared = shared();
    let daemon = start(&["--group", &GROUP.to_string()]);
    let mut roots_target = target();
    let of_root = detach(&daemon, &roots_target, &["--hits", "0", "--rate", "0"]);
    let mut own_target = target_of(&shared, ONE);
    let pid = own_target.pid().to_string();
    let ask = |uid, arguments: &[&str]| ask(&shared, &daemon, uid, GROUP, arguments);
    let placed =
        ask(ONE, &["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--detach"]);
    assert_eq!(placed.status.code(), Some(0), "{placed:?}");
    let of_one = placed.output().unwrap().trim().to_owned();
    assert_eq!(probe(&daemon, &of_one)["owner_uid"], ONE);

    let listed = |uid| {
        let done = ask(uid, &["list"]);
        let list = done.output().unwrap().to_owned();
        [list.contains(&of_root), list.contains(&of_one)]
    };
    assert_eq!([listed(0), listed(ONE), listed(OTHER)], [[true; 2], [false, true], [false; 2]]);
    for (uid, id) in [(ONE, &of_root), (OTHER, &of_root), (OTHER, &of_one)] {
        for (command, more) in
            [("captures", None), ("remove", None), ("pause", None), ("extend", Some("1m"))]
        {
            let asked = |id| [command, id].into_iter().chain(more).collect::<Vec<_>>();
            let [done, none] = [ask(uid, &asked(id)), ask(uid, &asked("none"))];
            assert_eq!(done.status.code(), Some(40), "{done:?}");
            let said = done.errors().unwrap().replace(id, "none");
            assert_eq!(said, none.errors().unwrap(), "as if there were none");
        }
    }
    assert_eq!(daemon.living().unwrap().len(), 2);
    own_target.go().unwrap();
    roots_target.go().unwrap();
    assert_eq!(ask(ONE, &["remove", &of_one]).status.code(), Some(0));
    assert_eq!(ask(0, &["remove", &of_root]).status.code(), Some(0));
    assert!(daemon.living().unwrap().is_empty());
}

/// The number of a process means another one there.
///
/// IDENT-1
#[test]
fn pids_of_another_namespace_are_not_taken_for_ours() {
    let target = target();
    let daemon = start(&[]);
    let pid = target.pid().to_string();
    for arguments in [
        &["find", "-p", &pid, "counted"][..],
        &["vars", "-p", &pid, "counted"],
        &["snapshot", "-p", &pid, "counted"],
    ] {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]).arg(project::tracer().unwrap()).args(arguments);
        command.env("TRACER_SOCKET", daemon.socket());
        command.env_remove("TRACER_LOG").env_remove("TRACER_ATTACH");
        let done = RunningTracer::start(&mut command).unwrap().finish().unwrap();
        assert_eq!(done.status.code(), Some(32), "{done:?}");
    }
    assert!(daemon.living().unwrap().is_empty());
}

/// The connection of a process that has ended may be another's by now.
///
/// IDENT-1
#[test]
fn a_connection_that_was_left_to_another_namespace_is_not_ours() {
    let target = target();
    let daemon = start(&[]);
    // While it is stopped it looks at nobody: who has connected meanwhile has ended by then.
    daemon.send(Signal::STOP).unwrap();
    let pid = target.pid().to_string();
    let mut maker = Command::new("python3")
        .args(["-c", LEFT_TO_A_CHILD])
        .args([daemon.socket().as_os_str(), pid.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (maker.stdin.take().unwrap(), maker.stdout.take().unwrap());
    assert!(maker.wait().unwrap().success());
    daemon.send(Signal::CONT).unwrap();
    // The child asks when it sees the end of its input.
    drop(stdin);
    let answer = std::io::read_to_string(stdout).unwrap();
    assert!(answer.contains("\"pid_namespace\""), "{answer}");
}

/// Connects, ends, and leaves the connection to a child.
const LEFT_TO_A_CHILD: &str = r#"
import os, socket, sys
made = socket.socket(socket.AF_UNIX)
made.connect(sys.argv[1])
if os.fork() == 0:
    sys.stdin.read()
    body = '{"pid": %s, "pattern": "counted"}' % sys.argv[2]
    head = "POST /v1/find HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(body)
    made.sendall((head + body).encode())
    while part := made.recv(65536):
        sys.stdout.write(part.decode())
"#;

/// A target of a user.
fn target_of(shared: &Shared, uid: u32) -> RunningTarget {
    let program = shared.folder.path().join("counter");
    std::fs::copy(Target::c("counter", "gcc", &["-O2"]).unwrap().program, &program).unwrap();
    RunningTarget::start(as_user(uid, uid, &program).args(["2", "5"])).unwrap()
}
