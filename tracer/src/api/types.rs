//! The shapes of the JSON lines, field by field; `snapshot.schema.json` is their contract.
//!
//! One JSON object is one line. Addresses are strings like `"0x401136"`. Times in nanoseconds are
//! decimal strings, for they do not fit a double.

use super::read::{NodeError, present};
use super::scalar::{Address, Hex, Nanoseconds};
use super::value::{Node, Unavailable, Value};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the `schema` of [`ArmedLine`], [`CaptureLine`] and [`SummaryLine`] says; a changed meaning
/// gets a new number.
pub const SNAPSHOT: &str = "tracer/snapshot/1";
/// What [`FoundLine::schema`] says.
pub const FIND: &str = "tracer/find/1";
/// What [`CheckLine::schema`] says.
pub const DOCTOR: &str = "tracer/doctor/1";
/// What [`ErrorLine::schema`] says.
pub const ERROR: &str = "tracer/error/1";

/// A stable word for programs: one of ours, or one that was read.
pub type Code = Cow<'static, str>;

/// How many hits ended in which way, by the code of the outcome.
pub type Outcomes = BTreeMap<Code, u64>;

/// The first line of a stream: the breakpoints are in place.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct ArmedLine {
    /// [`SNAPSHOT`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Which probe.
    pub probe: String,
    /// What stays the same for all its captures.
    pub armed: Armed,
}

/// A probe that was placed.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Armed {
    /// The location as the user wrote it.
    pub requested: String,
    /// The process.
    pub target: Process,
    /// The addresses that are probed; at least one.
    pub sites: Vec<ArmedSite>,
    /// Places of the location that can't be probed.
    pub not_probed: Vec<Coded>,
    /// Why arguments that are gone are not kept at the function's entry, where that would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_left_out: Option<String>,
    /// Captures to take; 0 for as many as come.
    pub hits: u64,
    /// How long it waits, in milliseconds.
    pub timeout_ms: u64,
    /// How the breakpoints were placed.
    pub attached_by: AttachedBy,
    /// What it will cost the target.
    pub predicted: Predicted,
}

/// What a probe will cost its target, by what a hit costs on this machine.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Debug)]
pub struct Predicted {
    /// Nanoseconds that the trap of a hit takes, whatever is done with the hit.
    pub trap_ns: u64,
    /// Nanoseconds that a capture takes on top.
    pub capture_ns: u64,
    /// Nanoseconds that it takes to wake the reader of a capture, unless captures come in a row.
    pub wake_ns: u64,
    /// Hits a second without the probe; missing where that was not learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits_per_second: Option<f64>,
    /// Percent of a core that the probe will take; missing like the hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// How many times as long the target will take for the same work; missing like the hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<f64>,
    /// Captures a second that fit into the budget, where it is fewer than were asked for: other
    /// hits are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_per_second: Option<u64>,
}

/// How breakpoints are placed.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum AttachedBy {
    /// By `uprobe_multi`.
    Multi,
    /// By perf events: each takes about a tenth of a second to remove.
    Perf,
}

/// The process that is looked at.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Process {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: Text,
    /// The program's path.
    pub exe: Text,
}

/// An address that is probed.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct ArmedSite {
    /// The address that the location means.
    pub requested_pc: Address,
    /// The address that is probed.
    pub pc: Address,
    /// Why this address.
    pub why: String,
    /// The instruction there, disassembled.
    pub instruction: String,
    /// What a hit costs.
    pub trap: Trap,
    /// The module's path in the target.
    pub module: Option<String>,
    /// The module's build-id.
    pub build_id: Option<String>,
    /// Why the module's debug info is missing or incomplete, and with it variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_issue: Option<Coded>,
    /// The function that the address is in, demangled.
    pub function: Option<String>,
    /// The source file as the compiler recorded it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The second breakpoint, at the function's entry, that keeps the arguments which are gone here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<ArmedEntry>,
    /// The functions that the code is inlined into, the one that calls first; missing where it is a
    /// function's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlined_into: Vec<InlinedInto>,
}

/// A breakpoint at a function's entry. What comes by there is no hit.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Debug)]
pub struct ArmedEntry {
    /// Its address.
    pub pc: Address,
    /// What a call of the function costs.
    pub trap: Trap,
}

/// A function that another one is inlined into.
#[derive(Serialize, Deserialize, ToSchema, Clone, PartialEq, Eq, Debug)]
pub struct InlinedInto {
    /// Demangled.
    pub function: Option<String>,
    /// The file of the call, as the compiler recorded it.
    pub file: Option<String>,
    /// The line of the call, from 1.
    pub line: Option<u64>,
}

/// How the kernel executes the instruction under a breakpoint.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Trap {
    /// By itself.
    Emulated,
    /// On a copy of it; costs several times more.
    SingleStepped,
}

