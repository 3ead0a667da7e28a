//! What a real server feels of ten snapshot probes on its hot functions: memcached under load,
//! nothing, ours and bpftrace's taking turns.

mod load;

use super::Extent;
use super::figure::{Figure, fine, rounded};
use anyhow::{Context as _, Result, bail};
use load::{Load, Served};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tracer_tests::cli;
use tracer_tests::daemon::Daemon;
use tracer_tests::placed::Placed;
use tracer_tests::project::program;
use tracer_tests::text::require_as_in_files;

/// Functions that each request runs through, most more than once.
const HOT: [&str; 10] = [
    "drive_machine",
    "conn_set_state",
    "try_read_command_ascii",
    "process_command_ascii",
    "limited_get",
    "do_item_get",
    "assoc_find",
    "resp_start",
    "resp_finish",
    "transmit",
];
/// How long each turn is, and how many there are.
const TURN: Duration = Duration::from_secs(3);
const TURN_SHORT: Duration = Duration::from_millis(100);
const ROUNDS: usize = 21;
/// How long bpftrace may take to come and to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who probes.
const VARIANTS: [&str; 3] = ["none", "tracer", "bpftrace"];

/// Measures the throughput and the latency in each variant.
///
/// # Errors
///
/// Something can't be started, or the server gives a wrong answer.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let (turn, rounds) = if extent == Extent::Full { (TURN, ROUNDS) } else { (TURN_SHORT, 1) };
    let home = tempfile::tempdir()?;
    let load = Load::start(&program("memcached/gcc-O2/memcached")?, home.path())?;
    // With the budgets that users have.
    let mut command = cli::command(&["daemon", "--metrics-listen", "off"])?;
    let daemon = Daemon::start_by(command.env_remove("TRACER_NO_BUDGETS"), tempfile::tempdir()?)?;
    load.run(turn)?;
    let mut turns: BTreeMap<&str, Vec<Served>> = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for round in 0..rounds {
        for number in 0..VARIANTS.len() {
            // None is always the first after the same one.
            let variant = VARIANTS[(number + round) % VARIANTS.len()];
            let served = match variant {
                "tracer" => with_ours(&daemon, &load, turn, &mut ended)?,
                "bpftrace" => with_bpftrace(&load, turn)?,
                _ => load.run(turn)?,
            };
            require_as_in_files(load.pid())?;
            eprintln!("server: {variant}: {served:?}");
            turns.entry(variant).or_default().push(served);
        }
    }
    let base = middle(&turns["none"]);
    let mut figures: Vec<Figure> =
        VARIANTS.iter().map(|variant| figure(variant, &middle(&turns[variant]), &base)).collect();
    let values = ended.into_iter().map(|(why, count): (String, u64)| json!([why, count]));
    let values = vec![("probes", Json::Array(values.collect()))];
    figures.push(Figure::Other { bench: "server_tracer_ended", values });
    Ok(figures)
}

fn figure(variant: &str, served: &Served, base: &Served) -> Figure {
    let percent = |new: f64, old: f64| fine((new / old - 1.0) * 100.0);
    let bench = match variant {
        "tracer" => "server_tracer",
        "bpftrace" => "server_bpftrace",
        _ => "server_none",
    };
    let values = vec![
        ("requests_per_second", json!(served.per_second.round())),
        ("p99_us", json!(rounded(served.p99_us))),
        ("throughput_change_percent", json!(percent(served.per_second, base.per_second))),
        ("p99_change_percent", json!(percent(served.p99_us, base.p99_us))),
    ];
    Figure::Other { bench, values }
}

/// The median of each figure.
fn middle(turns: &[Served]) -> Served {
    let median = |value: fn(&Served) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Served { per_second: median(|turn| turn.per_second), p99_us: median(|turn| turn.p99_us) }
}

/// A turn with ten probes that take whole snapshots, as a daemon's budgets allow.
fn with_ours(
    daemon: &Daemon,
    load: &Load,
    turn: Duration,
    ended: &mut BTreeMap<String, u64>,
) -> Result<Served> {
    let mut probes = Vec::new();
    for function in HOT {
        let request = json!({"pid": load.pid(), "location": function, "hits": 0});
        match Placed::place(daemon, &request)? {
            Ok(probe) => probes.push(probe),
            Err(error) => bail!("{function}: {error}"),
        }
    }
    let served = load.run(turn)?;
    for probe in probes {
        probe.remove(daemon)?;
        let summary = probe.require_exact(daemon)?;
        let why = summary["ended"].as_str().context("it has not ended")?;
        *ended.entry(why.to_owned()).or_default() += 1;
    }
    Ok(served)
}

/// A turn with bpftrace on the same functions, counting stacks.
fn with_bpftrace(load: &Load, turn: Duration) -> Result<Served> {
    let path = program("memcached/gcc-O2/memcached")?;
    let places: Vec<String> =
        HOT.iter().map(|function| format!("uprobe:{}:{function}", path.display())).collect();
    let action = "{ @[probe, ustack(8)] = count(); } interval:ms:50 { printf(\"on\\n\"); }";
    let mut command = Command::new("bpftrace");
    command.args(["-p", &load.pid().to_string(), "-e", &format!("{} {action}", places.join(","))]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut bpftrace = Ended(command.spawn().context("can't start bpftrace")?);
    let mut lines = BufReader::new(bpftrace.0.stdout.take().context("no output")?).lines();
    let is_on = lines.by_ref().map_while(Result::ok).any(|line| line == "on");
    if !is_on {
        bail!("bpftrace ended");
    }
    // It is read on, or its writing would stop it.
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let served = load.run(turn);
    drop(bpftrace);
    reader.join().map_err(|_| anyhow::anyhow!("the reader died"))?;
    let start = Instant::now();
    while require_as_in_files(load.pid()).is_err() {
        if start.elapsed() > PATIENCE {
            bail!("bpftrace's breakpoints stay");
        }
    }
    served
}

/// A process that ends when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
