//! Programs whose files are made to hurt who reads them, probed through a daemon: every question is
//! answered soon, in bounded memory, and who asks something else meanwhile does not notice.

use serde_json::Value as Json;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracer_core::model::issue::IssueKind;
use tracer_tests::bombs::{self, Base};
use tracer_tests::cli::{Done, RunningTracer};
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};

/// What a question may cost the daemon, in time of the processor: a busy machine is no excuse. This
/// is for a build that is not optimised; the one that is shipped has 5 s, and takes a tenth.
const CPU_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 5 });
/// How many times smaller bombs are in the short form.
const SMALLER: usize = 16;
/// How long it may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the daemon may grow by, at any moment of a question.
const GROWTH_MAX: u64 = 256 << 20;

/// The memory and time of a daemon with its parser, as the kernel counts them.
struct Meter<'d> {
    daemon: &'d Daemon,
    before: u64,
    cpu: Duration,
    start: Instant,
}

impl<'d> Meter<'d> {
    /// Starts to measure: the peak is that from now on.
    fn start(daemon: &'d Daemon) -> Self {
        for pid in processes(daemon) {
            fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        }
        let (before, cpu) = (status(daemon, "VmRSS:"), cpu(daemon));
        Self { daemon, before, cpu, start: Instant::now() }
    }

    /// What was used since: wall time, time of the processor, bytes at the peak.
    fn read(&self) -> (Duration, Duration, u64) {
        let peak = status(self.daemon, "VmHWM:").saturating_sub(self.before);
        (self.start.elapsed(), cpu(self.daemon) - self.cpu, peak)
    }
}

/// The daemon, and who reads files for it.
fn processes(daemon: &Daemon) -> Vec<u32> {
    let mut processes = daemon.parsers().unwrap();
    processes.push(daemon.pid());
    processes
}

/// A number of bytes in `/proc/PID/status`, of all that are there still.
fn status(daemon: &Daemon, name: &str) -> u64 {
    let bytes = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
    };
    processes(daemon).into_iter().filter_map(bytes).sum()
}

/// User and system time, also of those that have ended.
fn cpu(daemon: &Daemon) -> Duration {
    let ticks = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let behind = text.rsplit(')').next().unwrap().to_owned();
        let numbers = behind.split_whitespace().skip(11).take(4);
        Some(numbers.map(|number| number.parse::<u64>().unwrap()).sum::<u64>())
    };
    // sysconf(_SC_CLK_TCK) is 100 wherever Linux runs.
    Duration::from_millis(processes(daemon).into_iter().filter_map(ticks).sum::<u64>() * 10)
}

/// Asks the daemon, the target at work, until there is an answer.
fn ask(daemon: &Daemon, target: &mut RunningTarget, words: &[&str]) -> Done {
    let tracer = RunningTracer::start(&mut daemon.command(words).unwrap()).unwrap();
    std::thread::scope(|scope| {
        // What it writes is read all the time: a full pipe would stop it.
        let done = scope.spawn(|| tracer.finish().unwrap());
        while !done.is_finished() {
            target.go().unwrap();
        }
        done.join().unwrap()
    })
}

/// Others ask for the list of probes all the time; gives the longest that one waited.
fn others(daemon: &Daemon, done: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        daemon.probes().unwrap();
        longest = longest.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

/// A value, a reason or an issue: an end that the contract knows.
fn require_known(done: &Done, what: &str) {
    let code = done.status.code().unwrap_or_else(|| panic!("{what}: {done:?}"));
    let known = IssueKind::ALL.iter().any(|kind| i32::from(kind.exit_code()) == code);
    assert!(code == 0 || known, "{what}: {done:?}");
    for line in done.output().unwrap().lines() {
        serde_json::from_str::<Json>(line).unwrap_or_else(|_| panic!("{what}: no JSON: {line}"));
    }
}

/// HOST-1
#[test]
fn bombs_leave_the_daemon_answering() {
    require().unwrap();
    if std::env::var("TRACER_ATTACH").is_ok_and(|how| how == "perf") {
        // How breakpoints are placed makes no difference to what is read before.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let counter = Target::c("counter", "gcc", &["-O2"]).unwrap();
    let full = std::env::var_os("TRACER_SOAK_N").is_some();
    let divisor = if full { 1 } else { SMALLER };
    let base = Base::of(&counter, folder.path(), divisor).unwrap();
    let daemon = Daemon::start().unwrap();
    let only = std::env::var("TRACER_BOMB").unwrap_or_default();
    let mut failures = Vec::new();
    for bomb in bombs::all().iter().filter(|bomb| bomb.name.contains(&only)) {
        let program = bomb.write(&base, folder.path()).unwrap();
        let mut target = program.start(&["1", "5"]).unwrap();
        let pid = target.pid().to_string();
        let questions: [&[&str]; 4] = [
            &["snapshot", "-p", &pid, "counted", "--timeout", "3s", "--json"],
            &["snapshot", "-p", &pid, "bomb.c:10", "--timeout", "3s", "--json"],
            &["vars", "-p", &pid, "counted", "--json"],
            &["find", "-p", &pid, "count", "--json"],
        ];
        for question in questions.iter().take(if full { 4 } else { 2 }) {
            let what = format!("{}: {} {}", bomb.name, question[0], question[3]);
            let meter = Meter::start(&daemon);
            let done = AtomicBool::new(false);
            let (answer, longest) = std::thread::scope(|scope| {
                let others = scope.spawn(|| others(&daemon, &done));
                let answer = ask(&daemon, &mut target, question);
                done.store(true, Ordering::Relaxed);
                (answer, others.join().unwrap())
            });
            let (wall, cpu, growth) = meter.read();
            let code = answer.status.code();
            println!(
                "{what}: {code:?} {wall:?} cpu {cpu:?} {} MiB, others {longest:?}",
                growth >> 20
            );
            require_known(&answer, &what);
            let bad = cpu > CPU_MAX || wall.max(longest) > PATIENCE || growth > GROWTH_MAX;
            failures.extend(bad.then_some(what));
        }
        drop(target);
        fs::remove_file(&program.program).unwrap();
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(daemon.living().unwrap().is_empty());
}
