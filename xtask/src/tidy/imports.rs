//! Who may use whom: the stages stay apart, and each outside crate has its place.

use super::paths::{NamedPath, paths};
use super::source::shipped_tokens;
use super::{File, Problem};

const CORE: &str = "tracer/core/src";
const DOORS: &str = "tracer/src";

/// A module of the pipe, and the modules of the pipe that it may use beside itself.
const MODULES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("binary", &["model"]),
    ("resolve", &["model", "binary"]),
    ("plan", &["model"]),
    ("attach", &["model", "binary"]),
    ("decode", &["model", "binary"]),
    ("engine", &["model", "binary", "resolve", "plan", "attach", "decode"]),
];

/// An outside crate (as it is named in source) and the only folders of the pipe and the doors that
/// may use it.
const CRATES: &[(&str, &[&str])] = &[
    ("aya", &["tracer/core/src/attach"]),
    ("aya_log", &["tracer/core/src/attach"]),
    ("aya_obj", &["tracer/core/src/attach"]),
    ("gimli", &["tracer/core/src/binary", "tracer/core/src/resolve"]),
    ("object", &["tracer/core/src/binary", "tracer/core/src/resolve"]),
    ("addr2line", &["tracer/core/src/binary", "tracer/core/src/resolve"]),
    ("memmap2", &["tracer/core/src/binary"]),
    ("iced_x86", &["tracer/core/src/resolve"]),
    ("axum", &["tracer/src/daemon"]),
    ("hyper", &["tracer/src/daemon"]),
    ("hyper_util", &["tracer/src/daemon"]),
    ("prometheus", &["tracer/src/daemon/metrics"]),
    ("sd_notify", &["tracer/src/daemon"]),
    ("utoipa_axum", &["tracer/src/daemon"]),
    ("futures_util", &["tracer/src/daemon"]),
    ("reqwest", &["tracer/src/client", "tracer/src/debuginfod"]),
    ("tokio", &["tracer/src/daemon", "tracer/src/client", "tracer/src/debuginfod"]),
    ("utoipa", &["tracer/src/api", "tracer/src/daemon"]),
    // In the pipe only to cross to the parser, which is the same program: no format of the outside.
    (
        "serde",
        &[
            "tracer/src/api",
            "tracer/src/cli",
            "tracer/src/daemon",
            "tracer/src/client",
            "tracer/core/src/model",
            "tracer/core/src/binary",
            "tracer/core/src/engine",
        ],
    ),
    ("postcard", &["tracer/core/src/engine/parser"]),
    ("seccompiler", &["tracer/core/src/engine/parser"]),
    ("serde_json", &["tracer/src/api", "tracer/src/cli"]),
    ("clap", &["tracer/src/cli"]),
];

/// Modules of the pipe that only think: what they need is handed to them.
const PURE: &[&str] = &["model", "plan", "decode"];
/// What a pure module may not name.
const IMPURE: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["libc"],
    &["procfs"],
    &["rustix"],
];

/// Modules of the pipe that a door may use: it asks the engine and shows nouns.
const DOORS_MAY_USE: &[&str] = &["engine", "model"];

/// Where `unsafe` may stand; everything there says why it is sound.
const UNSAFE: &[&str] = &[
    "tracer-ebpf/src",
    "tracer-common/src/maps.rs",
    "tracer/core/src/attach",
    "tracer/core/src/binary/guard.rs",
    "tracer/core/src/binary/heap.rs",
    "tracer/core/src/binary/open.rs",
];

/// Checks what a source file uses.
pub(super) fn check(file: &File, problems: &mut Vec<Problem>) {
    if file.extension() != "rs" || is_test(&file.path) {
        return;
    }
    let tokens = shipped_tokens(&file.text);
    for path in paths(&tokens) {
        let faults = [modules(file, &path), doors(file, &path), crates(file, &path)];
        for fault in faults.into_iter().chain([purity(file, &path)]).flatten() {
            problems.push(Problem::new(file, path.line, fault));
        }
    }
    if !UNSAFE.iter().any(|place| file.path.starts_with(place)) {
        for token in tokens.iter().filter(|token| token.text == "unsafe") {
            problems.push(Problem::new(file, token.line, "`unsafe` has no place in this file"));
        }
    }
}

/// Whole files of test code.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The module of the pipe that this file belongs to: a folder or a file beside `lib.rs`.
fn module(file: &File) -> Option<&str> {
    let below = file.below(CORE)?;
    let name = below.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib").then_some(name)
}

/// A module of the pipe uses only those it may.
fn modules(file: &File, path: &NamedPath) -> Option<String> {
    let own = module(file)?;
    let used = root_item(file, path)?;
    if !MODULES.iter().any(|(name, _)| *name == used) || used == own {
        return None;
    }
    let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == own) else {
        return Some(format!("`{own}` is not in tidy's table of modules (imports.rs)"));
    };
    (!allowed.contains(&used)).then(|| format!("`{own}` may not use `{used}`"))
}

/// What a path names directly below the crate's root: `crate::X` or `super::…::X`.
fn root_item<'a>(file: &File, path: &'a NamedPath) -> Option<&'a str> {
    if path.segment(0) == "crate" {
        return Some(path.segment(1));
    }
    let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
    let below = file.below(CORE)?;
    let depth = below.matches('/').count() + usize::from(!below.ends_with("/mod.rs"));
    (supers > 0 && supers >= depth).then(|| path.segment(supers))
}

