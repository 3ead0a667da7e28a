//! What a daemon is asked and what it says about its probes.

use super::types::{Code, Ended, Error, FoundLine, Outcomes, SNAPSHOT};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tracer_core::engine::cost;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::limits::Limits;
use tracer_core::model::process::ProcessSpec;
use utoipa::{IntoParams, ToSchema};

/// What [`ProbeLine::schema`] says; a changed meaning gets a new number.
pub const PROBE: &str = "tracer/probe/1";
/// What [`StopLine::schema`] says.
pub const STOP: &str = "tracer/stop/1";
/// Captures that a probe takes if nothing is said.
pub const HITS: u64 = 10;
/// Hundredths of a core that a probe may cost if nothing is said.
pub const BUDGET_PERCENT: f64 = 1.0;
/// How long can be learned at most: ten seconds.
pub const LEARN_MS_MAX: u64 = 10_000;
/// The least and the most that can be asked for.
pub const BUDGET_PERCENT_MIN: f64 = 0.01;
/// The same, the most.
pub const BUDGET_PERCENT_MAX: f64 = 10.0;
/// The shortest time after which a tripped probe can come back.
pub const RETRY_MS_MIN: u64 = 1000;
/// How long a probe lives if nothing is said: an hour.
pub const TIMEOUT_MS: u64 = 60 * 60 * 1000;
/// How long a probe can live: a day.
pub const TIMEOUT_MS_MAX: u64 = 24 * TIMEOUT_MS;

/// A probe to be placed.
#[derive(Serialize, Deserialize, ToSchema, Clone, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// The process; without it `exe` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Instead of `pid`: the absolute path of a program, as the daemon sees it. The probe is for the
    /// first process of the caller that runs this file, now or later, and ends with it; `timeout_ms`
    /// counts from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// function, module!function, function+0x12, file:line or *0xADDRESS.
    pub location: String,
    /// Captures to take; 0 takes all until the timeout.
    #[serde(default = "hits")]
    pub hits: u64,
    /// Captures per second at most, those of a quarter of it at once; 0 for no limit. By `hits` if
    /// nothing is said: 50, and 0 for a few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Hundredths of a core that it may cost, from 0.01 to 10; it is taken out when it costs more.
    #[serde(default = "budget_percent")]
    pub budget_percent: f64,
    /// How long to learn how often the place is hit, in milliseconds, before all is captured that
    /// is asked for and it is decided whether the probe may stay: 0 for not at all. By `hits` if
    /// nothing is said: 200, and 0 for a few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_ms: Option<u64>,
    /// Place it whatever it will cost; the budget takes it out all the same.
    #[serde(default)]
    pub force: bool,
    /// Where arguments are gone at the place, keep those of each call by a second breakpoint at the
    /// function's entry, unless that costs too much.
    #[serde(default = "entry_probe", skip_serializing_if = "Clone::clone")]
    pub entry_probe: bool,
    /// Show values as they are stored: members, not what they mean to programmers.
    #[serde(default)]
    pub raw: bool,
    /// How long the probe may live, in milliseconds: an hour if nothing is said, at most a day.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// The probe ends when no hit came for so long, in milliseconds. Nothing if nothing is said: a
    /// probe that is not hit costs nothing, and what is rare is what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Come back so long after the probe cost more than it may, and twice as long each next time, in
    /// milliseconds; without it that ends the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// How much one capture may copy.
    #[serde(default)]
    pub limits: LimitsRequest,
    /// Size of the probe's ring buffer in bytes; a power of two. By `hits`, `limits` and the room
    /// that is left if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_bytes: Option<u32>,
    /// The probe does not end with the connection that asks for it.
    #[serde(default)]
    pub detach: bool,
}

impl ProbeRequest {
    /// What is to be asked of a daemon for what would be asked of an engine; the daemon knows what
    /// room there is for a ring.
    pub fn of(request: &SnapshotRequest, detach: bool) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (pid, exe) = match &request.process {
            ProcessSpec::Pid(pid) => (Some(*pid), None),
            ProcessSpec::Exe(path) => (None, Some(path.display().to_string())),
        };
        Self {
            pid,
            exe,
            location: request.location_text.clone(),
            hits: request.hits,
            rate: Some(request.rate),
            budget_percent: request.budget.as_percent().unwrap_or(BUDGET_PERCENT_MAX),
            learn_ms: Some(ms(request.learn)),
            force: request.force,
            entry_probe: request.entry_probe,
            raw: request.raw,
            timeout_ms: ms(request.timeout),
            idle_ms: request.idle.map(ms),
            retry_ms: request.retry.map(ms),
            limits: request.limits.into(),
            ring_bytes: None,
            detach,
        }
    }
}

