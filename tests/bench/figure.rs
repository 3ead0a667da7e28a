//! What was measured, as JSON lines or as a table.

use serde_json::{Map, Value as Json, json};
use tracer_core::model::resolved::TrapClass;

/// A result.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// What a hit costs.
    Hit(Hit),
    /// Anything else.
    Other {
        /// What was measured.
        bench: &'static str,
        /// Keys with their units, and values.
        values: Vec<(&'static str, Json)>,
    },
}

/// What a hit costs.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// What is attached.
    pub(crate) bench: &'static str,
    /// The class of the first instruction, which the location means.
    pub(crate) site: TrapClass,
    /// The class of the instruction that is probed; `None` where there is no probe.
    pub(crate) placed: Option<TrapClass>,
    /// CPU time of the thread for a call, without that of the call itself; with no probe, of the
    /// call itself.
    pub(crate) ns: f64,
    /// How much of it the kernel program ran, as the kernel measures it; `None` where there is
    /// none.
    pub(crate) in_program_ns: Option<f64>,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// One object a line.
    Json,
    /// For people.
    Table,
}

impl Form {
    /// Prints the results of a part.
    pub(crate) fn print(self, figures: &[Figure]) {
        match self {
            Self::Json => figures.iter().for_each(|figure| println!("{}", figure.json())),
            Self::Table => table(figures),
        }
    }
}

impl Figure {
    fn json(&self) -> Json {
        match self {
            Self::Hit(hit) => json!({
                "bench": hit.bench,
                "site": class(hit.site),
                "placed": hit.placed.map(class),
                "ns_per_hit": rounded(hit.ns),
                "in_program_ns": hit.in_program_ns.map(rounded),
            }),
            Self::Other { bench, values } => {
                let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
                let bench = ("bench".to_owned(), json!(bench));
                Json::Object([bench].into_iter().chain(values).collect::<Map<_, _>>())
            }
        }
    }
}

/// A number with one digit behind the point.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A number with two digits behind the point.
pub(crate) fn fine(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn class(class: TrapClass) -> &'static str {
    match class {
        TrapClass::Emulated => "emulated",
        TrapClass::SingleStepped => "single_step",
    }
}

fn table(figures: &[Figure]) {
    let hits: Vec<&Hit> = figures
        .iter()
        .filter_map(|figure| if let Figure::Hit(hit) = figure { Some(hit) } else { None })
        .collect();
    if !hits.is_empty() {
        println!(
            "{:<15} {:<11} {:<11} {:>10} {:>10} {:>8}",
            "attached", "asked for", "probed", "ns a hit", "in program", "× empty"
        );
    }
    for hit in &hits {
        let is_base = |other: &&&Hit| {
            (other.bench, other.site, other.placed) == ("empty", hit.site, hit.placed)
        };
        let ratio = hits.iter().find(is_base).map(|base| format!("{:.2}", hit.ns / base.ns));
        let in_program = hit.in_program_ns.map(|ns| format!("{ns:.1}"));
        println!(
            "{:<15} {:<11} {:<11} {:>10.1} {:>10} {:>8}",
            hit.bench,
            class(hit.site),
            hit.placed.map_or("-", class),
            hit.ns,
            in_program.as_deref().unwrap_or("-"),
            ratio.as_deref().unwrap_or("-"),
        );
    }
    for figure in figures {
        if let Figure::Other { bench, values } = figure {
            let values: Vec<String> =
                values.iter().map(|(key, value)| format!("{key} {value}")).collect();
            println!("{bench:<20} {}", values.join(", "));
        }
    }
}
