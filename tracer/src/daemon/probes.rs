//! All probes of a daemon: who may have how many, and how long one that has ended is kept.

use super::log::Logs;
use super::metrics::ProbeReadings;
use super::peer::Peer;
use super::probe::Probe;
use crate::api::probes::{
    BUDGET_PERCENT_MAX, BUDGET_PERCENT_MIN, LEARN_MS_MAX, LimitsRequest, ProbeLine, ProbeRequest,
    ProbeState, RETRY_MS_MIN, StopLine, TIMEOUT_MS_MAX,
};
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::report;
use crate::api::types::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tracer_core::engine::request::{SnapshotRequest, learn, rate, ring_bytes};
use tracer_core::engine::{self, Engine};
use tracer_core::model::action::Action;
use tracer_core::model::budget::CpuShare;
use tracer_core::model::limits::Limits;
use tracer_core::model::process::ProcessSpec;

/// What probes that live may have at once.
const ROOM: Room = Room { probes: 1024, rings_bytes: 256 << 20 };
/// What those of users who are not root may have of it: root always gets in.
const ROOM_OF_USERS: Room = Room { probes: 192, rings_bytes: 192 << 20 };
/// What those of one user who is not root may have.
const ROOM_OF_USER: Room = Room { probes: 64, rings_bytes: 64 << 20 };
/// Probes that have ended and are kept.
const ENDED_MAX: usize = 1000;
/// How long a probe that has ended is kept.
const ENDED_KEPT: Duration = Duration::from_secs(10 * 60);
/// How long probes may take to go that are all taken out at once.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// What the ring buffer of a probe may have.
const RING_BYTES: std::ops::RangeInclusive<u32> = 4096..=64 << 20;

/// A ring that is not asked for by its size takes one of so many parts of what is left.
const PARTS: u64 = 32;
/// But it has at least so many bytes: what few captures of the usual limits need.
const FITTING_MIN: u32 = 256 << 10;

/// A share of what probes take.
#[derive(Clone, Copy, Debug)]
struct Room {
    probes: usize,
    /// Bytes of their ring buffers: the kernel's memory, which is never swapped, and is charged to
    /// the daemon.
    rings_bytes: u64,
}

/// The probes of a daemon.
#[derive(Debug)]
pub(super) struct Probes {
    engine: Arc<Engine>,
    logs: Arc<Logs>,
    all: Mutex<All>,
    /// A probe has ended.
    ended: Arc<Notify>,
}

#[derive(Default, Debug)]
struct All {
    /// In the order of their creation.
    probes: Vec<Arc<Probe>>,
    /// How many there were, ever.
    created: u64,
    /// No more are taken.
    closed: bool,
}

