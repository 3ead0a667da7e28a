//! Everything at once, at random: probes are placed and removed while their targets fork, exec, load
//! libraries, are killed, and while the daemon is stopped and killed. Nothing crashes, nothing is
//! left, and every hit is accounted for.

mod victim;

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tracer_tests::bpf;
use tracer_tests::daemon::Daemon;
use tracer_tests::placed::Placed;
use tracer_tests::privilege::require;
use tracer_tests::random::Random;
use tracer_tests::targets::Language;
use tracer_tests::text::require_as_in_files;
use victim::Victim;

/// How long it goes on in the short form.
const SECONDS: u64 = 4;
/// How long the daemon may stand still without a probe being taken out for it, and longer.
const STOPS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(6)];
/// How long breakpoints may stay when the daemon has gone.
const CLEANUP: Duration = Duration::from_secs(20);
/// Probes at once.
const PROBES: usize = 24;
/// What the daemon may grow by in the last quarter of a soak.
const GROWTH_KB: u64 = 64 << 10;
/// The smallest ring there is: it is full at once.
const SMALL_RING: u32 = 4096;

/// Seconds in a soak.
fn soak() -> Option<u64> {
    let asked = std::env::var("TRACER_SOAK_N").ok();
    asked.map(|text| text.parse().expect("TRACER_SOAK_N is a number"))
}

/// What happens next, and how likely it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Deed {
    Place,
    Remove,
    Work,
    Fork,
    Load,
    Exec,
    Kill,
    Overwrite,
    StopDaemon,
}

const DEEDS: &[(Deed, u64)] = &[
    (Deed::Place, 120),
    (Deed::Remove, 60),
    (Deed::Work, 60),
    (Deed::Fork, 30),
    (Deed::Load, 30),
    (Deed::Exec, 15),
    (Deed::Kill, 8),
    (Deed::Overwrite, 15),
    (Deed::StopDaemon, 4),
];

/// All that takes part.
struct Chaos {
    random: Random,
    home: TempDir,
    victims: Vec<Victim>,
    daemon: Daemon,
    /// With what was asked for.
    probes: Vec<(Placed, Json)>,
    done: BTreeMap<Deed, u64>,
    /// Why probes were refused, and why they ended.
    refused: BTreeMap<String, u64>,
    ended: BTreeMap<String, u64>,
    hits: u64,
    long_stops: bool,
    /// What happened last, for when something breaks.
    history: History,
}

/// The last deeds, told when the test fails.
#[derive(Default)]
struct History(VecDeque<String>);

impl History {
    fn add(&mut self, deed: String) {
        self.0.push_back(deed);
        if self.0.len() > 40 {
            self.0.pop_front();
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("chaos: what happened last: {:#?}", self.0);
        }
    }
}

/// SAFE-1, END-1, LOSS-1
#[test]
fn nothing_crashes_and_nothing_is_left() {
    require().unwrap();
    let random = Random::from_environment("chaos");
    let mut chaos = Chaos::start(random);
    let quarter = Duration::from_secs(soak().unwrap_or(SECONDS)) / 4;
    chaos.go_on(quarter);
    chaos.kill_daemon();
    chaos.go_on(quarter);
    chaos.kill_daemon();
    chaos.go_on(quarter);
    let before = chaos.memory_at_rest_kb();
    chaos.go_on(quarter);
    let after = chaos.memory_at_rest_kb();
    println!("chaos: the daemon had {before} KiB, then {after} KiB");
    assert!(soak().is_none() || after < before + GROWTH_KB, "{before} KiB, then {after} KiB");
    chaos.end();
}

impl Chaos {
    fn start(random: Random) -> Self {
        let home = tempfile::tempdir().unwrap();
        let victims = [Language::C, Language::Cpp, Language::Rust, Language::Go]
            .map(|language| Victim::start(language, home.path()).unwrap());
        Self {
            random,
            victims: victims.into(),
            home,
            daemon: Daemon::start().unwrap(),
            probes: Vec::new(),
            done: BTreeMap::new(),
            refused: BTreeMap::new(),
            ended: BTreeMap::new(),
            hits: 0,
            long_stops: soak().is_some(),
            history: History::default(),
        }
    }

