//! All metrics by name, with what they mean.

use super::ProbeReadings;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::time::Duration;
use tracer_common::outcome::Outcome;
use tracer_core::engine::readings::{Durations, Readings};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Which source the binary was built from; `cargo xtask dist` says so.
const REVISION: &str = match option_env!("TRACER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
/// Outcomes that are losses have a code that begins so; the rest is the reason.
const LOST: &str = "lost_";

/// Everything that the engine and the daemon count. Each value of a label is always there, so that
/// its first rise is seen.
pub(super) fn families(engine: &Readings, probes: &ProbeReadings) -> Vec<MetricFamily> {
    let build = [("version", VERSION), ("revision", REVISION), ("arch", std::env::consts::ARCH)];
    let count = |name, help, count| counter(name, help, number(count));
    let level = |name, help, level| gauge(name, help, number(level));
    let cache = &engine.cache;
    vec![
        family("tracer_build_info", "Which program this is.", GAUGE, [(build.to_vec(), 1.0)]),
        hits(engine),
        losses(engine, probes),
        count(
            "tracer_reader_stalls_total",
            "Looks at a ring that found records lost since the look before.",
            engine.reader_stalls,
        ),
        count("tracer_records_total", "Records from the kernel program.", engine.received),
        counter(
            "tracer_program_seconds_total",
            "Time that the kernel program spent on captures, by the mean of one hit in 16.",
            Duration::from_nanos(engine.capture_ns).as_secs_f64(),
        ),
        level("tracer_ring_size_bytes", "Size of all ring buffers.", engine.rings_size),
        states(probes),
        count("tracer_probes_created_total", "Probes that were asked for.", probes.created),
        histogram("tracer_attach_seconds", "Time to place a probe.", &engine.attach),
        histogram(
            "tracer_detach_seconds",
            "Time to take a probe's breakpoints out.",
            &engine.detach,
        ),
        level("tracer_cache_entries", "Files that are kept between requests.", cache.entries),
        level("tracer_cache_bytes", "Bytes that they take.", cache.bytes),
        level("tracer_cache_max_bytes", "Bytes that they may take.", cache.bytes_max),
        count("tracer_cache_hits_total", "Files that were there.", cache.hits),
        count("tracer_cache_misses_total", "Files that had to be read.", cache.misses),
        count("tracer_cache_evictions_total", "Files that went for others.", cache.evictions),
    ]
}

fn hits(engine: &Readings) -> MetricFamily {
    let help = "Hits by how they ended: the sum is all hits.";
    let hits = Outcome::ALL.iter().map(|outcome| (outcome.code(), counted(engine, *outcome)));
    family("tracer_hits_total", help, COUNTER, by("outcome", hits))
}

fn losses(engine: &Readings, probes: &ProbeReadings) -> MetricFamily {
    let help = "Hits that should have been captured and were not, records that could not be read, \
                and captures that were dropped because nobody read them in time.";
    let of_hits = Outcome::ALL.iter().filter_map(|outcome| {
        Some((outcome.code().strip_prefix(LOST)?, counted(engine, *outcome)))
    });
    let others = [
        ("kernel_miss", engine.kernel_misses),
        ("malformed", engine.malformed),
        ("log_evicted", probes.evicted),
    ];
    family("tracer_losses_total", help, COUNTER, by("reason", of_hits.chain(others)))
}

fn states(probes: &ProbeReadings) -> MetricFamily {
    let help = "Probes that are known; those that have ended stay for a while.";
    let states = probes.by_state.iter().map(|(state, count)| (state.code(), *count));
    family("tracer_probes", help, GAUGE, by("state", states))
}

fn counted(engine: &Readings, outcome: Outcome) -> u64 {
    engine.outcomes.get(&outcome).copied().unwrap_or(0)
}

const COUNTER: MetricType = MetricType::COUNTER;
const GAUGE: MetricType = MetricType::GAUGE;
/// A value under labels.
type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

/// A count that only grows.
pub(super) fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, help, COUNTER, [(Vec::new(), value)])
}

/// A level.
pub(super) fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, help, GAUGE, [(Vec::new(), value)])
}

fn histogram(name: &str, help: &str, durations: &Durations) -> MetricFamily {
    let mut within = 0;
    let buckets = Durations::BOUNDS.iter().zip(durations.counts).map(|(bound, count)| {
        within += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound.as_secs_f64());
        bucket.set_cumulative_count(within);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(durations.counts.iter().sum());
    histogram.set_sample_sum(durations.total.as_secs_f64());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    of_metrics(name, help, MetricType::HISTOGRAM, vec![metric])
}

/// Numbers under one label.
fn by<'a>(
    label: &'a str,
    values: impl Iterator<Item = (&'a str, u64)>,
) -> impl Iterator<Item = Sample<'a>> {
    values.map(move |(value, n)| (vec![(label, value)], number(n)))
}

fn family<'a>(
    name: &str,
    help: &str,
    kind: MetricType,
    samples: impl IntoIterator<Item = Sample<'a>>,
) -> MetricFamily {
    let metric = |(labels, value): Sample<'_>| metric(kind, &labels, value);
    of_metrics(name, help, kind, samples.into_iter().map(metric).collect())
}

fn of_metrics(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn metric(kind: MetricType, labels: &[(&str, &str)], value: f64) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::from_label(labels.iter().map(pair).collect());
    if kind == COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// Exact up to 2^53; beyond that the format has no more digits.
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::probes::ProbeState;
    use prometheus::TextEncoder;

    #[test]
    fn every_figure_has_its_line() {
        let engine = Readings {
            outcomes: [(Outcome::Captured, 3), (Outcome::LostRingFull, 4)].into(),
            kernel_misses: 5,
            reader_stalls: 8,
            capture_ns: 1_500_000_000,
            attach: Durations {
                total: Duration::from_millis(43),
                counts: [0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1],
            },
            ..Readings::default()
        };
        let by_state = vec![(ProbeState::Armed, 2), (ProbeState::Ended, 0)];
        let probes = ProbeReadings { created: 7, by_state, evicted: 6 };
        let text = TextEncoder::new().encode_to_string(&families(&engine, &probes)).unwrap();
        for line in [
            "tracer_hits_total{outcome=\"captured\"} 3",
            "tracer_hits_total{outcome=\"lost_ring_full\"} 4",
            "tracer_hits_total{outcome=\"foreign\"} 0",
            "tracer_losses_total{reason=\"ring_full\"} 4",
            "tracer_losses_total{reason=\"no_scratch\"} 0",
            "tracer_losses_total{reason=\"kernel_miss\"} 5",
            "tracer_losses_total{reason=\"log_evicted\"} 6",
            "tracer_reader_stalls_total 8",
            "tracer_program_seconds_total 1.5",
            "tracer_attach_seconds_bucket{le=\"0.005\"} 1",
            "tracer_attach_seconds_bucket{le=\"10\"} 3",
            "tracer_attach_seconds_bucket{le=\"+Inf\"} 4",
            "tracer_attach_seconds_sum 0.043",
            "tracer_attach_seconds_count 4",
            "tracer_probes{state=\"armed\"} 2",
            "tracer_probes{state=\"ended\"} 0",
            "tracer_probes_created_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        // What says nothing of the machine and its programs is all that labels hold.
        for label in ["pid=", "address=", "symbol=", "function=", "path=", "uid="] {
            assert!(!text.contains(label), "{text}");
        }
    }
}