impl Probes {
    /// None yet.
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, logs: Arc::default(), all: Mutex::default(), ended: Arc::default() }
    }

    /// Starts a probe of `owner`.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, or why there can't be one more.
    pub(super) fn place(
        &self,
        owner: Peer,
        mut asked: ProbeRequest,
    ) -> Result<Arc<Probe>, Box<Error>> {
        let mut request = meant(owner, &asked)?;
        let mut all = self.all();
        all.forget(Instant::now());
        if asked.ring_bytes.is_none() {
            request.ring_bytes = all.fitting(request.ring_bytes);
        }
        asked.ring_bytes = Some(request.ring_bytes);
        all.admit(owner, request.ring_bytes)?;
        let id = all.new_id();
        let ended = Arc::clone(&self.ended);
        let on_end = move || ended.notify_one();
        let (engine, logs) = (&self.engine, &self.logs);
        tracing::info!(
            id,
            uid = owner.uid,
            pid = asked.pid,
            exe = asked.exe,
            location = asked.location,
            hits = asked.hits,
            timeout_ms = asked.timeout_ms,
            detach = asked.detach,
            "probe"
        );
        let probe = Probe::start(id, owner, asked, request, engine, logs, on_end)
            .map_err(|error| Refusal::new(RefusalKind::Busy, "a new probe", error.to_string()))?;
        all.probes.push(Arc::clone(&probe));
        all.created += 1;
        Ok(probe)
    }

    /// The probe with this name, if `peer` may know of it.
    ///
    /// # Errors
    ///
    /// There is none, or it is someone else's: no one learns which.
    pub(super) fn get(&self, peer: Peer, id: &str) -> Result<Arc<Probe>, Box<Error>> {
        let mut all = self.all();
        all.forget(Instant::now());
        let mut probes = all.probes.iter();
        let probe = probes.find(|probe| probe.id == id && peer.may_see(probe.owner));
        let none = || Refusal::new(RefusalKind::NoSuchProbe, id, "").into();
        probe.cloned().ok_or_else(none)
    }

    /// What `peer` may know of, the oldest first.
    pub(super) fn list(&self, peer: Peer) -> Vec<ProbeLine> {
        let mut all = self.all();
        all.forget(Instant::now());
        let probes: Vec<_> = all.probes.clone();
        drop(all);
        let seen = probes.iter().filter(|probe| peer.may_see(probe.owner));
        seen.map(|probe| probe.line(&self.engine)).collect()
    }

    /// How many there are, and were.
    pub(super) fn readings(&self) -> ProbeReadings {
        let mut all = self.all();
        all.forget(Instant::now());
        let count = |state| all.probes.iter().filter(|probe| probe.state() == state).count() as u64;
        let by_state = ProbeState::ALL.iter().map(|state| (*state, count(*state))).collect();
        ProbeReadings { created: all.created, by_state, evicted: self.logs.evicted() }
    }

    /// Takes all probes out that `peer` may know of and that live, and tells what became of each.
    pub(super) async fn stop_all(&self, peer: Peer) -> Vec<StopLine> {
        let lives = |probe: &&Arc<Probe>| probe.ended_at().is_none() && peer.may_see(probe.owner);
        let probes: Vec<_> = self.all().probes.iter().filter(lives).cloned().collect();
        for probe in &probes {
            probe.stop();
        }
        let all_ended = async {
            for probe in &probes {
                probe.ended().await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, all_ended).await.is_err() {
            tracing::error!("not all probes ended in time");
        }
        probes.iter().map(|probe| probe.stop_line()).collect()
    }

    /// Ends all probes and waits until their breakpoints are out. No more are taken.
    pub(super) async fn end_all(&self) {
        let probes = {
            let mut all = self.all();
            all.closed = true;
            all.probes.clone()
        };
        for probe in &probes {
            probe.stop();
        }
        for probe in &probes {
            probe.ended().await;
        }
    }

    /// Forgets probes that ended long ago, for as long as it is polled; sleeps while there are
    /// none.
    pub(super) async fn forget_in_time(&self) {
        loop {
            let next = {
                let mut all = self.all();
                all.forget(Instant::now());
                all.probes.iter().filter_map(|probe| probe.ended_at()).min()
            };
            match next {
                None => self.ended.notified().await,
                Some(ended) => tokio::time::sleep_until((ended + ENDED_KEPT).into()).await,
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    /// The ring for a probe that may do with a smaller one: no more than a small part of what is
    /// left, so that there is some for those who come later.
    fn fitting(&self, wanted: u32) -> u32 {
        let live = self.probes.iter().filter(|probe| probe.ended_at().is_none());
        let taken: u64 = live.map(|probe| u64::from(probe.ring_bytes())).sum();
        let part = ROOM.rings_bytes.saturating_sub(taken) / PARTS;
        let part = u32::try_from(part).unwrap_or(u32::MAX).max(FITTING_MIN);
        // The largest power of two that is in it.
        wanted.min(1 << part.ilog2())
    }

    /// Whether `owner` may have one more.
    fn admit(&self, owner: Peer, ring_bytes: u32) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::new(RefusalKind::Stopping, "a new probe", ""));
        }
        let live = self.probes.iter().filter(|probe| probe.ended_at().is_none());
        let live = live.map(|probe| (probe.owner, u64::from(probe.ring_bytes())));
        room(&live.collect::<Vec<_>>(), owner, u64::from(ring_bytes))
    }

    /// A name that no other probe has, nor had one of a daemon before: someone may still know it.
    fn new_id(&self) -> String {
        loop {
            // The keys of a hasher are the random numbers that the standard library has.
            let id = format!("{:08x}", RandomState::new().hash_one(()) >> 32);
            if self.probes.iter().all(|probe| probe.id != id) {
                return id;
            }
        }
    }

    /// Forgets probes that ended long ago, and the oldest of too many.
    fn forget(&mut self, now: Instant) {
        let age = |probe: &Probe| probe.ended_at().map(|at| now.saturating_duration_since(at));
        self.probes.retain(|probe| age(probe).is_none_or(|age| age < ENDED_KEPT));
        let ended = self.probes.iter().filter(|probe| age(probe).is_some()).count();
        let mut too_many = ended.saturating_sub(ENDED_MAX);
        self.probes.retain(|probe| {
            let goes = too_many > 0 && age(probe).is_some();
            too_many -= usize::from(goes);
            !goes
        });
    }
}

