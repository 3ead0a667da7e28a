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
/// How long each turn is, and how many pairs of turns there are, one with nothing and one with ours.
/// A probe costs most when it has just been placed: the turn has that and a while of what follows.
const TURN: Duration = Duration::from_secs(10);
const TURN_SHORT: Duration = Duration::from_millis(100);
const PAIRS: usize = 40;
/// After so many pairs bpftrace has a turn, and then nobody, for its effects to pass.
const BPFTRACE_EVERY: usize = 10;
/// How long bpftrace may take to come and to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures the throughput and the latency with nothing, with ours and with bpftrace. What the
/// machine does beside changes slowly, so each turn of ours is compared with the one beside it.
///
/// # Errors
///
/// Something can't be started, or the server gives a wrong answer.
pub(crate) fn measure(extent: Extent) -> Result<Vec<Figure>> {
    let (turn, pairs) = if extent == Extent::Full { (TURN, PAIRS) } else { (TURN_SHORT, 1) };
    let home = tempfile::tempdir()?;
    let load = Load::start(&program("memcached/gcc-O2/memcached")?, home.path())?;
    // With the budgets that users have.
    let mut command = cli::command(&["daemon", "--metrics-listen", "off"])?;
    let daemon = Daemon::start_by(command.env_remove("TRACER_NO_BUDGETS"), tempfile::tempdir()?)?;
    load.run(turn)?;
    let (mut none, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut ended = BTreeMap::new();
    for pair in 0..pairs {
        // Whoever is first in one pair is second in the next.
        for is_ours in [pair % 2 == 0, pair % 2 != 0] {
            if is_ours {
                ours.push(with_ours(&daemon, &load, turn, &mut ended)?);
            } else {
                none.push(load.run(turn)?);
            }
            require_as_in_files(load.pid())?;
        }
        eprintln!("server: none {:?}, tracer {:?}", none.last(), ours.last());
        if pair % BPFTRACE_EVERY == 0 {
            theirs.push(with_bpftrace(&load, turn)?);
            eprintln!("server: bpftrace {:?}", theirs.last());
            load.run(turn)?;
        }
    }
    let bases: Vec<Served> = none.iter().step_by(BPFTRACE_EVERY).copied().collect();
    let mut figures = vec![
        figure("server_none", &none, &none),
        figure("server_tracer", &ours, &none),
        figure("server_bpftrace", &theirs, &bases),
    ];
    let values = ended.into_iter().map(|(why, count): (String, u64)| json!([why, count]));
    let values = vec![("probes", Json::Array(values.collect()))];
    figures.push(Figure::Other { bench: "server_tracer_ended", values });
    Ok(figures)
}

fn figure(bench: &'static str, turns: &[Served], bases: &[Served]) -> Figure {
    let (per_second, p99_us) = (|turn: &Served| turn.per_second, |turn: &Served| turn.p99_us);
    let middle = |value: fn(&Served) -> f64| Spread::of(turns.iter().map(value).collect()).middle;
    let change = |value: fn(&Served) -> f64| {
        let ratio = |(new, old)| (value(new) / value(old) - 1.0) * 100.0;
        let Spread { low, middle, high } = Spread::of(turns.iter().zip(bases).map(ratio).collect());
        json!([fine(low), fine(middle), fine(high)])
    };
    let values = vec![
        ("requests_per_second", json!(middle(per_second).round())),
        ("p99_us", json!(rounded(middle(p99_us)))),
        ("throughput_change_percent", change(per_second)),
        ("p99_change_percent", change(p99_us)),
    ];
    Figure::Other { bench, values }
}

/// The median, and between what it lies with a probability of 95 %: by the ranks of a binomial
/// distribution, whatever the distribution of the values.
struct Spread {
    low: f64,
    middle: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let at = |rank: f64| {
            let rank = rank.clamp(0.0, (count - 1.0).max(0.0)) as usize;
            values.get(rank).copied().unwrap_or_default()
        };
        let half = 0.98 * count.sqrt();
        let (low, high) = ((count / 2.0 - half).floor(), (count / 2.0 + half).ceil());
        Self { low: at(low), middle: at(count / 2.0), high: at(high) }
    }
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
