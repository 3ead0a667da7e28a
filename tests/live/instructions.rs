//! Every entry of the allow-list is executed without and with a probe on it, in every form of its
//! operands; registers, flags, vectors and memory must be the same, and the probe must have fired.
//!
//! It proves the class too: the kernel maps its out-of-line page into a process at the first
//! single step, so a process that hits emulated sites only must not have it.

#![expect(clippy::expect_used, reason = "a test ends where its machine fails it")]

mod inputs;
mod kernel;
mod run;
mod samples;
mod stubs;

use kernel::Counter;
use run::{Execution, execute};
use samples::Sample;
use std::collections::{BTreeMap, BTreeSet};
use stubs::Stubs;
use tracer_core::model::resolved::TrapClass;
use tracer_core::resolve::instruction::{Entry, entries};

/// Samples that are in one file and probed by one link.
const BATCH: usize = 2000;

/// What became of all samples.
#[derive(Default)]
struct Report {
    encodings: usize,
    executions: usize,
    /// Samples that this processor does not know.
    unknown: Vec<String>,
    /// Entries of which at least one sample was executed.
    tested: BTreeSet<String>,
    /// What went wrong, by entry.
    failures: BTreeMap<String, Vec<String>>,
}

impl Report {
    fn fail(&mut self, sample: &Sample, what: &str) {
        let failures = self.failures.entry(name(&sample.entry)).or_default();
        failures.push(format!("{} [{:02x?}]: {what}", sample.text, sample.bytes));
    }
}

/// An entry's name in the report.
fn name(entry: &Entry) -> String {
    format!("{:?} {:?} {:?}", entry.mnemonic, entry.form, entry.trap)
}

/// SAFE-3
#[test]
fn every_allowed_instruction_does_the_same_under_a_probe() {
    let mut report = Report::default();
    for trap in [TrapClass::Emulated, TrapClass::SingleStepped] {
        let samples = samples::all(trap, BATCH);
        for batch in samples.chunks(BATCH) {
            compare(batch, &mut report);
        }
    }
    let untested: Vec<String> =
        entries().map(|entry| name(&entry)).filter(|name| !report.tested.contains(name)).collect();
    println!(
        "{} entries, {} tested; {} encodings, {} executions, {} unknown to this processor",
        entries().count(),
        report.tested.len(),
        report.encodings,
        report.executions,
        report.unknown.len(),
    );
    for (entry, failures) in &report.failures {
        println!("{entry}: {} failures", failures.len());
        failures.iter().take(4).for_each(|failure| println!("    {failure}"));
    }
    println!("unknown: {:?}", report.unknown);
    println!("untested: {untested:?}");
    assert!(report.failures.is_empty(), "{} entries fail", report.failures.len());
    assert!(untested.is_empty() || !report.unknown.is_empty(), "{} untested", untested.len());
}

/// Executes a batch of samples of one class both ways and notes the differences.
fn compare(batch: &[Sample], report: &mut Report) {
    let stubs = Stubs::write(batch);
    let plain = execute(&stubs, batch, || {});
    let counter = Counter::load(batch.len());
    let (mut links, mut refused) = (Vec::new(), Vec::new());
    let probed = execute(&stubs, batch, || {
        let all: Vec<usize> = (0..batch.len()).collect();
        attach(&counter, &stubs, &all, &mut links, &mut refused);
    });
    let mut stepped = false;
    for (index, sample) in batch.iter().enumerate() {
        report.encodings += 1;
        report.executions += sample.inputs.len();
        let runs = (&plain[index], &probed[index]);
        if runs.0.iter().all(|run| matches!(run, Execution::Died(libc::SIGILL))) {
            report.unknown.push(sample.text.clone());
            continue;
        }
        report.tested.insert(name(&sample.entry));
        if refused.contains(&index) {
            report.fail(sample, "the kernel refuses it");
            continue;
        }
        for (input, (plain, probed)) in runs.0.iter().zip(runs.1).enumerate() {
            if let Some(difference) = difference(plain, probed) {
                report.fail(sample, &format!("input {input}: {difference}"));
            }
        }
        let was_stepped = stepped;
        stepped |= runs.1.iter().any(|run| matches!(run, Execution::Done(done) if done.stepped));
        if sample.entry.trap == TrapClass::Emulated && stepped && !was_stepped {
            report.fail(sample, "it is single-stepped, not emulated");
        }
        let hits = counter.hits(index);
        if hits != sample.inputs.len() as u64 {
            report.fail(sample, &format!("{hits} hits in {} executions", sample.inputs.len()));
        }
    }
}

/// Probes the samples with these indices; those that the kernel refuses go into `refused`.
fn attach(
    counter: &Counter,
    stubs: &Stubs,
    indices: &[usize],
    links: &mut Vec<kernel::Link>,
    refused: &mut Vec<usize>,
) {
    let (left, right) = match counter.attach(stubs.path(), indices, |i| stubs.file_offset(i)) {
        Ok(link) => return links.push(link),
        Err(_) if indices.len() == 1 => return refused.extend_from_slice(indices),
        Err(_) => indices.split_at(indices.len() / 2),
    };
    attach(counter, stubs, left, links, refused);
    attach(counter, stubs, right, links, refused);
}

/// What is different between two executions.
fn difference(plain: &Execution, probed: &Execution) -> Option<String> {
    let (plain, probed) = match (plain, probed) {
        (Execution::Done(plain), Execution::Done(probed)) => (plain, probed),
        (Execution::Died(signal), _) => {
            return Some(format!("the sample is bad: signal {signal} without a probe"));
        }
        (_, Execution::Died(signal)) => return Some(format!("signal {signal} under the probe")),
    };
    let registers = NAMES
        .iter()
        .zip(plain.registers.iter().zip(&probed.registers))
        .filter(|(_, (plain, probed))| plain != probed)
        .map(|(name, (plain, probed))| format!("{name} is {plain:#x} but {probed:#x}"));
    let bytes = (0..)
        .zip(plain.bytes.iter().zip(&probed.bytes))
        .filter(|(_, (plain, probed))| plain != probed)
        .map(|(at, (plain, probed))| format!("byte {at:#x} is {plain:#x} but {probed:#x}"));
    let differences: Vec<String> = registers.chain(bytes).take(4).collect();
    (!differences.is_empty()).then(|| format!("{} under the probe", differences.join(", ")))
}

/// Names of [`Outcome::registers`](run::Outcome).
const NAMES: [&str; 18] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rflags", "path",
];