    fn go_on(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            let deed = self.choose();
            self.act(deed);
            *self.done.entry(deed).or_default() += 1;
        }
    }

    fn choose(&mut self) -> Deed {
        let all: u64 = DEEDS.iter().map(|(_, weight)| weight).sum();
        let mut number = self.random.below(all);
        let chosen = DEEDS.iter().find(|(_, weight)| match number.checked_sub(*weight) {
            Some(rest) => {
                number = rest;
                false
            }
            None => true,
        });
        chosen.unwrap().0
    }

    fn act(&mut self, deed: Deed) {
        let count = self.victims.len() as u64;
        let index = usize::try_from(self.random.below(count)).unwrap();
        let victim = &mut self.victims[index];
        self.history.add(format!("{deed:?} {}", victim.pid()));
        match deed {
            Deed::Place => self.place(index),
            Deed::Remove => self.remove(),
            Deed::Work => victim.obey("go").unwrap(),
            Deed::Fork => victim.obey("fork").unwrap(),
            Deed::Load => victim.load().unwrap(),
            Deed::Exec => victim.exec().unwrap(),
            Deed::Kill => victim.kill_and_restart().unwrap(),
            Deed::Overwrite => victim.overwrite(self.random.below(3)).unwrap(),
            Deed::StopDaemon => self.stop_daemon(),
        }
    }

    fn place(&mut self, index: usize) {
        if self.probes.len() >= PROBES {
            self.remove();
        }
        let victim = &self.victims[index];
        let location = self.random.one_of(victim.locations()).unwrap();
        let mut request = json!({
            "pid": victim.pid(),
            "location": location,
            "hits": self.random.one_of(&[0, 0, 1, 10, 1000]),
            "rate": self.random.one_of(&[0, 0, 10, 1000]),
            "budget_percent": self.random.one_of(&[1.0, 5.0, 10.0]),
            "timeout_ms": self.random.one_of(&[100, 1000, 60_000]),
        });
        if self.random.below(4) == 0 {
            request["ring_bytes"] = SMALL_RING.into();
        }
        self.history.add(request.to_string());
        match Placed::place(&self.daemon, &request).unwrap() {
            Ok(probe) => self.probes.push((probe, request)),
            Err(error) => {
                let code = error["code"].as_str().unwrap();
                *self.refused.entry(code.to_owned()).or_default() += 1;
            }
        }
    }

    /// Removes one of the probes; it may have ended by itself.
    fn remove(&mut self) {
        if self.probes.is_empty() {
            return;
        }
        let index = self.random.below(self.probes.len() as u64);
        let (probe, request) = self.probes.swap_remove(usize::try_from(index).unwrap());
        probe.remove(&self.daemon).unwrap();
        let summary =
            probe.require_exact(&self.daemon).with_context(|| request.to_string()).unwrap();
        self.hits += summary["hits"].as_u64().unwrap();
        *self.ended.entry(summary["ended"].as_str().unwrap().to_owned()).or_default() += 1;
    }

    /// What the daemon has in memory when it has no probe.
    fn memory_at_rest_kb(&mut self) -> u64 {
        while !self.probes.is_empty() {
            self.remove();
        }
        memory_kb(self.daemon.pid())
    }

    /// Nobody sees the daemon stop, but after five seconds no probe is left in place.
    fn stop_daemon(&mut self) {
        let long = self.long_stops && self.random.below(4) == 0;
        self.daemon.send(Signal::STOP).unwrap();
        let start = Instant::now();
        let stop = STOPS[usize::from(long)];
        while start.elapsed() < stop {
            for victim in &mut self.victims {
                victim.obey("go").unwrap();
            }
        }
        if long {
            self.wait_untouched("the daemon is silent");
        }
        self.daemon.send(Signal::CONT).unwrap();
        if long {
            // It hears of it when it goes on.
            self.daemon.wait_until_none_lives().unwrap();
        }
    }

    /// Its probes are gone with it, and with them what they counted.
    fn kill_daemon(&mut self) {
        let daemon = std::mem::replace(&mut self.daemon, Daemon::start().unwrap());
        let folder = daemon.kill().unwrap();
        self.wait_untouched("the daemon was killed");
        drop(folder);
        self.probes.clear();
    }

    /// Waits until no breakpoint is left in any target, which work meanwhile.
    fn wait_untouched(&mut self, why: &str) {
        let start = Instant::now();
        for victim in &mut self.victims {
            while let Err(error) = require_as_in_files(victim.pid()) {
                assert!(start.elapsed() < CLEANUP, "{why}: {error:#}");
                victim.obey("go").unwrap();
            }
        }
        println!("chaos: {why}: untouched after {:?}", start.elapsed());
    }

    fn end(mut self) {
        println!("chaos: {:?}\nrefused: {:?}\nended: {:?}", self.done, self.refused, self.ended);
        println!("chaos: {} hits", self.hits);
        assert!(self.daemon.living().unwrap().is_empty());
        assert!(self.hits > 0 && !self.ended.is_empty());
        for victim in &mut self.victims {
            require_as_in_files(victim.pid()).unwrap();
            victim.obey("go").unwrap();
        }
        let home = self.home.path().to_str().unwrap();
        let links = bpf::probed_files().unwrap();
        assert!(!links.iter().any(|file| file.starts_with(home)), "{links:?}");
        let (status, socket) = self.daemon.stop().unwrap();
        assert!(status.success(), "{status}");
        assert!(!socket.exists());
        for victim in self.victims {
            victim.finish().unwrap();
        }
    }
}

/// What a process has in memory.
fn memory_kb(pid: u32) -> u64 {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
