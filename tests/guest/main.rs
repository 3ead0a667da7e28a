//! The first process of a virtual machine: runs live tests on its kernel, says how they ended on the
//! second serial port, and switches the machine off. See `cargo xtask kernels`.
//!
//! `TRACER_CASES`, from the kernel's command line, names a file in `/cases`: lines of `ATTACH TEST`.
//! Standard output is lines of `ok TEST SECONDS` or `fail TEST SECONDS`, each followed by what the
//! test said, in lines that start with `|`; at last `end`.

#![expect(unsafe_code, reason = "mounts, and children of others, have no safe wrapper")]

mod machine;

use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tracer_tests::project::root;

/// How long one test may take before it is killed; at full length.
const PATIENCE: Duration = Duration::from_secs(240);
const PATIENCE_OF_A_SOAK: Duration = Duration::from_secs(60 * 60);
/// The most of what a failed test said that is passed on, from the end.
const SAID_BYTES: usize = 6000;
/// The live tests, and where they write.
const LIVE: &str = "/live";
const SAID: &str = "/said";

fn main() {
    let done = match std::process::id() {
        1 => machine::run(),
        _ => run_cases(),
    };
    if let Err(error) = done {
        println!("| {error:#}");
        std::process::exit(1);
    }
}

/// Runs all cases, one after another.
fn run_cases() -> Result<()> {
    let list = std::env::var("TRACER_CASES").context("no TRACER_CASES")?;
    let cases = fs::read_to_string(Path::new("/cases").join(list))?;
    for line in cases.lines() {
        let (attach, test) = line.split_once(' ').context("a case is ATTACH TEST")?;
        let start = Instant::now();
        let ended = run_case(attach, test);
        let word = if ended.is_ok() { "ok" } else { "fail" };
        println!("{word} {test} {:.1}", start.elapsed().as_secs_f64());
        said()?.lines().for_each(|line| println!("| {line}"));
        if let Err(error) = ended {
            println!("| {error:#}");
        }
    }
    println!("end");
    Ok(())
}

fn run_case(attach: &str, test: &str) -> Result<()> {
    let said = File::create(SAID)?;
    let child = Command::new(LIVE)
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .current_dir(root().join("tests"))
        .env("TRACER_ATTACH", attach)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .spawn()
        .context("can't start the live tests")?;
    let status = wait(child)?;
    // A name that no test has runs nothing and is content.
    let ran = fs::read_to_string(SAID).is_ok_and(|text| text.contains("running 1 test"));
    match (status.success(), ran) {
        (true, true) => Ok(()),
        (true, false) => bail!("there is no such test"),
        (false, _) => bail!("{status}"),
    }
}

/// Waits for it, no longer than it may take.
fn wait(mut child: Child) -> Result<ExitStatus> {
    let pid = libc::pid_t::try_from(child.id())?;
    let (send, ended) = channel();
    let waiting = std::thread::spawn(move || {
        let status = child.wait();
        // Nobody listens any more after the deadline.
        send.send(()).ok();
        status
    });
    let patience = match std::env::var_os("TRACER_SOAK_N") {
        Some(_) => PATIENCE_OF_A_SOAK,
        None => PATIENCE,
    };
    if ended.recv_timeout(patience).is_err() {
        // SAFETY: it is our child, which is not waited for yet.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        bail!("it did not end in {} s", patience.as_secs());
    }
    let status = waiting.join().map_err(|_| anyhow::anyhow!("the waiting thread died"))?;
    Ok(status?)
}

/// The end of what the test said.
fn said() -> Result<String> {
    let bytes = fs::read(SAID)?;
    let start = bytes.len().saturating_sub(SAID_BYTES);
    Ok(String::from_utf8_lossy(&bytes[start..]).into_owned())
}