/// Whether there is room for one more, with a ring of `ring_bytes`, beside those that live: who has
/// them, and the bytes of their rings.
fn room(live: &[(Peer, u64)], owner: Peer, ring_bytes: u64) -> Result<(), Refusal> {
    let fits = |most: Room, whose: &str, counts: &dyn Fn(Peer) -> bool| {
        let rings = live.iter().filter(|(other, _)| counts(*other)).map(|(_, bytes)| bytes);
        let detail = match (rings.clone().count() < most.probes, rings.sum::<u64>() + ring_bytes) {
            (true, bytes) if bytes <= most.rings_bytes => return Ok(()),
            (true, _) => format!("{} MiB of ring buffers {whose}", most.rings_bytes >> 20),
            (false, _) => format!("{} {whose}", most.probes),
        };
        Err(Refusal::new(RefusalKind::TooManyProbes, "a new probe", detail))
    };
    fits(ROOM, "in all", &|_| true)?;
    if owner.is_root() {
        return Ok(());
    }
    fits(ROOM_OF_USERS, "of users", &|other| !other.is_root())?;
    fits(ROOM_OF_USER, &format!("of user {}", owner.uid), &|other| other.uid == owner.uid)
}

/// What the engine is to do for what was asked.
fn meant(owner: Peer, asked: &ProbeRequest) -> Result<SnapshotRequest, Box<Error>> {
    let LimitsRequest { stack_bytes, bytes_max, text_bytes_max, items_max, depth_max, globals_max } =
        asked.limits;
    let most = Limits::CEILING;
    in_range("timeout_ms", asked.timeout_ms, 1, TIMEOUT_MS_MAX)?;
    if let Some(retry_ms) = asked.retry_ms {
        in_range("retry_ms", retry_ms, RETRY_MS_MIN, TIMEOUT_MS_MAX)?;
    }
    in_range("budget_percent", asked.budget_percent, BUDGET_PERCENT_MIN, BUDGET_PERCENT_MAX)?;
    in_range("limits.stack_bytes", stack_bytes, 0, most.stack_bytes)?;
    in_range("limits.bytes_max", bytes_max, 0, most.bytes_max)?;
    in_range("limits.text_bytes_max", text_bytes_max, 1, most.text_bytes_max)?;
    in_range("limits.items_max", items_max, 1, most.items_max)?;
    in_range("limits.depth_max", depth_max, 0, most.depth_max)?;
    in_range("limits.globals_max", globals_max, 0, most.globals_max)?;
    in_range("learn_ms", asked.learn_ms.unwrap_or(0), 0, LEARN_MS_MAX)?;
    if let Some(idle_ms) = asked.idle_ms {
        in_range("idle_ms", idle_ms, 1, TIMEOUT_MS_MAX)?;
    }
    let limits = asked.limits.into();
    let ring_bytes = asked.ring_bytes.unwrap_or_else(|| ring_bytes(asked.hits, &limits));
    in_range("ring_bytes", ring_bytes, *RING_BYTES.start(), *RING_BYTES.end())?;
    if !ring_bytes.is_power_of_two() {
        return Err(bad("ring_bytes", "must be a power of two".to_owned()));
    }
    let location =
        engine::parse_location(&asked.location).map_err(|issue| report::error(&issue.into()))?;
    let process = process(asked)?;
    Ok(SnapshotRequest {
        caller: owner.caller(&process)?,
        process,
        location,
        location_text: asked.location.clone(),
        budget: CpuShare::percent(asked.budget_percent),
        retry: asked.retry_ms.map(Duration::from_millis),
        action: Action::Snapshot,
        hits: asked.hits,
        rate: asked.rate.unwrap_or_else(|| rate(asked.hits)),
        learn: asked.learn_ms.map_or_else(|| learn(asked.hits), Duration::from_millis),
        force: asked.force,
        entry_probe: asked.entry_probe,
        raw: asked.raw,
        timeout: Duration::from_millis(asked.timeout_ms),
        idle: asked.idle_ms.map(Duration::from_millis),
        limits,
        ring_bytes,
    })
}