/// A door uses only the engine and the nouns.
fn doors(file: &File, path: &NamedPath) -> Option<String> {
    file.below(DOORS)?;
    let used = path.segment(1);
    let stage = MODULES.iter().any(|(name, _)| *name == used);
    let forbidden = path.segment(0) == "tracer_core" && stage && !DOORS_MAY_USE.contains(&used);
    forbidden.then(|| format!("a door may not use `{used}`: it asks the engine"))
}

/// An outside crate is used only in its place.
fn crates(file: &File, path: &NamedPath) -> Option<String> {
    if file.below(CORE).is_none() && file.below(DOORS).is_none() {
        return None;
    }
    // A single word is a local name as likely as a crate.
    path.segments.get(1)?;
    let name = path.segment(0);
    let (_, places) = CRATES.iter().find(|(outside, _)| *outside == name)?;
    let allowed = places
        .iter()
        .any(|place| file.below(place).is_some() || file.path == format!("{place}.rs"));
    (!allowed).then(|| format!("`{name}` may be used only in {}", places.join(", ")))
}

/// A pure module does no I/O and knows no clock.
fn purity(file: &File, path: &NamedPath) -> Option<String> {
    let own = module(file)?;
    if !PURE.contains(&own) {
        return None;
    }
    let names = |impure: &&&[&str]| {
        path.segments.len() >= impure.len().max(2)
            && path.segments.iter().zip(**impure).all(|(segment, word)| segment == word)
    };
    let impure = IMPURE.iter().find(names)?;
    Some(format!("`{own}` is pure: no `{}`", impure.join("::")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::file;

    fn check_one(path: &str, source: &str, expected: &[&str]) {
        let mut problems = Vec::new();
        check(&file(path, source), &mut problems);
        let found: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
        assert_eq!(found, expected, "{path}: {source}");
    }

    #[test]
    fn a_stage_may_not_use_another() {
        check_one(
            "tracer/core/src/plan/walk.rs",
            "use crate::{model::plan::Plan, attach::maps};",
            &["`plan` may not use `attach`"],
        );
        check_one(
            "tracer/core/src/plan/walk.rs",
            "fn f() { super::super::resolve::g() }",
            &["`plan` may not use `resolve`"],
        );
        check_one("tracer/core/src/plan/walk.rs", "use super::resolve;", &[]);
        check_one("tracer/core/src/plan/mod.rs", "use crate::plan::walk; use crate::Other;", &[]);
        check_one("tracer/core/src/engine/pipe.rs", "use crate::{plan, attach};", &[]);
    }

    #[test]
    fn the_nouns_use_no_one() {
        check_one(
            "tracer/core/src/model/plan.rs",
            "use crate::binary::cfi::UnwindRow;",
            &["`model` may not use `binary`"],
        );
    }

    #[test]
    fn a_new_module_must_be_in_the_table() {
        check_one(
            "tracer/core/src/deliver/mod.rs",
            "use crate::model::capture;",
            &["`deliver` is not in tidy's table of modules (imports.rs)"],
        );
    }

    #[test]
    fn test_code_may_use_what_it_likes() {
        check_one(
            "tracer/core/src/plan/mod.rs",
            "#[cfg(test)] mod tests { use crate::resolve; use std::fs::read; unsafe fn f() {} }",
            &[],
        );
        check_one("tracer/core/src/plan/tests.rs", "use crate::resolve;", &[]);
    }

    #[test]
    fn outside_crates_have_their_places() {
        check_one(
            "tracer/core/src/engine/pipe.rs",
            "use aya::Ebpf;",
            &["`aya` may be used only in tracer/core/src/attach"],
        );
        check_one("tracer/core/src/attach/load.rs", "use aya::Ebpf;", &[]);
        check_one("tracer/src/cli/json.rs", "use serde_json::json;", &[]);
        check_one("tracer/src/client.rs", "use reqwest::Client;", &[]);
        check_one(
            "tracer/src/cli/list.rs",
            "use tokio::runtime::Runtime;",
            &[
                "`tokio` may be used only in tracer/src/daemon, tracer/src/client, tracer/src/debuginfod",
            ],
        );
        check_one("tracer/core/src/decode/value.rs", "let object = 1; object.x()", &[]);
        check_one("xtask/src/main.rs", "use serde::Serialize;", &[]);
    }

    #[test]
    fn pure_modules_do_no_io_and_know_no_clock() {
        check_one(
            "tracer/core/src/decode/mod.rs",
            "use std::{fmt, time::{Duration, Instant}}; use std::fs::File;",
            &["`decode` is pure: no `std::time::Instant`", "`decode` is pure: no `std::fs`"],
        );
        check_one("tracer/core/src/binary/open.rs", "use std::fs::File;", &[]);
    }

    #[test]
    fn a_door_asks_the_engine() {
        check_one(
            "tracer/src/cli/find.rs",
            "use tracer_core::{engine, resolve::find};",
            &["a door may not use `resolve`: it asks the engine"],
        );
    }

    #[test]
    fn unsafe_has_its_places() {
        check_one(
            "tracer/core/src/decode/mod.rs",
            "// unsafe\nfn f() { unsafe { g() } }",
            &["`unsafe` has no place in this file"],
        );
        check_one("tracer/core/src/binary/open.rs", "fn f() { unsafe { g() } }", &[]);
        check_one("tracer/src/main.rs", "#![deny(unsafe_code)]", &[]);
    }
}