/// One hit.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct CaptureLine {
    /// [`SNAPSHOT`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Which probe this is of.
    pub probe: String,
    /// Number of this line among the captures of the probe, from 1.
    pub seq: u64,
    /// When it was hit, since 1970.
    pub time_unix_ns: Nanoseconds,
    /// Who hit it.
    pub target: Target,
    /// Where.
    pub site: Site,
    /// The stack, innermost frame first.
    pub frames: Vec<Frame>,
    /// Why the stack ends where it does.
    pub stack_end: StackEnd,
    /// Limits that this hit met: something is missing somewhere.
    #[schema(value_type = Vec<String>)]
    pub limits_met: Vec<Code>,
    /// Hits of the probe that had ended when this was read from the ring: the sum of `outcomes`.
    pub hits: u64,
    /// How they ended.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub outcomes: Outcomes,
    /// As in [`Summary::kernel_misses`], until then.
    pub kernel_misses: u64,
    /// As in [`Summary::reader_stalls`], until then.
    pub reader_stalls: u64,
}

/// The thread that hit the probe.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Target {
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// The cpu it ran on.
    pub cpu: u32,
    /// The thread's name.
    pub comm: Text,
    /// The program's path.
    pub exe: Text,
    /// When the process started, since boot. With the pid it names the process for good.
    pub start_time: Nanoseconds,
}

/// The place of the hit.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Site {
    /// The location as the user wrote it.
    pub requested: String,
    /// The address that the location means.
    pub requested_pc: Option<Address>,
    /// The address that is probed.
    pub pc: Option<Address>,
    /// The module's path in the target.
    pub module: Option<String>,
    /// The module's build-id.
    pub build_id: Option<String>,
    /// Why this address.
    pub why: String,
    /// Why the module's debug info is missing or incomplete, and with it variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_issue: Option<Coded>,
    /// The functions that the code is inlined into, the one that calls first; missing where it is a
    /// function's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlined_into: Vec<InlinedInto>,
    /// Number of the hit at this site, from 1: a gap is a hit that was not captured.
    pub hit: u64,
}

/// A frame of the stack.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Frame {
    /// The pc; for a caller the return address.
    pub pc: Address,
    /// The function, demangled.
    pub function: Option<String>,
    /// The source file as the compiler recorded it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The module's file name.
    pub module: Option<String>,
    /// This function's code is part of the next frame's.
    pub inlined: bool,
    /// How the frame was found.
    pub how: How,
    /// Why it was not found in the usual way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how_detail: Option<String>,
    /// Its variables.
    pub variables: Vec<Variable>,
}

/// How a frame was found.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By the registers of the hit: the innermost frame.
    Registers,
    /// By call frame information.
    Cfi,
    /// By the chain of frame pointers.
    FramePointer,
}

/// Why a stack ends where it does.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct StackEnd {
    /// For programs.
    pub code: StackEndCode,
    /// For people.
    pub text: String,
}

/// The ways in which a stack can end.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum StackEndCode {
    /// The outermost frame was reached.
    Complete,
    /// The copied part of it ends there.
    StackCut,
    /// The caller was not found.
    Lost,
}

/// A variable of a frame.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
#[serde(try_from = "VariableParts")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, as the language writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it is.
    pub kind: VariableKind,
    /// `value` or `unavailable`.
    #[serde(flatten)]
    pub node: Node,
    /// Where the value came from.
    pub provenance: Provenance,
    /// The pc that the value is of, where that is another one than the hit's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<OtherPc>,
    /// A limit cut something off, here or deeper in the value.
    pub truncated: bool,
}

/// A pc that a value is of, which is not that of the hit.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct OtherPc {
    /// The pc.
    pub pc: Address,
    /// The source file there, as the compiler recorded it.
    pub file: Option<String>,
    /// The line there, from 1.
    pub line: Option<u64>,
}

/// What a variable is.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    /// An argument of the function.
    Parameter,
    /// A local variable.
    Local,
    /// A static or global variable of the unit.
    Global,
}

/// Where a value came from.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// It was read where debug info says that it is at this pc.
    Live,
    /// The compiler knew it.
    Constant,
    /// It was not in memory at the hit; it is what the file that is mapped there has.
    MappedFile,
    /// It was not in memory at the hit; nobody had written to its page yet, so it is zero.
    Untouched,
    /// It was not in memory at the hit and was read right after it.
    ReadAfterHit,
    /// The caller passed it when the function was entered, by the description of the call. A
    /// parameter may have been changed since.
    EntryValue,
    /// The same, as a breakpoint at the function's entry kept it.
    EntryProbe,
    /// It is what the variable was at another pc on the way to this one.
    /// It may have been assigned in between to something that the compiler did not keep.
    MovedPc,
    /// There is no value.
    None,
}

/// A [`Variable`] as it is read: a flattened [`Node`] would be copied once for each level.
#[derive(Deserialize)]
struct VariableParts {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    kind: VariableKind,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    unavailable: Option<Unavailable>,
    provenance: Provenance,
    moved: Option<OtherPc>,
    truncated: bool,
}

impl TryFrom<VariableParts> for Variable {
    type Error = NodeError;

