//! What becomes of a probe whose code, file or process changes under it.

use super::start;
use std::fs::{self, File, OpenOptions};
use std::io::{PipeWriter, Write as _, pipe};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};
use tracer_core::engine::Engine;
use tracer_core::engine::event::{Ended, Event, Summary};
use tracer_core::engine::options::AttachMode;
use tracer_tests::cli::RunningTracer;
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{engine, options, request};
use tracer_tests::targets::{RunningTarget, Target};
use tracer_tests::text::require_as_in_files;

const CODE_GONE: i32 = 34;
const BEING_DEBUGGED: i32 = 30;
/// Rounds of what happens at a random moment, unless `TRACER_SOAK_N` says otherwise.
const ROUNDS: u64 = 50;
/// The longest that a probe that takes all hits waits.
const FOREVER: Duration = Duration::from_secs(600);

/// A probe of this process that takes all hits, in place.
struct Probing {
    engine: JoinHandle<Summary>,
    stop: PipeWriter,
}

impl Probing {
    fn start(engine: &Arc<Engine>, pid: u32) -> Self {
        let engine = Arc::clone(engine);
        let mut request = request(pid, "counted").unwrap();
        (request.hits, request.timeout) = (0, FOREVER);
        let (stopped, stop) = pipe().unwrap();
        let (tell, armed) = channel();
        let running = spawn(move || {
            let mut tell = Some(tell);
            let mut deliver = |event| {
                if let (Event::Armed(_), Some(tell)) = (event, tell.take()) {
                    tell.send(()).unwrap();
                }
                ControlFlow::Continue(())
            };
            engine.snapshot(&request, stopped.as_fd(), &mut deliver).unwrap()
        });
        if armed.recv().is_err() {
            running.join().unwrap();
            unreachable!("it ended well before it was armed");
        }
        Self { engine: running, stop }
    }

    /// Waits until it ends by itself.
    fn end(self) -> Summary {
        let summary = self.engine.join().unwrap();
        drop(self.stop);
        summary
    }

    fn stop(self) -> Summary {
        drop(self.stop);
        self.engine.join().unwrap()
    }
}

fn plugin(flags: &[&str]) -> Target {
    Target::c("plugin", "gcc", &[&["-O2", "-shared", "-fPIC"], flags].concat()).unwrap()
}

/// Writes `bytes` over a file without making a new one, as a careless copy does.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

fn loader(library: &Path) -> RunningTarget {
    start("loader", &[library.to_str().unwrap()])
}

/// H4: at random moments of a probe the library is written over in place, by one with the same code
/// while the target runs on, or by one whose code is elsewhere; who starts then runs the new code.
///
/// SITE-2
#[test]
fn a_library_that_is_written_over() {
    require().unwrap();
    let rounds = std::env::var("TRACER_SOAK_N").map_or(ROUNDS, |n| n.parse().unwrap());
    let [old, shifted] =
        [plugin(&[]), plugin(&["-DSHIFTED"])].map(|p| fs::read(p.program).unwrap());
    let mut renamed = old.clone();
    let version = old.windows(9).position(|bytes| bytes == b"version 0").unwrap();
    renamed[version + 8] = b'1';
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("plugin.so");
    let engine = Arc::new(engine());
    let (mut random, mut longest) = (0x9e37_79b9_u64, Duration::ZERO);
    for round in 0..rounds {
        fs::remove_file(&library).ok();
        fs::write(&library, &old).unwrap();
        let mut target = loader(&library);
        let probing = Probing::start(&engine, target.pid());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let moment = Instant::now() + Duration::from_micros(random >> 32 & 0x1fff);
        let same_code = round % 2 == 0;
        let mut calls = 0;
        while Instant::now() < moment {
            calls = target.go().unwrap();
        }
        overwrite(&library, if same_code { &renamed } else { &shifted });
        let written = Instant::now();
        let mut later = loader(&library);
        assert_eq!(later.go().unwrap(), 10);
        if same_code {
            assert_eq!(target.go().unwrap(), calls + 10);
        }
        let summary = probing.end();
        longest = longest.max(written.elapsed());
        assert_eq!(summary.ended, Ended::CodeChanged, "{summary:?}");
        assert!(summary.why.as_ref().unwrap().contains("written to"), "{summary:?}");
        later.finish().unwrap();
        if same_code {
            assert_eq!(target.go().unwrap(), calls + 20);
            require_as_in_files(target.pid()).unwrap();
            target.finish().unwrap();
        }
        let mut afterwards = loader(&library);
        assert_eq!(afterwards.go().unwrap(), 10);
        afterwards.finish().unwrap();
    }
    println!("{rounds} overwrites, 0 crashes; the longest until the probe had ended: {longest:?}");
}

