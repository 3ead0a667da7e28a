//! Debug info in every form that it is found in: the same source gives the same capture.

mod servers;

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tracer_core::engine::Engine;
use tracer_core::engine::event::Event;
use tracer_core::engine::options::AttachMode;
use tracer_tests::flat::{Leaf, compare, flatten};
use tracer_tests::forms::{Built, CPP, Form, OTHER_CODE, PLAIN, RUST, SAME};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{self, accompany, request};

/// The variables of the capture at each place.
type Captured = BTreeMap<&'static str, BTreeMap<String, Leaf>>;

/// What `forms.c` gives its variables at the line.
const EXPECTED: &str = include_str!("expected/forms.txt");

/// Of these, how many are of locals.
const FRAME_LEAVES: usize = 12;

/// Leaves that are shown of C++ and Rust, at least.
const LANGUAGE_LEAVES: usize = 10;

/// Differences of a form that are told.
const TOLD_MAX: usize = 3;

fn captured(engine: &Engine, built: &Built) -> Result<Captured> {
    let mut running = built.target.start(&[])?;
    let source = built.target.source.file_name().context("no source")?.to_string_lossy();
    let line = format!("{source}:{}", built.target.line(" here")?);
    let mut captured = Captured::new();
    for (place, location) in [("entry", "the_form"), ("line", &line)] {
        let request = request(running.pid(), location)?;
        accompany(engine, &request, &mut running, 1, &mut |event, _| {
            if let Event::Capture { capture, .. } = event {
                captured.insert(place, flatten(&capture.frames[0].variables));
            }
        })?;
        captured.get(place).context("no capture")?;
    }
    running.finish()?;
    Ok(captured)
}

fn differences(engine: &Engine, form: &Form, expected: &Captured) -> Result<String> {
    let found = form.build().and_then(|built| captured(engine, &built)).context(form.name)?;
    let mut text = String::new();
    for (place, expected) in expected {
        for (path, leaf) in expected {
            let found = found[place].get(path);
            if found != Some(leaf) && text.lines().count() < TOLD_MAX {
                writeln!(text, "{}, {place}: {path}: {found:?}, not {leaf:?}", form.name)?;
            }
        }
        for path in found[place].keys().filter(|path| !expected.contains_key(*path)) {
            writeln!(text, "{}, {place}: {path}, which is new", form.name)?;
        }
    }
    Ok(text)
}

#[test]
fn every_form_gives_the_capture_of_the_plain_one() {
    require().unwrap();
    if snapshot::options().attach == AttachMode::Perf {
        // What a file says is known before anything is attached.
        return;
    }
    let engine = snapshot::engine();
    let plain = captured(&engine, &PLAIN.build().unwrap()).unwrap();
    let comparison = compare(&plain["line"], EXPECTED);
    // A floating-point argument is in a vector register.
    assert!(comparison.wrong.is_empty() && comparison.missing.len() <= 1, "{comparison:?}");
    let mut wrong = String::new();
    for form in SAME {
        wrong += &differences(&engine, form, &plain).unwrap_or_else(|error| format!("{error:#}\n"));
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_form_of_other_languages_gives_the_capture_of_the_plain_one() {
    require().unwrap();
    if snapshot::options().attach == AttachMode::Perf {
        // What a file says is known before anything is attached.
        return;
    }
    let engine = snapshot::engine();
    let mut wrong = String::new();
    for (plain, others) in [CPP, RUST].iter().filter_map(|forms| forms.split_first()) {
        let expected = captured(&engine, &plain.build().unwrap()).unwrap();
        let shown = expected["line"].values().filter(|leaf| matches!(leaf, Leaf::Is(_))).count();
        assert!(shown >= LANGUAGE_LEAVES, "{}: {expected:#?}", plain.name);
        for form in others {
            let told = differences(&engine, form, &expected);
            wrong += &told.unwrap_or_else(|error| format!("{error:#}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn other_compilers_give_the_same_or_a_reason() {
    require().unwrap();
    if snapshot::options().attach == AttachMode::Perf {
        // What a file says is known before anything is attached.
        return;
    }
    let engine = snapshot::engine();
    let mut wrong = String::new();
    for form in OTHER_CODE {
        match form.build().and_then(|built| captured(&engine, &built)).context(form.name) {
            Ok(captured) => {
                let comparison = compare(&captured["line"], EXPECTED);
                for error in comparison.wrong {
                    writeln!(wrong, "{}: {error}", form.name).unwrap();
                }
                // What the function itself keeps in memory is there, whatever its caller is to it.
                if comparison.right < FRAME_LEAVES {
                    writeln!(wrong, "{}: missing: {:?}", form.name, comparison.missing).unwrap();
                }
            }
            Err(error) => writeln!(wrong, "{error:#}").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