/// How much one capture may copy; what is left out has its default.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsRequest {
    /// Bytes of stack.
    pub stack_bytes: u32,
    /// Bytes of objects and strings.
    pub bytes_max: u32,
    /// Bytes of a string.
    pub text_bytes_max: u32,
    /// Elements of an array or slice.
    pub items_max: u32,
    /// Pointers followed in a row.
    pub depth_max: u32,
    /// Static and global variables of the code's unit that are shown too.
    #[serde(skip_serializing_if = "is_none")]
    pub globals_max: u32,
}

impl Default for LimitsRequest {
    fn default() -> Self {
        Limits::DEFAULT.into()
    }
}

impl From<Limits> for LimitsRequest {
    fn from(limits: Limits) -> Self {
        let Limits { stack_bytes, bytes_max, text_bytes_max, items_max, depth_max, .. } = limits;
        let globals_max = limits.globals_max;
        Self { stack_bytes, bytes_max, text_bytes_max, items_max, depth_max, globals_max }
    }
}

impl From<LimitsRequest> for Limits {
    fn from(asked: LimitsRequest) -> Self {
        let LimitsRequest { stack_bytes, bytes_max, text_bytes_max, items_max, .. } = asked;
        let LimitsRequest { depth_max, globals_max, .. } = asked;
        let nodes_max = Limits::DEFAULT.nodes_max;
        Self {
            stack_bytes,
            bytes_max,
            text_bytes_max,
            items_max,
            depth_max,
            nodes_max,
            globals_max,
        }
    }
}

/// No such thing is asked for: who does not know of it gives the same.
fn is_none(number: &u32) -> bool {
    *number == 0
}

fn hits() -> u64 {
    HITS
}

fn entry_probe() -> bool {
    true
}

fn budget_percent() -> f64 {
    BUDGET_PERCENT
}

fn timeout_ms() -> u64 {
    TIMEOUT_MS
}

/// A probe of a daemon.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct ProbeLine {
    /// [`PROBE`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Its name.
    pub id: String,
    /// How it stands.
    pub state: ProbeState,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The user who placed it.
    pub owner_uid: u32,
    /// When it was asked for: milliseconds since 1970.
    pub created_unix_ms: u64,
    /// When it ends at the latest: milliseconds since 1970.
    pub expires_unix_ms: u64,
    /// What was asked for.
    pub request: ProbeRequest,
    /// The target; missing where none runs the program yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Breakpoints that it has, or had.
    pub sites: u64,
    /// Hits so far that have ended: the sum of `outcomes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
    /// How they ended; missing where that can't be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, u64>>)]
    pub outcomes: Option<Outcomes>,
    /// Forked children of the target that carry the breakpoint: they pay for it, and their hits
    /// are not counted.
    #[serde(default)]
    pub children: u64,
    /// Hits that the kernel did not hand to the program; those of other probes in its time are
    /// among them, for the kernel does not tell them apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_misses: Option<u64>,
    /// Looks at the ring that found records lost since the look before: the reader was too slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader_stalls: Option<u64>,
    /// What it has cost its target; missing once its breakpoints are out for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The code of the target was found to be what it was before, when the breakpoints were taken
    /// out last; missing while they are in place, and where there was nothing to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_restored: Option<bool>,
    /// Capture lines that were written: the last one's `seq`.
    pub written: u64,
}

/// What a probe has cost its target so far, in time of the target's threads.
#[derive(Serialize, Deserialize, ToSchema, Clone, PartialEq, Debug)]
pub struct Cost {
    /// All that is known: `trap_ns` and `program_ns`.
    pub spent_ns: u64,
    /// The traps of its hits, by what one costs on this machine; missing where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trap_ns: Option<u64>,
    /// Measured in the kernel program.
    pub program_ns: u64,
    /// What it may take, in percent of one core; missing where it has no budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_percent: Option<f64>,
    /// Time that the target has been on a cpu since it started, with all of the above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_cpu_ns: Option<u64>,
}

impl From<cost::Cost> for Cost {
    fn from(cost: cost::Cost) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            spent_ns: ns(cost.spent()),
            trap_ns: Some(ns(cost.trap)),
            program_ns: ns(cost.program),
            budget_percent: cost.budget_percent,
            target_cpu_ns: cost.target_cpu.map(ns),
        }
    }
}

