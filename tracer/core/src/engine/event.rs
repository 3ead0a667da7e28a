//! What the engine tells a door while it works.

pub use super::counted::Counted;
pub use crate::attach::breakpoints::AttachedBy;
pub use crate::attach::link::{Attached, LinkId};
pub use crate::model::admission::Forecast;
use crate::model::capture::Capture;
pub use crate::model::cost::Predicted;
use crate::model::issue::Issue;
use crate::model::process::Process;
use crate::model::resolved::Resolved;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tracer_common::outcome::Outcome;

/// How many hits ended in which way.
pub type Outcomes = BTreeMap<Outcome, u64>;

/// Facts that stay the same for all captures of a probe.
#[derive(Clone, Debug)]
pub struct Armed {
    /// The breakpoints, to ask the engine for the probe's counts.
    pub link: LinkId,
    /// How they were placed, and how long it took.
    pub attached: Attached,
    /// The breakpoints at entries.
    pub entries: Entries,
    /// What a hit will cost.
    pub predicted: Predicted,
    /// What the probe will cost; `None` where it was not learned how often it is hit.
    pub forecast: Option<Forecast>,
    /// How long it lives, unless it is given more time.
    pub lives: Duration,
    /// The place as the user wrote it.
    pub location_text: String,
    /// The target.
    pub process: Process,
    /// The sites that are probed.
    pub resolved: Resolved,
    /// Path and build-id (hex) of the modules that `resolved` refers to, by index.
    pub modules: Vec<ModuleLabel>,
}

/// The breakpoints at the entries of the functions that sites are in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Entries {
    /// No argument is gone that they could tell, or nobody wants them.
    #[default]
    NotNeeded,
    /// They are in place while the others are.
    Placed,
    /// They would help and are not there: why, for people.
    LeftOut(String),
}

/// A module as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModuleLabel {
    /// Its path in the target.
    pub path: String,
    /// Its build-id in lower-case hex; `None` where it has none.
    pub build_id: Option<String>,
    /// Why its debug info is missing or incomplete: without it there are no variables.
    pub debug_issue: Option<Issue>,
}

/// Something to show, in order: maybe `Pending`, one `Armed`, captures and what is ordered between them, one
/// `Finished`.
#[derive(Clone, Debug)]
pub enum Event {
    /// No process runs the program yet; the probe waits for one.
    Pending,
    /// The breakpoints are in place.
    Armed(Box<Armed>),
    /// A hit.
    Capture {
        /// What was seen.
        capture: Box<Capture>,
        /// What the probe has counted so far, over all its sites; looked at when the record was
        /// read, so later than the hit itself.
        counted: Counted,
    },
    /// The breakpoints are out until the probe is resumed.
    Paused {
        /// As in [`Summary::text_restored`].
        text_restored: Option<bool>,
    },
    /// The probe had cost more than it may, and its breakpoints are out until it comes back.
    Tripped {
        /// What it had cost.
        overload: Overload,
        /// When it comes back.
        again_in: Option<Duration>,
    },
    /// The breakpoints are in place again.
    Resumed,
    /// The breakpoints are out.
    Finished(Summary),
}

/// How all hits of a probe ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Hits that reached the kernel program.
    pub hits: u64,
    /// How they ended; the sum is `hits`.
    pub outcomes: Outcomes,
    /// Calls that were seen at the entries of functions; they are no hits.
    pub entered: u64,
    /// What became of the breakpoints there.
    pub entries: Entries,
    /// Hits that the kernel counted but did not hand to the program; those of the engine's other
    /// probes in that time are among them, for the kernel does not tell them apart.
    pub kernel_misses: u64,
    /// Looks at the ring that found records lost since the look before: the reader was too slow.
    pub reader_stalls: u64,
    /// Records received from the ring.
    pub received: u64,
    /// Records received that were malformed.
    pub malformed: u64,
    /// How long the removal of the breakpoints took.
    pub removal: Option<Duration>,
    /// The text of the target is what it was before; `None` when there was none to look at: the
    /// process was gone, or another file is mapped there.
    pub text_restored: Option<bool>,
    /// The most forked children of the target that carried the breakpoint at a time: they paid for
    /// the trap, and their hits are not among those above.
    pub children: u64,
    /// How long it was paused.
    pub paused: Duration,
    /// The last time that it cost more than it may.
    pub overload: Option<Overload>,
    /// Why it ended.
    pub ended: Ended,
    /// The facts of that, for people; `None` where there are none.
    pub why: Option<String>,
}

/// A probe cost more than it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overload {
    /// Whose budget was spent.
    pub of: BudgetOf,
    /// CPU time that was spent in a window of [`tracer_common::limits::WINDOW_NS`].
    pub spent: Duration,
    /// CPU time that the budget allows in a window.
    pub limit: Duration,
    /// How often it happened so far.
    pub trips: u64,
    /// When, in nanoseconds since boot.
    pub time_boot_ns: u64,
    /// From then until the last hit that still came.
    pub lasted: Duration,
}

/// Whose budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BudgetOf {
    /// The probe's own.
    Probe,
    /// That of all probes of the process.
    Process,
    /// That of all probes of the node.
    Node,
}

/// Why a snapshot ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ended {
    /// All captures that were asked for are taken.
    #[default]
    Complete,
    /// The timeout passed.
    Timeout,
    /// No hit came for as long as it was to wait for one.
    Idle,
    /// The caller asked to stop (signal, closed pipe).
    Stopped,
    /// It had cost more than it may, and was not to come back.
    Tripped,
    /// Nothing was heard of this process for so long that its breakpoints were taken out.
    Silence,
    /// The process that held the breakpoints died, and they went with it.
    GuardianDied,
    /// The process ended.
    ProcessGone,
    /// The code that was probed is no longer there: the process replaced its program, or unmapped
    /// the library.
    CodeGone,
    /// The file of the code was written to.
    CodeChanged,
    /// What was captured could not be read: the process that reads files had to be ended, and why.
    Unread,
}