    fn try_from(parts: VariableParts) -> Result<Self, NodeError> {
        let VariableParts { name, type_name, kind, value, unavailable, provenance, .. } = parts;
        let VariableParts { moved, truncated, .. } = parts;
        let node = Node::of(value, unavailable)?;
        Ok(Self { name, type_name, kind, node, provenance, moved, truncated })
    }
}

/// Text of the target: a string if it is UTF-8, else its bytes.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
#[serde(untagged)]
pub enum Text {
    /// UTF-8.
    Utf8(String),
    /// Anything else.
    Bytes {
        /// As they are.
        bytes: Hex,
    },
}

impl Text {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Utf8(text) => text.as_bytes(),
            Self::Bytes { bytes } => &bytes.0,
        }
    }
}

/// A stable code with its sentence.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Coded {
    /// For programs.
    #[schema(value_type = String)]
    pub code: Code,
    /// For people.
    pub text: String,
}

/// The last line.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct SummaryLine {
    /// [`SNAPSHOT`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Which probe.
    pub probe: String,
    /// The counts.
    pub summary: Summary,
}

/// How all hits of a probe ended.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Summary {
    /// Hits that reached the kernel program; the sum of `outcomes`.
    pub hits: u64,
    /// How they ended.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub outcomes: Outcomes,
    /// Calls that were seen at the entries of functions, to keep their arguments; no hits.
    #[serde(default)]
    pub entered: u64,
    /// Why arguments that are gone were not kept there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_left_out: Option<String>,
    /// Hits that the kernel did not hand to the program.
    pub kernel_misses: u64,
    /// Looks at the ring that found records lost since the look before: the reader was too slow.
    pub reader_stalls: u64,
    /// Records that were read from the ring.
    pub received: u64,
    /// Records among them that were malformed.
    pub malformed: u64,
    /// Capture lines that were written before this one.
    pub written: u64,
    /// The code of the target is what it was before.
    pub text_restored: Option<bool>,
    /// The most forked children of the target that carried the breakpoint at a time; their hits
    /// are not among those above.
    #[serde(default)]
    pub children: u64,
    /// How long it was paused, in milliseconds.
    pub paused_ms: u64,
    /// The last time that it cost more than it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overload: Option<Overload>,
    /// Why it ended.
    pub ended: Ended,
    /// The facts of that, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A probe cost more than it may.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overload {
    /// Whose budget was spent.
    pub of: BudgetOf,
    /// Nanoseconds of CPU time that were spent in a window.
    pub spent_ns: u64,
    /// Nanoseconds that the budget allows in a window.
    pub limit_ns: u64,
    /// The length of a window in nanoseconds.
    pub window_ns: u64,
    /// How often it happened so far.
    pub trips: u64,
    /// Nanoseconds from the last time until the last hit that still came.
    #[serde(default)]
    pub lasted_ns: u64,
}

/// Whose budget.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    /// The probe's own.
    Probe,
    /// That of all probes of the process.
    Process,
    /// That of all probes of the node.
    Node,
}

/// Why a probe ended.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All captures that were asked for are taken.
    Complete,
    /// The timeout passed.
    Timeout,
    /// No hit came for as long as it was to wait for one.
    Idle,
    /// The caller asked to stop.
    Stopped,
    /// It had cost more than it may.
    Tripped,
    /// Its breakpoints were taken out because tracer did not answer for too long.
    Silence,
    /// The process that held its breakpoints died, and they went with it.
    GuardianDied,
    /// The process ended.
    ProcessGone,
    /// The probed code is no longer there.
    CodeGone,
    /// The file of the probed code was written to.
    CodeChanged,
    /// What was captured could not be read: the process that reads files had to be ended.
    Unread,
}

/// A function that was found.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct FoundLine {
    /// [`FIND`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// Its name, demangled.
    pub function: String,
    /// The module's path in the target.
    pub module: String,
    /// Its address in the process.
    pub address: Address,
    /// Its address as stated in the file.
    pub file_address: Address,
    /// The source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// Copies of it that are inlined into other functions; missing where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inlined_copies: u64,
    /// Some of the functions that call it there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlined_into: Vec<String>,
}

/// For serde, which hands a reference.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One thing that tracer needs.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct CheckLine {
    /// [`DOCTOR`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// What was looked at.
    pub name: String,
    /// How it stands.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a check stands.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, with less than the full promises.
    Warn,
    /// It does not work.
    Fail,
}

/// Why a command could not do what was asked; written to stderr.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct ErrorLine {
    /// [`ERROR`].
    #[schema(value_type = String)]
    pub schema: Code,
    /// The facts.
    pub error: Error,
}

/// An error.
#[derive(Serialize, Deserialize, ToSchema, Clone, Debug)]
pub struct Error {
    /// The stable short code.
    #[schema(value_type = String)]
    pub code: Code,
    /// What the process exits with.
    pub exit_code: u8,
    /// What it is about, in the user's words.
    pub subject: String,
    /// One sentence.
    pub text: String,
    /// What was found or tried; may be empty.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// What can be asked for instead.
    pub candidates: Vec<String>,
}
