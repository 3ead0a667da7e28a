//! Names that are hostile: of functions, variables, members, types, source files and the program.

use super::{assert_harmless, bytes_of, snapshot, valid_lines};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use tempfile::TempDir;
use tracer_tests::cli;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::{RunningTarget, Target};

/// What takes the place of `hostile`, the name of a function, a type, a variable and a source
/// file, in two programs; as long as that, for it is replaced in the file.
const NAMES: [&[u8; 7]; 2] = [b"\x1b]0;x\r\x07", b"\xe2\x80\xae\x9b2J\n"];
/// What takes the place of a member's name, `inline_text`.
const MEMBER: &[u8; 11] = b"\x1b[2J\x1b[31mzz";
/// The name of the program's file.
const PROGRAM: &[u8] = b"evil\x1b]0;t\x07\r\n\x9b2J\xe2\x80\xae (deleted)";

/// The target with hostile names, and the address of its function in the process.
fn start(name: &[u8; 7], folder: &TempDir) -> (RunningTarget, String) {
    require().unwrap();
    let plain = Target::c("hostile", "gcc", &["-O2"]).unwrap();
    let mut running = plain.start(&[]).unwrap();
    let armed = take(&request(running.pid(), "hostile").unwrap(), &mut running).unwrap().armed;
    running.finish().unwrap();
    let svma = armed.resolved.sites[0].svma.0;

    let mut bytes = fs::read(&plain.program).unwrap();
    assert!(replace(&mut bytes, b"hostile", name) > 3);
    assert!(replace(&mut bytes, b"inline_text", MEMBER) > 0);
    let program = folder.path().join(OsStr::from_bytes(PROGRAM));
    fs::copy(&plain.program, &program).unwrap();
    fs::write(&program, bytes).unwrap();
    let target = RunningTarget::start(&mut Command::new(&program)).unwrap();
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid()));
    let maps = maps.unwrap_or_else(|_| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{}/maps", target.pid())).unwrap()).into()
    });
    // The program is what is mapped first.
    let base = u64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
    (target, format!("*{:#x}", base + svma))
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) -> usize {
    let mut count = 0;
    for at in 0..bytes.len() - old.len() {
        if &bytes[at..at + old.len()] == old {
            bytes[at..at + old.len()].copy_from_slice(new);
            count += 1;
        }
    }
    count
}

#[test]
fn names_in_text_and_in_the_log() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let (mut target, address) = start(name, &folder);
        for (coloured, variable, value) in
            [(false, "TRACER_LOG", "trace"), (true, "CLICOLOR_FORCE", "1")]
        {
            let change = |command: &mut Command| {
                command.env(variable, value);
            };
            let done = snapshot(&mut target, &[&address, "--kernel-log", "trace"], &change);
            assert_eq!(done.status.code(), Some(0), "{done:?}");
            let output = assert_harmless(&done.stdout, coloured);
            assert_harmless(&done.stderr, coloured);
            // It is there, escaped: as function, variable, type and file.
            let shown = if name[0] == 0x1b { "\\x1b]0;x\\r\\x07" } else { "\\u{202e}" };
            assert!(output.matches(shown).count() >= 4, "{output}");
            assert!(output.contains("\\x1b[2J\\x1b[31mzz: char [24]"), "{output}");
        }
        target.finish().unwrap();
    }
}

#[test]
fn names_in_json() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let (mut target, address) = start(name, &folder);
        let done = snapshot(&mut target, &[&address, "--json"], &|_| ());
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert!(done.stdout.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
        let lines = valid_lines(done.output().unwrap());
        let exe = folder.path().join(OsStr::from_bytes(PROGRAM));
        let exe = exe.as_os_str().as_bytes();
        assert_eq!(bytes_of(&lines[0]["target"]["exe"]), exe.strip_suffix(b" (deleted)").unwrap());
        // Names that are UTF-8 come back whole; of others the rest does.
        let shown = String::from_utf8_lossy(name);
        let frame = &lines[0]["frames"][0];
        assert_eq!(frame["function"], &*shown);
        assert!(frame["file"].as_str().unwrap().ends_with(&format!("/{shown}.c")), "{frame}");
        let variables = frame["variables"].as_array().unwrap();
        assert!(variables.iter().any(|variable| variable["name"] == *shown), "{variables:#?}");
        target.finish().unwrap();
    }
}

/// Hostile names in lists of what could be meant, and asked for by name.
#[test]
fn names_in_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (mut target, _) = start(NAMES[0], &folder);
    let pid = target.pid().to_string();
    let name = std::str::from_utf8(NAMES[0]).unwrap();
    for json in [&[] as &[&str], &["--json"]] {
        let found = cli::tracer(&[&["find", "-p", &pid, "0;x"], json].concat()).unwrap();
        assert_eq!(found.status.code(), Some(0), "{found:?}");
        let output = assert_harmless(&found.stdout, false);
        let shown = if json.is_empty() { "\\x1b]0;x\\r\\x07" } else { "\\u001b]0;x\\r\\u0007" };
        assert!(output.contains(shown), "{output}");

        let near = name.replace('x', "y");
        let arguments = [&["snapshot", "-p", &pid, near.as_str()], json].concat();
        let refused = cli::tracer(&arguments).unwrap();
        assert_eq!(refused.status.code(), Some(17), "{refused:?}");
        let said = assert_harmless(&refused.stderr, false);
        assert!(said.contains(shown), "{said}");
    }
    let done = snapshot(&mut target, &[name], &|_| ());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_harmless(&done.stdout, false);
    target.finish().unwrap();
}