/// H3: an update that is done right makes a new file; the old one lives on in the process.
#[test]
fn a_library_that_is_replaced() {
    require().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [library, new] = ["plugin.so", "new.so"].map(|name| directory.path().join(name));
    fs::copy(plugin(&[]).program, &library).unwrap();
    fs::copy(plugin(&["-DSHIFTED"]).program, &new).unwrap();
    let engine = Arc::new(engine());
    let mut target = loader(&library);
    let probing = Probing::start(&engine, target.pid());
    target.go().unwrap();
    fs::rename(&new, &library).unwrap();
    File::open(directory.path()).unwrap().sync_all().unwrap();
    // Longer than it takes until the process is looked at.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        target.go().unwrap();
    }
    let summary = probing.stop();
    assert_eq!(summary.ended, Ended::Stopped, "{summary:?}");
    assert_eq!((summary.hits, summary.text_restored), (target.count, Some(true)), "{summary:?}");
    require_as_in_files(target.pid()).unwrap();
    target.finish().unwrap();
}

/// H16: what can't be prevented is said. The copy has the breakpoint, and nobody knows it there.
#[test]
fn code_that_moves_while_it_is_probed() {
    let mut target = start("moved", &["later"]);
    let pid = target.pid().to_string();
    let tracer =
        RunningTracer::armed(&["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0"])
            .unwrap();
    target.obey("move").unwrap();
    let done = tracer.finish().unwrap();
    assert_eq!(done.status.code(), Some(CODE_GONE), "{done:?}");
    assert!(done.output().unwrap().contains("could not be verified"), "{done:?}");
    // It does not run the copied breakpoint, so it lives.
    target.finish().unwrap();
}

/// H29: two owners of breakpoints break a target, so we go.
#[test]
fn a_debugger_that_comes() {
    let mut target = start("counter", &["1", "5"]);
    let pid = target.pid().to_string();
    let tracer =
        RunningTracer::armed(&["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0"])
            .unwrap();
    target.go().unwrap();
    let came = Instant::now();
    let mut gdb = Command::new("gdb")
        .args(["-q", "-nx", "-p", &pid])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let done = tracer.finish().unwrap();
    println!("out {:?} after gdb was started", came.elapsed());
    assert_eq!(done.status.code(), Some(BEING_DEBUGGED), "{done:?}");
    require_as_in_files(target.pid()).unwrap();
    gdb.stdin.take().unwrap().write_all(b"detach\nquit\n").unwrap();
    gdb.wait().unwrap();
    assert_eq!(target.go().unwrap(), 10);
    target.finish().unwrap();
}

/// H19
///
/// SITE-3
#[test]
fn a_forked_child_carries_the_breakpoint() {
    let engine = Arc::new(engine());
    let mut target = start("forker", &["10"]);
    let probing = Probing::start(&engine, target.pid());
    target.go().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", target.pid());
    let child: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let carries = require_as_in_files(child).is_err();
    let summary = probing.stop();
    // A perf event takes it out at the child's first hit.
    assert_eq!(carries, options().attach != AttachMode::Perf);
    assert_eq!(summary.children, 1, "{summary:?}");
    assert_eq!((summary.hits, summary.text_restored), (10, Some(true)), "{summary:?}");
    require_as_in_files(child).unwrap();
    require_as_in_files(target.pid()).unwrap();
    assert_eq!(target.go().unwrap(), 20);
    target.finish().unwrap();
}
