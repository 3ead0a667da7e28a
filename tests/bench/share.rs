//! How many functions of real programs can be probed at an instruction that the kernel emulates.

use super::Extent;
use super::figure::{Figure, rounded};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::model::address::Svma;
use tracer_core::model::issue::Issue;
use tracer_core::model::resolved::{LocationSpec, TrapClass};
use tracer_core::resolve;
use tracer_core::resolve::instruction::classify;
use tracer_tests::project::program;

/// The longest instruction.
const INSTRUCTION_MAX: usize = 15;
/// In the short form, one function in so many.
const SAMPLE: usize = 200;

/// Functions by what is at their entries.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    functions: u64,
    /// The first instruction is emulated.
    emulated: u64,
    /// It is not, but one that means the same is.
    moved: u64,
    /// None is.
    single_step: u64,
    /// None that means the same may be probed.
    refused: u64,
}

/// Counts for each program.
///
/// # Errors
///
/// A program is not there or can't be read.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let sample = if extent == Extent::Full { 1 } else { SAMPLE };
    let figure = |path: PathBuf| Ok(count(&path, sample)?.figure(&path));
    programs()?.into_iter().map(figure).collect()
}

fn programs() -> Result<Vec<PathBuf>> {
    Ok(vec![
        PathBuf::from("/usr/bin/python3.11"),
        program("memcached/gcc-O2/memcached")?,
        program("ripgrep/bin/rg")?,
        PathBuf::from("/usr/lib/x86_64-linux-gnu/libc.so.6"),
    ])
}

/// Looks at one function in `sample`.
fn count(path: &Path, sample: usize) -> Result<Count> {
    let modules = Modules::of_file(path).with_context(|| path.display().to_string())?;
    let code = Code::new(&modules);
    let found = resolve::find::find("", &code)?;
    eprintln!("share: {}: {} functions", path.display(), found.len());
    let mut count = Count::default();
    for function in found.iter().filter(|found| !found.inlined_only).step_by(sample) {
        count.add(&code, function.svma);
    }
    Ok(count)
}

impl Count {
    fn add(&mut self, code: &Code<'_>, entry: Svma) {
        self.functions += 1;
        match (first(code, entry), probed(code, entry)) {
            (Some(TrapClass::Emulated), Ok(TrapClass::Emulated)) => self.emulated += 1,
            (_, Ok(TrapClass::Emulated)) => self.moved += 1,
            (_, Ok(TrapClass::SingleStepped)) => self.single_step += 1,
            (_, Err(_)) => self.refused += 1,
        }
    }

    fn figure(self, path: &Path) -> Figure {
        let percent =
            |part: u64| json!(rounded(100.0 * part as f64 / self.functions.max(1) as f64));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let values = vec![
            ("program", json!(name)),
            ("functions", json!(self.functions)),
            ("emulated_percent", percent(self.emulated + self.moved)),
            ("emulated_at_first_instruction_percent", percent(self.emulated)),
            ("emulated_by_moving_percent", percent(self.moved)),
            ("single_step_percent", percent(self.single_step)),
            ("refused_percent", percent(self.refused)),
        ];
        Figure::Other { bench: "share", values }
    }
}

/// The class of the first instruction; `None` if it may not be probed.
fn first(code: &Code<'_>, entry: Svma) -> Option<TrapClass> {
    let module = code.modules().get(0).ok()?;
    let bytes = (1..=INSTRUCTION_MAX).rev().find_map(|length| module.text(entry, length))?;
    Some(classify(bytes, entry).ok()?.trap)
}

/// The class of the instruction that is probed.
fn probed(code: &Code<'_>, entry: Svma) -> Result<TrapClass, Issue> {
    let module = code.modules().get(0)?;
    let address = module.to_avma(entry);
    let spec = LocationSpec::Address(address);
    let resolved = resolve::resolve(&spec, &format!("*{address}"), code)?;
    // At least one site, for there is no error.
    Ok(resolved.sites.first().map_or(TrapClass::SingleStepped, |site| site.trap))
}
