//! Stacks: every frame in order with its name and line, cut where the copy ends, inlined calls
//! expanded, and what is left of it without symbols.

use std::path::Path;
use tracer_core::model::capture::{Frame, How, StackEnd};
use tracer_core::model::limits::Limits;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{Snapshot, request, take};
use tracer_tests::targets::{RunningTarget, Target};

/// Calls of `descend` above `bottom`, by default.
const DEPTH: usize = 200;

fn one(target: &mut RunningTarget, location: &str, stack_bytes: u32) -> Snapshot {
    let mut request = request(target.pid(), location).unwrap();
    request.limits = Limits { stack_bytes, ..Limits::DEFAULT };
    let snapshot = take(&request, target).unwrap();
    assert_eq!(snapshot.captures.len(), 1, "{:?}", snapshot.summary);
    snapshot
}

fn recursion(flags: &[&str]) -> (Target, RunningTarget) {
    require().unwrap();
    let target = Target::c("recursion", "gcc", flags).unwrap();
    let running = target.start(&[]).unwrap();
    (target, running)
}

fn function(frame: &Frame) -> &str {
    frame.function.as_deref().unwrap_or("?")
}

fn line(frame: &Frame) -> u64 {
    frame.line.as_ref().map_or(0, |line| line.line)
}

/// Bytes that hold all 200 frames.
const ALL: u32 = 64 * 1024;

#[test]
fn all_frames_have_names_and_lines_in_order() {
    for flags in [["-O0"], ["-Og"], ["-O2"]] {
        let (target, mut running) = recursion(&flags);
        let snapshot = one(&mut running, "bottom", ALL);
        let capture = &snapshot.captures[0];
        assert_eq!(capture.stack_end, StackEnd::Complete, "{flags:?}");
        let call = target.line("left ? descend(left - 1").unwrap();
        let first = target.line("sink = descend(depth, 0)").unwrap();
        let frames = &capture.frames;
        assert_eq!(function(&frames[0]), "bottom");
        assert_eq!(frames[0].how, How::Registers);
        for frame in &frames[1..=DEPTH + 1] {
            assert_eq!((function(frame), line(frame)), ("descend", call), "{flags:?}");
        }
        let outer: Vec<&str> = frames[DEPTH + 2..].iter().map(function).collect();
        assert_eq!(outer[0], "work", "{flags:?}: {outer:?}");
        assert_eq!(line(&frames[DEPTH + 2]), first);
        assert!(outer.contains(&"serve") && outer.contains(&"main"), "{flags:?}: {outer:?}");
        assert_eq!(outer.last(), Some(&"_start"), "{flags:?}: {outer:?}");
        // Expanded frames are no frames of the stack; all others were found by CFI.
        let unwound = frames[1..].iter().filter(|frame| !frame.inlined);
        assert!(unwound.clone().all(|frame| frame.how == How::Cfi), "{flags:?}");
        println!("{flags:?}: {} frames, {} by CFI", frames.len(), unwound.count());
        running.finish().unwrap();
    }
}

/// Frames of ours, of libc, of ours.
#[test]
fn a_callback_is_found_through_libc() {
    let (_, mut running) = recursion(&["-O2"]);
    let snapshot = one(&mut running, "compare", ALL);
    let frames = &snapshot.captures[0].frames;
    let modules: Vec<&str> = frames.iter().filter_map(|f| f.module.as_deref()).collect();
    assert_eq!(modules.len(), frames.len(), "{frames:#?}");
    let in_libc = frames.iter().filter(|f| f.module.as_deref() == Some("libc.so.6")).count();
    // qsort with its helpers, and what calls main.
    assert!(in_libc >= 3, "{frames:#?}");
    assert_eq!(function(&frames[0]), "compare");
    assert_eq!(snapshot.captures[0].stack_end, StackEnd::Complete);
    assert!(frames.iter().any(|frame| function(frame) == "work"), "{frames:#?}");
    running.finish().unwrap();
}