/// Which process is meant.
fn process(asked: &ProbeRequest) -> Result<ProcessSpec, Box<Error>> {
    match (asked.pid, &asked.exe) {
        (Some(pid), None) => Ok(ProcessSpec::Pid(pid)),
        (None, Some(exe)) => Ok(ProcessSpec::Exe(exe.into())),
        _ => Err(bad("pid", "exactly one of `pid` and `exe` must be given".to_owned())),
    }
}

fn in_range<N: PartialOrd + std::fmt::Display>(
    name: &str,
    number: N,
    least: N,
    most: N,
) -> Result<(), Box<Error>> {
    if number >= least && number <= most {
        return Ok(());
    }
    Err(bad(name, format!("must be from {least} to {most}, is {number}")))
}

fn bad(name: &str, detail: String) -> Box<Error> {
    Refusal::new(RefusalKind::BadRequest, name, detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::probes::ProbeState;

    const ROOT: Peer = Peer { uid: 0, gid: 0, other_pids: false };
    const USER: Peer = Peer { uid: 1000, ..ROOT };
    const OTHER: Peer = Peer { uid: 1001, ..ROOT };

    fn asked() -> ProbeRequest {
        // No process has this number: it fails at once.
        crate::api::json::read(br#"{"pid": 4194303, "location": "f"}"#).unwrap()
    }

    fn probes() -> Probes {
        Probes::new(Arc::new(Engine::default()))
    }

    #[test]
    fn nobody_takes_all_the_room() {
        let detail = |live: &[(Peer, u64)], owner, ring_bytes| {
            room(live, owner, ring_bytes).map_err(|refusal| refusal.detail)
        };
        let full = |text: &str| Err(text.to_owned());
        let of = |owner, count| vec![(owner, 0); count];
        assert_eq!(detail(&of(USER, 64), USER, 0), full("64 of user 1000"));
        assert_eq!(detail(&of(USER, 64), OTHER, 0), Ok(()));
        assert_eq!(detail(&of(USER, 192), OTHER, 0), full("192 of users"));
        assert_eq!(detail(&of(USER, 192), ROOT, 0), Ok(()));
        assert_eq!(detail(&of(ROOT, 1023), ROOT, 0), Ok(()));
        assert_eq!(detail(&of(ROOT, 1024), ROOT, 0), full("1024 in all"));
        assert_eq!(detail(&of(ROOT, 1024), USER, 0), full("1024 in all"));

        let of = |owner, mebibytes: u64| [(owner, mebibytes << 20)];
        let ring = 1 << 20;
        assert_eq!(detail(&of(USER, 63), USER, ring), Ok(()));
        assert_eq!(detail(&of(USER, 64), USER, ring), full("64 MiB of ring buffers of user 1000"));
        assert_eq!(detail(&of(USER, 64), OTHER, ring), Ok(()));
        assert_eq!(detail(&of(USER, 192), OTHER, ring), full("192 MiB of ring buffers of users"));
        assert_eq!(detail(&of(USER, 192), ROOT, 64 << 20), Ok(()));
        assert_eq!(detail(&of(ROOT, 256), ROOT, ring), full("256 MiB of ring buffers in all"));
    }

    #[tokio::test]
    async fn a_probe_that_failed_is_kept_for_a_while_and_seen_by_its_owner() {
        let probes = probes();
        let probe = probes.place(USER, asked()).unwrap();
        let error = probe.armed().await.unwrap_err();
        assert_eq!(error.code, "no_process");
        probe.ended().await;
        let seen = |peer| probes.list(peer).iter().map(|line| line.state).collect::<Vec<_>>();
        assert_eq!(seen(USER), [ProbeState::Failed]);
        assert_eq!(seen(ROOT), [ProbeState::Failed]);
        assert_eq!(seen(OTHER), []);
        let code = |peer, id: &str| probes.get(peer, id).map(drop).map_err(|error| error.code);
        assert_eq!(code(USER, &probe.id), Ok(()));
        assert_eq!(code(OTHER, &probe.id), code(OTHER, "none"));
        assert_eq!(code(OTHER, "none"), Err("no_such_probe".into()));

        let ended = probe.ended_at().unwrap();
        probes.all().forget(ended + ENDED_KEPT - Duration::from_millis(1));
        assert_eq!(seen(USER).len(), 1);
        probes.all().forget(ended + ENDED_KEPT);
        assert_eq!(seen(USER).len(), 0);
    }

    #[tokio::test]
    async fn a_daemon_that_stops_takes_no_more() {
        let probes = probes();
        probes.end_all().await;
        assert_eq!(probes.place(ROOT, asked()).unwrap_err().code, "stopping");
    }

    #[test]
    fn what_is_out_of_range_names_the_range() {
        for (name, change) in [
            ("timeout_ms", (|asked| asked.timeout_ms = 0) as fn(&mut ProbeRequest)),
            ("timeout_ms", |asked| asked.timeout_ms = TIMEOUT_MS_MAX + 1),
            ("idle_ms", |asked| asked.idle_ms = Some(0)),
            ("learn_ms", |asked| asked.learn_ms = Some(LEARN_MS_MAX + 1)),
            ("ring_bytes", |asked| asked.ring_bytes = Some(1 << 30)),
            ("limits.stack_bytes", |asked| asked.limits.stack_bytes = u32::MAX),
            ("limits.text_bytes_max", |asked| asked.limits.text_bytes_max = 0),
        ] {
            let mut asked = asked();
            change(&mut asked);
            let error = meant(ROOT, &asked).unwrap_err();
            assert_eq!((&*error.code, &*error.subject), ("bad_request", name));
            assert!(error.detail.contains("must be from"), "{}", error.detail);
        }
        for pid in [None, Some(1)] {
            let exe = pid.map(|_| "/bin/true".to_owned());
            let error = meant(ROOT, &ProbeRequest { pid, exe, ..asked() }).unwrap_err();
            assert_eq!((&*error.code, &*error.subject), ("bad_request", "pid"));
        }
        let meant = meant(USER, &asked()).unwrap();
        assert_eq!((meant.hits, meant.timeout), (10, Duration::from_secs(3600)));
        assert_eq!(meant.limits, Limits::DEFAULT);
    }
}
