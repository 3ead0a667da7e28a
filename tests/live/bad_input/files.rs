//! Programs whose debug info is missing, of another build, or broken.

use super::{assert_untouched, counter, refused_at, start, taken};
use std::fs;
use std::path::Path;
use tracer_core::model::issue::IssueKind;
use tracer_tests::cli::{self, Done, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};

/// A line of `counted`.
fn line(target: &Target) -> String {
    format!("counter.c:{}", target.line("atomic_fetch_add_explicit").unwrap())
}

/// A hit at a function's entry without debug info: the stack is there, variables are not.
fn taken_bare(target: &mut RunningTarget, named: bool) {
    let lines = taken(target, "counted");
    let frames = lines[0]["frames"].as_array().unwrap();
    assert!(frames.len() > 3, "{frames:#?}");
    assert_eq!(frames[0]["function"], "counted");
    assert_eq!(frames[0]["variables"].as_array().unwrap().len(), 0);
    assert_eq!(lines[0]["stack_end"]["code"], "complete");
    let caller = frames[1]["function"].as_str();
    assert_eq!(caller, named.then_some("caller"), "{frames:#?}");
}

#[test]
fn no_debug_info() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bare = counter().copy("strip", &["-g"], &folder.path().join("bare")).unwrap();
    let mut target = start(&bare);
    let told = refused_at(&mut target, &line(&bare), IssueKind::NoDebugInfo);
    // Where it was looked for.
    assert!(told.all().contains(".build-id"), "{told:?}");
    taken_bare(&mut target, true);
}

/// Symbols for the dynamic linker are left, as in a library.
#[test]
fn a_stripped_program() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let exported = Target::c("counter", "gcc", &["-O2", "-rdynamic"]).unwrap();
    let stripped = exported.copy("strip", &["-s"], &folder.path().join("stripped")).unwrap();
    let mut target = start(&stripped);
    refused_at(&mut target, &line(&stripped), IssueKind::NoDebugInfo);
    taken_bare(&mut target, false);
    // `caller` is static: nothing names it any more.
    refused_at(&mut target, "caller", IssueKind::NoFunction);
}

/// The debug file that the program names is that of another build. IDENT-2
#[test]
fn debug_info_of_another_build() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = Target::c("counter", "gcc", &["-O1", "-DOTHER"]).unwrap();
    let debug = folder.path().join("counter.debug");
    other.copy("objcopy", &["--only-keep-debug"], &debug).unwrap();
    let bare = counter().copy("strip", &["-g"], &folder.path().join("bare")).unwrap();
    let link = format!("--add-gnu-debuglink={}", debug.display());
    let linked = bare.copy("objcopy", &[&link], &folder.path().join("linked")).unwrap();
    let mut target = start(&linked);
    let told = refused_at(&mut target, &line(&linked), IssueKind::DebugInfoMismatch);
    assert!(told.all().contains("build-id"), "{told:?}");
    assert!(told.all().contains("counter.debug"), "{told:?}");
    // A function by its symbol needs no debug info, and the wrong one is not used.
    taken_bare(&mut target, true);
}

/// A copy with a section's bytes replaced.
fn with_section(folder: &Path, name: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>) -> Target {
    let original = counter();
    let bytes = folder.join("bytes");
    let dump = format!("--dump-section={name}={}", bytes.display());
    original.copy("objcopy", &[&dump], &folder.join("unchanged")).unwrap();
    fs::write(&bytes, change(fs::read(&bytes).unwrap())).unwrap();
    let update = format!("--update-section={name}={}", bytes.display());
    original.copy("objcopy", &[&update], &folder.join("broken")).unwrap()
}

/// Bytes that look random, the same in every run.
fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Whatever the sections hold, a probe is taken or refused by a known error; nothing crashes or
/// hangs, and the target stays untouched.
#[test]
fn broken_debug_info() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    type Change = (&'static str, Box<dyn Fn(Vec<u8>) -> Vec<u8>>);
    let changes: [Change; 5] = [
        ("noise", Box::new(|bytes: Vec<u8>| noise(bytes.len(), 0x2545_f491_4f6c_dd1d))),
        ("cut", Box::new(|bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec())),
        ("ones", Box::new(|bytes: Vec<u8>| vec![0xff; bytes.len()])),
        ("zeros", Box::new(|bytes: Vec<u8>| vec![0; bytes.len()])),
        (
            "spots",
            Box::new(|mut bytes: Vec<u8>| {
                let spots = noise(bytes.len() / 16, 77);
                for (index, spot) in spots.iter().enumerate() {
                    bytes[index * 16] = *spot;
                }
                bytes
            }),
        ),
    ];
    let sections = [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_rnglists"];
    for section in sections {
        for (what, change) in &changes {
            let broken = with_section(folder.path(), section, change);
            let mut target = start(&broken);
            let entry = attempt(&mut target, "counted");
            let code = |done: &Done| done.status.code();
            assert_eq!(code(&entry), Some(0), "{section} {what}: {entry:?}");
            let line = attempt(&mut target, &line(&broken));
            println!("{section} {what}: exit code at a line {:?}", code(&line));
            // Without names and lists of ranges the unit is read all the same.
            if [".debug_info", ".debug_abbrev", ".debug_line"].contains(&section) {
                let malformed = i32::from(IssueKind::MalformedFile.exit_code());
                assert_eq!(code(&line), Some(malformed), "{section} {what}: {line:?}");
                let output = entry.output().unwrap();
                assert!(output.contains("variables may be missing"), "{section} {what}: {output}");
            }
            fs::remove_file(&broken.program).unwrap();
        }
    }
}

/// A snapshot that may be refused, by a known error.
fn attempt(target: &mut RunningTarget, location: &str) -> Done {
    let pid = target.pid().to_string();
    let arguments = ["snapshot", "-p", &pid, location, "--timeout", "20s"];
    let mut tracer = RunningTracer::start(&mut cli::command(&arguments).unwrap()).unwrap();
    while tracer.runs().unwrap() {
        target.go().unwrap();
    }
    let done = tracer.finish().unwrap();
    let code = done.status.code().unwrap_or_else(|| panic!("{location}: {done:?}"));
    let known = IssueKind::ALL.iter().any(|kind| i32::from(kind.exit_code()) == code);
    assert!(code == 0 || known, "{location}: {done:?}");
    assert!(code == 0 || done.errors().unwrap().contains("help: "), "{done:?}");
    assert_untouched(target);
    done
}

/// The kernel needs the program headers alone, so these programs run.
#[test]
fn a_malformed_elf_file() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(counter().program).unwrap();
    // e_shoff, e_shentsize, e_shnum, e_shstrndx of the file's header.
    for (offset, value) in [
        (40, [0xff; 8].as_slice()),
        (40, &[0x10, 0, 0, 0, 0, 0, 0, 0]),
        (58, &[7, 0]),
        (60, &[0xff, 0xfe]),
        (62, &[0xfe, 0xff]),
    ] {
        let mut bytes = bytes.clone();
        bytes[offset..offset + value.len()].copy_from_slice(value);
        let program = folder.path().join(format!("broken-{offset}"));
        fs::copy(counter().program, &program).unwrap();
        fs::write(&program, bytes).unwrap();
        let mut target = Target { program: program.clone(), source: counter().source }
            .start(&["1", "5"])
            .unwrap();
        let code = attempt(&mut target, "counted").status.code();
        assert_eq!(code, Some(i32::from(IssueKind::MalformedFile.exit_code())), "byte {offset}");
        drop(target);
        fs::remove_file(program).unwrap();
    }
}