/// How a probe stands.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[serde(rename_all = "snake_case")]
pub enum ProbeState {
    /// The place is looked up.
    Starting,
    /// It waits for a process that runs the program.
    Pending,
    /// The breakpoints are in place.
    Armed,
    /// The breakpoints are out until it is resumed.
    Paused,
    /// It had cost more than it may, and comes back later.
    Tripped,
    /// The breakpoints are out.
    Ended,
    /// It could not be placed, or it broke; the breakpoints are out.
    Failed,
}

impl ProbeState {
    /// All of them, in the order of a probe's life.
    pub const ALL: &'static [Self] = &[
        Self::Starting,
        Self::Pending,
        Self::Armed,
        Self::Paused,
        Self::Tripped,
        Self::Ended,
        Self::Failed,
    ];

    /// It has not ended.
    pub const fn lives(self) -> bool {
        !matches!(self, Self::Ended | Self::Failed)
    }

    /// As in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Pending => "pending",
            Self::Armed => "armed",
            Self::Paused => "paused",
            Self::Tripped => "tripped",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// The probes that a caller may see, the oldest first.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
pub struct ProbeList {
    /// One each.
    pub probes: Vec<ProbeLine>,
}

/// More time for a probe.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// How much longer it may live, in milliseconds; in all at most a day from now.
    pub by_ms: u64,
}

/// The probes that were taken out, and whether it was proven.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
pub struct StopList {
    /// One each.
    pub stopped: Vec<StopLine>,
}

/// A probe that was taken out, or a process that was told to take all of its own out.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct StopLine {
    /// [`STOP`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Which probe, or which process.
    pub id: String,
    /// The target; 0 where there is none yet, or it is not known.
    pub pid: u32,
    /// Where it was.
    pub location: String,
    /// How many breakpoints it had.
    pub sites: u64,
    /// The code of the target.
    pub text: TextAfter,
    /// What kept it from going; empty where nothing did.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub detail: String,
}

/// How the code of a target was found after the breakpoints were taken out.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum TextAfter {
    /// Read, and what it was before, byte for byte.
    Restored,
    /// There is none: the process has ended, or mapped something else there.
    Gone,
    /// Read, and something else.
    Changed,
    /// The probe was not out in time, or its end could not be seen.
    Unknown,
}

impl TextAfter {
    /// As in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Unknown => "unknown",
        }
    }

    /// Nothing of the probe is left.
    pub const fn is_clean(self) -> bool {
        matches!(self, Self::Restored | Self::Gone)
    }
}

/// Which captures are wanted.
#[derive(
    Serialize, Deserialize, ToSchema, IntoParams, Clone, Copy, PartialEq, Eq, Default, Debug,
)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct CapturesRequest {
    /// Captures behind this `seq`; 0 for all.
    pub after: u64,
    /// Wait for more until the probe has ended.
    pub follow: bool,
}

/// Captures that are no longer there, in their place.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct GapLine {
    /// [`SNAPSHOT`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Which probe.
    pub probe: String,
    /// What is missing.
    pub gap: Gap,
}

/// A run of captures that were taken and are no longer there.
#[derive(Serialize, Deserialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// `seq` of the first.
    pub from: u64,
    /// `seq` of the last.
    pub to: u64,
    /// The stable short code of the reason.
    #[schema(value_type = String)]
    pub code: Code,
    /// The reason, for people.
    #[schema(value_type = String)]
    pub text: Code,
}

/// The line of a gap.
pub fn gap(probe: &str, from: u64, to: u64) -> GapLine {
    let text = "dropped from the daemon's bounded log before they were read: read sooner, or take \
                fewer by hits or rate";
    let gap = Gap { from, to, code: "log_full".into(), text: text.into() };
    GapLine { schema: SNAPSHOT.into(), probe: probe.to_owned(), gap }
}

/// Functions to be found.
#[derive(Serialize, Deserialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct FindRequest {
    /// The process.
    pub pid: u32,
    /// A part of the function's name; `module!part` looks in one module.
    pub pattern: String,
}

/// Functions that were found.
#[derive(Serialize, Deserialize, ToSchema, Debug)]
pub struct FoundList {
    /// One each; none where nothing matches.
    pub found: Vec<FoundLine>,
}

/// A place whose variables are asked for.
#[derive(Serialize, Deserialize, ToSchema, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct VarsRequest {
    /// The process.
    pub pid: u32,
    /// function, module!function, function+0x12, file:line or *0xADDRESS.
    pub location: String,
}

/// What answers.
#[derive(Serialize, Deserialize, ToSchema, PartialEq, Eq, Debug)]
pub struct Version {
    /// The program's version.
    pub version: String,
}
