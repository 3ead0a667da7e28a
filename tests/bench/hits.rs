//! What a hit costs the thread that comes by.
//!
//! All variants take turns, several times, and the medians count: the machine is never quiet for
//! long. The kernel measures its programs in a pass of its own, for that costs time too.

use super::Extent;
use super::figure::{Figure, Hit};
use super::functions::{self, FUNCTIONS, Functions};
use super::variant::{Sample, Variant};
use anyhow::{Context as _, Result};
use std::collections::HashMap;
use tracer_core::model::resolved::TrapClass;
use tracer_tests::bpf;
use tracer_tests::targets::RunningTarget;

/// How often each variant has its turn.
const ROUNDS: usize = 7;

/// A variant at a function, by their places in the lists of all.
type Case = (usize, usize);

/// Measures every variant at every function.
///
/// # Errors
///
/// Something can't be attached or captured.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let mut target = functions::start()?;
    let rounds = if extent == Extent::Full { ROUNDS } else { 1 };
    let mut times: HashMap<Case, Vec<f64>> = HashMap::new();
    for round in 1..=rounds {
        eprintln!("hits: round {round} of {rounds}");
        for case in cases() {
            times.entry(case).or_default().push(time(case, &mut target, extent)?.ns);
        }
    }
    eprintln!("hits: time in the kernel program");
    let measuring = bpf::measure_run_time().context("BPF run time statistics")?;
    let mut in_program = HashMap::new();
    for case in cases() {
        in_program.insert(case, time(case, &mut target, extent)?.in_program_ns);
    }
    drop(measuring);
    let told = cases().filter(|(f, v)| Variant::ALL[*v].differs_at(&FUNCTIONS[*f]));
    Ok(told.map(|case| figure(case, &times, &in_program)).collect())
}

fn cases() -> impl Iterator<Item = Case> {
    let of_functions = |f: usize| (0..Variant::ALL.len()).map(move |v| (f, v));
    let all = (0..FUNCTIONS.len()).flat_map(of_functions);
    all.filter(|(f, v)| {
        let (functions, variant) = (&FUNCTIONS[*f], Variant::ALL[*v]);
        // Everywhere, to know what the call itself takes.
        variant == Variant::None || variant.differs_at(functions)
    })
}

fn time((f, v): Case, target: &mut RunningTarget, extent: Extent) -> Result<Sample> {
    let (functions, variant) = (&FUNCTIONS[f], Variant::ALL[v]);
    let place = functions::locate(target.pid(), functions, variant.function(functions))?;
    let calls = calls(variant, functions, extent);
    variant
        .time(target, functions, &place, calls)
        .with_context(|| format!("{} at {}", variant.name(), variant.function(functions)))
}

/// So many that a run takes some ten milliseconds at least.
fn calls(variant: Variant, functions: &Functions, extent: Extent) -> u64 {
    let full = match (variant, variant.placed(functions)) {
        (_, None) => 10_000_000,
        (Variant::Snapshot, _) => 4000,
        (_, Some(TrapClass::Emulated)) => 48_000,
        (_, Some(TrapClass::SingleStepped)) => 8000,
    };
    if extent == Extent::Full { full } else { 100 }
}

fn figure(
    case: Case,
    times: &HashMap<Case, Vec<f64>>,
    in_program: &HashMap<Case, Option<f64>>,
) -> Figure {
    let (f, v) = case;
    let of = |case| times.get(&case).map_or(f64::NAN, |times| median(times));
    let none = Variant::ALL.iter().position(|variant| *variant == Variant::None);
    let call = none.filter(|none| *none != v).map_or(0.0, |none| of((f, none)));
    let (functions, variant) = (&FUNCTIONS[f], Variant::ALL[v]);
    Figure::Hit(Hit {
        bench: variant.name(),
        site: functions.requested,
        placed: variant.placed(functions),
        ns: of(case) - call,
        in_program_ns: in_program.get(&case).copied().flatten(),
    })
}

/// The value in the middle; of an even number of values the lower one of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }
}