#[test]
fn a_stack_that_was_not_copied_whole_says_so() {
    let (_, mut running) = recursion(&["-O2"]);
    let mut frames = Vec::new();
    for bytes in [0, 512, 4096, 16 * 1024, ALL] {
        let snapshot = one(&mut running, "bottom", bytes);
        let capture = &snapshot.captures[0];
        let is_whole = capture.frames.len() > DEPTH;
        let end = if is_whole { StackEnd::Complete } else { StackEnd::StackCut };
        assert_eq!(capture.stack_end, end, "{bytes} bytes, {} frames", capture.frames.len());
        frames.push(capture.frames.len());
    }
    println!("frames for 0, 512, 4096, 16 Ki, 64 Ki bytes of stack: {frames:?}");
    assert!(frames.is_sorted() && frames[0] < frames[2], "{frames:?}");
    assert!(frames[0] >= 1 && frames[4] > DEPTH, "{frames:?}");
    running.finish().unwrap();
}

#[test]
fn inlined_calls_are_frames() {
    require().unwrap();
    for compiler in ["gcc", "clang"] {
        let target = Target::c("inlined", compiler, &["-O2"]).unwrap();
        let mut running = target.start(&[]).unwrap();
        let snapshot = one(&mut running, "innermost", 16 * 1024);
        let frames: Vec<(&str, u64, bool)> = snapshot.captures[0]
            .frames
            .iter()
            .map(|frame| (function(frame), line(frame), frame.inlined))
            .take(4)
            .collect();
        let entry = frames[0].1;
        let line = |text| target.line(text).unwrap();
        assert!(entry >= line("int innermost(int value)"), "{compiler}: {frames:?}");
        assert_eq!(
            frames[1..],
            [
                ("middle", line("int result = innermost(doubled)"), true),
                ("outer", line("int result = middle(more)"), true),
                ("caller", line("int result = outer(value)"), false),
            ],
            "{compiler}"
        );
        running.finish().unwrap();
    }
}

/// Without symbols a frame is its module and its pc, the same pcs as with symbols.
#[test]
fn a_stripped_program_has_frames_without_names() {
    let (target, mut running) = recursion(&["-O2"]);
    let named = one(&mut running, "bottom", ALL);
    let folder = tempfile::tempdir().unwrap();
    let copy = target.copy("strip", &["-s"], &folder.path().join("stripped")).unwrap();
    let mut bare = copy.start(&[]).unwrap();
    // The site's address in the file is the same; only the base differs.
    let base = base_of(bare.pid(), &copy.program);
    let svma = named.armed.resolved.sites[0].svma.0;
    let snapshot = one(&mut bare, &format!("*{:#x}", base + svma), ALL);
    let named_base = base_of(running.pid(), &target.program);
    let (with, without) = (&named.captures[0], &snapshot.captures[0]);
    assert_eq!(without.stack_end, StackEnd::Complete);
    let ours = without.frames.iter().filter(|f| f.module.as_deref() == Some("stripped"));
    let pcs: Vec<u64> = ours.clone().map(|frame| frame.pc.0 - base).collect();
    assert!(pcs.len() > DEPTH, "{} frames", pcs.len());
    for frame in ours {
        assert_eq!(frame.line, None, "{frame:?}");
        assert_eq!(frame.function, None, "{frame:?}");
    }
    let program = target.program.file_name().unwrap().to_str();
    let expected: Vec<u64> = with
        .frames
        .iter()
        .filter(|frame| frame.module.as_deref() == program && !frame.inlined)
        .map(|frame| frame.pc.0 - named_base)
        .collect();
    assert_eq!(pcs, expected);
    println!("stripped: {} frames with the same pcs as with symbols", pcs.len());
    bare.finish().unwrap();
    running.finish().unwrap();
}

/// Where a position-independent program starts in a process.
fn base_of(pid: u32, program: &Path) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let path = program.to_str().unwrap();
    let line = maps.lines().find(|line| line.ends_with(path)).unwrap();
    u64::from_str_radix(line.split_once('-').unwrap().0, 16).unwrap()
}
