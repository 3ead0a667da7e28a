//! `cargo xtask kernels`: tracer on stock Debian kernels, in virtual machines. By hand.
//!
//! The guest's cases are live tests; they run on this machine's kernel first, which compiles the
//! programs that they trace.

mod cases;
mod initramfs;
mod machine;
mod packages;

use crate::ebpf;
use crate::project::{cargo, command, output, per_cpu_object, root, run, step, target_dir};
use crate::setup::{Part, setup};
use anyhow::{Context as _, Result, bail};
use cases::Run;
use initramfs::Archive;
use machine::Report;
use packages::Kernel;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The series that are tried if none is named.
const SERIES: &[&str] = &["5.10", "6.1", "6.12", "6.18", "7.0", "7.3"];
/// Machines that run beside each other.
const MACHINES: usize = 2;

/// Runs the cases on these series of kernels.
///
/// # Errors
///
/// A case fails, or something can't be installed, built or started.
pub(crate) fn kernels(series: &[&str]) -> Result<()> {
    setup(Part::ALL)?;
    setup(&[Part::Machines])?;
    ebpf::build()?;
    fs::create_dir_all(home())?;
    step("kernels");
    let kernels = packages::kernels(if series.is_empty() { SERIES } else { series })?;
    let programs = Programs::build()?;
    step("on this machine's kernel");
    let is_good_here = here(&programs).inspect_err(|error| println!("{error:#}")).is_ok();
    let initramfs = archive(&programs)?;
    step("on others");
    let start = Instant::now();
    let is_good = all(&kernels, &initramfs) && is_good_here;
    println!("\n{} s; consoles are in {}", start.elapsed().as_secs(), home().display());
    if is_good { Ok(()) } else { bail!("not every kernel is served as it must be") }
}

/// Where kernels are, and what machines tell.
fn home() -> PathBuf {
    target_dir().join("kernels")
}

/// Where the cases find their compiled targets, here and in the guest.
fn cases_target_dir() -> PathBuf {
    home().join("target")
}

/// The programs that a machine needs, without debug info.
struct Programs {
    tracer: PathBuf,
    /// The live tests.
    live: PathBuf,
    /// The machine's first process.
    guest: PathBuf,
}

impl Programs {
    fn build() -> Result<Self> {
        step("the guest's programs");
        Ok(Self {
            tracer: built("tracer", &["build"], &["--package", "tracer"])?,
            live: built(
                "live",
                &["test", "--no-run"],
                &["--package", "tracer-tests", "--test", "live"],
            )?,
            guest: built("guest", &["build"], &["--package", "tracer-tests", "--bin", "guest"])?,
        })
    }
}

/// Builds a binary, optimised a little, for machines are slow; gives where it is.
fn built(name: &str, verb: &[&str], what: &[&str]) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(verb).args(["--quiet", "--locked"]).args(what);
    build.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    run(&mut build)?;
    let told = output(build.arg("--message-format=json")).unwrap_or_default();
    let named = format!("\"name\":\"{name}\"");
    let executable =
        |line: &str| Some(line.split_once("\"executable\":\"")?.1.split_once('"')?.0.to_owned());
    let path = told.lines().filter(|line| line.contains(&named)).find_map(executable);
    let path = path.with_context(|| format!("cargo does not say where {name} is"))?;
    let stripped = home().join("bin").join(name);
    fs::create_dir_all(home().join("bin"))?;
    run(command("strip").arg("-o").arg(&stripped).arg(path))?;
    Ok(stripped)
}

/// Runs all cases here, once.
fn here(programs: &Programs) -> Result<()> {
    let object = cases_target_dir().join("bpf");
    fs::create_dir_all(&object)?;
    fs::copy(per_cpu_object(), object.join("per-cpu.bpf.o"))?;
    let mut names: Vec<&str> = cases::ALL
        .iter()
        .flat_map(|run| run.cases)
        .filter_map(|case| case.split_once(' ').map(|(_, name)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    run(command(&programs.live)
        .current_dir(root().join("tests"))
        .args(["--test-threads=1", "--exact"])
        .args(names)
        .env("CARGO_TARGET_DIR", cases_target_dir())
        .env("TRACER_BINARY", &programs.tracer)
        .env_remove("TRACER_SOAK_N"))
}

/// Packs the guest's files; gives where the archive is.
fn archive(programs: &Programs) -> Result<PathBuf> {
    let mut archive = Archive::default();
    archive.program(Path::new("/init"), &programs.guest)?;
    archive.program(Path::new("/live"), &programs.live)?;
    archive.program(Path::new("/tracer"), &programs.tracer)?;
    for folder in ["tests/targets", "tests/live/expected"] {
        archive.copy(&root().join(folder))?;
    }
    archive.copy(&cases_target_dir())?;
    for run in cases::ALL {
        let list = run.cases.join("\n");
        archive.file(&Path::new("/cases").join(run.name), 0o644, list.as_bytes());
    }
    let to = home().join("initramfs");
    archive.write(&to)?;
    Ok(to)
}

/// Runs the machines, a few at a time, and tells of each when it is done.
fn all(kernels: &[Kernel], initramfs: &Path) -> bool {
    let waiting: VecDeque<(&Kernel, &Run)> = kernels
        .iter()
        .flat_map(|kernel| cases::runs_of(&kernel.series).iter().map(move |run| (kernel, *run)))
        .collect();
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        let mut is_good = true;
        while let Some((kernel, run)) = next() {
            is_good &= match machine::run(kernel, run, initramfs) {
                Ok(report) => tell(kernel, run, &report),
                Err(error) => {
                    println!("{} {}: {error:#}", kernel.release, run.name);
                    false
                }
            };
        }
        is_good
    };
    std::thread::scope(|scope| {
        let machines: Vec<_> = (0..MACHINES).map(|_| scope.spawn(work)).collect();
        machines.into_iter().all(|machine| machine.join().unwrap_or(false))
    })
}

/// Prints how a machine's run went; true if all is as it must be.
fn tell(kernel: &Kernel, run: &Run, report: &Report) -> bool {
    let passed = report.cases.iter().filter(|case| case.passed).count();
    let mut text = format!(
        "{} {}: {passed} of {} passed in {} s\n",
        kernel.release,
        run.name,
        run.cases.len(),
        report.took.as_secs()
    );
    for case in &report.cases {
        let word = if case.passed { "ok  " } else { "FAIL" };
        text.push_str(&format!("  {word} {} ({} s)\n", case.name, case.seconds));
        for line in case.said.iter().filter(|line| !case.passed || is_figure(line)) {
            text.push_str(&format!("       {line}\n"));
        }
    }
    for fault in &report.faults {
        text.push_str(&format!("  FAULT {fault}\n"));
    }
    print!("{text}");
    report.is_good() && passed == run.cases.len()
}

/// Lines of a passed case that say something about the kernel.
fn is_figure(line: &str) -> bool {
    ["instructions verified", " records, ", " mixtures: "].iter().any(|word| line.contains(word))
}
