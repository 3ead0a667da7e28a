//! Debug info in every form that it is found in: the same source gives the same capture.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use tracer_core::engine::Engine;
use tracer_core::engine::event::Event;
use tracer_core::engine::options::AttachMode;
use tracer_tests::cli;
use tracer_tests::flat::{Leaf, compare, flatten};
use tracer_tests::forms::{Built, CPP, Form, OTHER_CODE, PLAIN, RUST, SAME};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{self, accompany, request};
use tracer_tests::targets::Target;

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

/// Debian's server of debug files, for a folder of its own.
struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(files: &[&Path]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for file in files {
            let name = file.file_name().context("no name")?;
            std::fs::copy(file, folder.path().join(name))?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new("debuginfod");
        command.args(["-F", "-vv", "-t0", "-p", &port.to_string(), "-d", ":memory:"]);
        command.arg(folder.path()).env_remove("DEBUGINFOD_URLS");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("no debuginfod: run `cargo xtask setup`")?;
        let log = BufReader::new(child.stderr.take().context("no log")?);
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        // It logs all that it does, and must be read to its end.
        let (sender, indexed) = channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("groomed database") {
                    // It does that when all is indexed. Nobody waits any more at the second time.
                    let _told = sender.send(());
                }
            }
        });
        indexed.recv_timeout(Duration::from_secs(60)).context("debuginfod does not index")?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A stripped copy of the plain form without a link to its debug file, which is beside it.
fn stripped(folder: &Path) -> Result<(Target, PathBuf)> {
    let plain = PLAIN.build()?.target;
    let debug = folder.join("debug");
    plain.copy("objcopy", &["--only-keep-debug"], &debug)?;
    Ok((plain.copy("strip", &[], &folder.join("form"))?, debug))
}

fn vars(target: &Target, urls: &str, cache: &Path) -> Result<cli::Done> {
    let running = target.start(&[])?;
    let location = format!("forms.c:{}", target.line("/* here */")?);
    let mut command = cli::command(&["vars", "-p", &running.pid().to_string(), &location])?;
    command.env("DEBUGINFOD_URLS", urls).env("TRACER_CACHE_DIR", cache);
    let output = command.output()?;
    running.finish()?;
    Ok(cli::Done { stdout: output.stdout, stderr: output.stderr, status: output.status })
}

/// IDENT-2
#[test]
fn a_server_of_debug_files_is_asked_last_and_believed_if_the_build_id_fits() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (target, debug) = stripped(folder.path()).unwrap();
    let server = Server::start(&[&debug]).unwrap();
    let cache = folder.path().join("cache");
    let done = vars(&target, &server.url, &cache).unwrap();
    let shown = done.output().unwrap();
    assert!(done.status.success() && shown.contains("numbers"), "{done:?}");
    // It was kept: the server is not needed any more.
    let url = server.url.clone();
    drop(server);
    assert!(vars(&target, &url, &cache).unwrap().status.success());
    // What is there under the name of another is not believed.
    let kept = std::fs::read_dir(cache.join("debuginfod")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy("/proc/self/exe", &kept).unwrap();
    let done = vars(&target, &url, &cache).unwrap();
    assert!(!done.status.success() && done.errors().unwrap().contains(&url), "{done:?}");
    assert!(!kept.exists());
}

#[test]
fn a_server_that_says_nothing_delays_no_longer_than_it_may() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (target, _) = stripped(folder.path()).unwrap();
    // It accepts connections, and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let running = target.start(&[]).unwrap();
    let location = format!("forms.c:{}", target.line("/* here */").unwrap());
    let pid = running.pid().to_string();
    let mut command = cli::command(&["vars", "-p", &pid, &location]).unwrap();
    command.env("DEBUGINFOD_URLS", &url).env("DEBUGINFOD_TIMEOUT", "1");
    command.env("TRACER_CACHE_DIR", folder.path().join("cache"));
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains(&format!("{url}: it is being fetched")), "{errors}");
    running.finish().unwrap();
}
