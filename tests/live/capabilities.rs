//! The capabilities of manifest and unit are enough, and each of them is needed: another user's process
//! whose files are private and were replaced since, seen from the manifest's container.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tracer_tests::cli::{Done, RunningTracer};
use tracer_tests::container::{Container, capability_names};
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;
use tracer_tests::{deploy, project};

/// Nobody.
const OTHER_USER: u32 = 65534;
const NO_PERMISSION: i32 = 12;
/// A user and group that are no one's.
const SERVICE_USER: u32 = 64_123;

/// The target: only its user may read its program and library, or enter their folder.
struct Foreign {
    process: RunningTarget,
    _folder: TempDir,
}

impl Foreign {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("counter");
        let target = Target::c("counter", "gcc", &["-O2"]).unwrap();
        let library = folder.path().join("libc.so.6");
        fs::copy(&target.program, &program).unwrap();
        fs::copy("/lib/x86_64-linux-gnu/libc.so.6", &library).unwrap();
        for path in [folder.path(), &program, &library] {
            chown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        }
        let mut command = Command::new(&program);
        command.args(["1", "3"]).env("LD_LIBRARY_PATH", folder.path());
        let process = RunningTarget::start(command.uid(OTHER_USER).gid(OTHER_USER)).unwrap();
        // As an upgrade does: the files that run have no names any more.
        for path in [&program, &library] {
            fs::remove_file(path).unwrap();
            fs::copy("/bin/true", path).unwrap();
        }
        Self { process, _folder: folder }
    }
}

fn run(container: &Container, arguments: &[&str]) -> Done {
    RunningTracer::start(&mut container.command(arguments).unwrap()).unwrap().finish().unwrap()
}

#[test]
fn the_manifest_gives_what_a_snapshot_of_another_users_process_needs() {
    require().unwrap();
    let container = Container::from_manifest().unwrap();
    let mut target = Foreign::start();
    let pid = target.process.pid().to_string();
    let arguments = ["snapshot", "-p", &pid, "counted", "--timeout", "60s"];
    let mut tracer = RunningTracer::start(&mut container.command(&arguments).unwrap()).unwrap();
    tracer.wait_for("probing ").unwrap();

    // Exactly the manifest's, and no way to more.
    let mut expected = container.capabilities.clone();
    expected.sort();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(capability_names(tracer.pid(), set).unwrap(), expected, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(capability_names(tracer.pid(), set).unwrap(), [""; 0], "{set}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", tracer.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    let root = Path::new("/proc").join(tracer.pid().to_string()).join("root");
    let refused = File::create(root.join("file")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);

    target.process.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let text = done.output().unwrap();
    for seen in [
        "#0  counted at ",
        "step: struct step * = 0x",
        "label: const char * = \"even\"",
        "start_thread",
    ] {
        assert!(text.contains(seen), "{text}");
    }
    require_as_in_files(target.process.pid()).unwrap();

    let done = run(&container, &["doctor"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

#[test]
fn a_capability_that_is_missing_is_named_with_what_to_do() {
    require().unwrap();
    let mut container = Container::from_manifest().unwrap();
    let target = Foreign::start();
    let pid = target.process.pid().to_string();
    let all = container.capabilities.clone();
    assert_eq!(all.len(), 5);
    // The program could be had by /proc/PID/exe; a library that was replaced has no other name.
    let arguments = ["snapshot", "-p", &pid, "libc.so.6!malloc", "--timeout", "60s"];
    for missing in &all {
        container.capabilities = all.iter().filter(|name| *name != missing).cloned().collect();

        let done = run(&container, &arguments);
        let told = done.errors().unwrap();
        assert_eq!(done.status.code(), Some(NO_PERMISSION), "{missing}: {done:?}");
        assert!(told.contains(&format!("{missing} is missing: ")), "{told}");
        assert!(told.contains("help: run as root, or give"), "{told}");
        for other in all.iter().filter(|other| *other != missing) {
            assert!(!told.contains(&format!("{other} is missing")), "{told}");
        }

        let done = run(&container, &["doctor"]);
        let told = done.output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{missing}: {done:?}");
        assert!(told.contains(&format!("missing: {missing} (")), "{told}");
        assert!(told.contains("run as root, or give the process"), "{told}");
        require_as_in_files(target.process.pid()).unwrap();
    }
}

/// The service manager is not asked: its part is done by setpriv(1).
#[test]
fn the_units_daemon_needs_no_root() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tracer");
    fs::copy(project::tracer().unwrap(), &program).unwrap();
    chown(folder.path(), Some(SERVICE_USER), Some(SERVICE_USER)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();

    let names = deploy::unit("AmbientCapabilities").unwrap();
    let short = |name: &String| format!("+{}", name.trim_start_matches("CAP_").to_lowercase());
    let set = format!("-all,{}", names.iter().map(short).collect::<Vec<_>>().join(","));
    let user = SERVICE_USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"]);
    for kind in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.args([kind, &set]);
    }
    // Perf events need a capability that the unit does not give.
    command.arg(program).env_remove("TRACER_ATTACH");
    // As the unit has it, with the number of its group.
    let line = deploy::unit("ExecStart").unwrap();
    command.args(line[1..].iter().map(|word| if word == "tracer" { &user } else { word }));
    command.args(["--metrics-listen", "off"]);
    let daemon = Daemon::start_by(&mut command, folder).unwrap();
    let socket = fs::metadata(daemon.socket()).unwrap();
    assert_eq!((socket.uid(), socket.gid()), (SERVICE_USER, SERVICE_USER));
    assert_eq!(socket.mode() & 0o777, 0o660);

    let mut target = Foreign::start();
    let pid = target.process.pid().to_string();
    let arguments = ["snapshot", "-p", &pid, "counted", "--timeout", "60s"];
    let mut tracer = RunningTracer::start(&mut daemon.command(&arguments).unwrap()).unwrap();
    tracer.wait_for("probing ").unwrap();
    assert_eq!(daemon.living().unwrap().len(), 1, "not by the daemon");
    target.process.go().unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.output().unwrap().contains("label: const char * = \"even\""), "{done:?}");
    require_as_in_files(target.process.pid()).unwrap();
    assert!(daemon.stop().unwrap().0.success());
}
