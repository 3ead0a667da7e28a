//! The shapes of the JSON lines, field by field; `snapshot.schema.json` is their contract.
//!
//! One JSON object is one line. Addresses are strings like `"0x401136"`. Times in nanoseconds are
//! decimal strings, for they do not fit a double.

use super::value::Node;
use serde::Serialize;
use std::collections::BTreeMap;

/// What [`CaptureLine::schema`] and [`SummaryLine::schema`] say; a changed meaning gets a new number.
pub const SNAPSHOT: &str = "tracer/snapshot/1";
/// What [`FoundLine::schema`] says.
pub const FIND: &str = "tracer/find/1";
/// What [`CheckLine::schema`] says.
pub const DOCTOR: &str = "tracer/doctor/1";
/// What [`ErrorLine::schema`] says.
pub const ERROR: &str = "tracer/error/1";

/// How many hits ended in which way, by the code of the outcome.
pub type Outcomes = BTreeMap<&'static str, u64>;

/// One hit.
#[derive(Serialize, Debug)]
pub struct CaptureLine {
    /// [`SNAPSHOT`].
    pub schema: &'static str,
    /// Which probe this is of.
    pub probe: String,
    /// Number of this line among the captures of the probe, from 1.
    pub seq: u64,
    /// When it was hit: nanoseconds since 1970, decimal.
    pub time_unix_ns: String,
    /// Who hit it.
    pub target: Target,
    /// Where.
    pub site: Site,
    /// The stack, innermost frame first.
    pub frames: Vec<Frame>,
    /// Why the stack ends where it does.
    pub stack_end: Coded,
    /// Limits that this hit met: something is missing somewhere.
    pub limits_met: Vec<&'static str>,
    /// How all hits of the probe ended until this line was written.
    pub outcomes: Outcomes,
}

/// The thread that hit the probe.
#[derive(Serialize, Debug)]
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
    /// When the process started: nanoseconds since boot, decimal. With the pid it names the
    /// process for good.
    pub start_time: String,
}

/// The place of the hit.
#[derive(Serialize, Debug)]
pub struct Site {
    /// The location as the user wrote it.
    pub requested: String,
    /// The address that the location means.
    pub requested_pc: Option<String>,
    /// The address that is probed.
    pub pc: Option<String>,
    /// The module's path in the target.
    pub module: Option<String>,
    /// The module's build-id.
    pub build_id: Option<String>,
    /// Why this address.
    pub why: String,
    /// Why the module's debug info is missing or incomplete, and with it variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_issue: Option<Coded>,
    /// Number of the hit at this site, from 1: a gap is a hit that was not captured.
    pub hit: u64,
}

/// A frame of the stack.
#[derive(Serialize, Debug)]
pub struct Frame {
    /// The pc; for a caller the return address.
    pub pc: String,
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
    /// How the frame was found: `registers`, `cfi` or `frame_pointer`.
    pub how: &'static str,
    /// Why it was not found in the usual way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how_detail: Option<String>,
    /// Its variables.
    pub variables: Vec<Variable>,
}

/// A variable of a frame.
#[derive(Serialize, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, as the language writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// `parameter` or `local`.
    pub kind: &'static str,
    /// `value` or `unavailable`.
    #[serde(flatten)]
    pub node: Node,
    /// Where the value came from: `live`, `constant` or `none`.
    pub provenance: &'static str,
    /// A limit cut something off, here or deeper in the value.
    pub truncated: bool,
}

/// Text of the target: a string if it is UTF-8, else its bytes.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Text {
    /// UTF-8.
    Utf8(String),
    /// Anything else.
    Bytes {
        /// In lower-case hexadecimal.
        bytes: String,
    },
}

/// A stable code with its sentence.
#[derive(Serialize, Debug)]
pub struct Coded {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub text: String,
}

/// The last line.
#[derive(Serialize, Debug)]
pub struct SummaryLine {
    /// [`SNAPSHOT`].
    pub schema: &'static str,
    /// Which probe.
    pub probe: String,
    /// The counts.
    pub summary: Summary,
}

/// How all hits of a probe ended.
#[derive(Serialize, Debug)]
pub struct Summary {
    /// Hits that reached the kernel program; the sum of `outcomes`.
    pub hits: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// Hits that the kernel did not hand to the program.
    pub kernel_misses: u64,
    /// Records that were read from the ring.
    pub received: u64,
    /// Records among them that were malformed.
    pub malformed: u64,
    /// Capture lines that were written before this one.
    pub written: u64,
    /// The code of the target is what it was before.
    pub text_restored: Option<bool>,
    /// Why it ended: `complete`, `timeout`, `stopped` or `process_gone`.
    pub ended: &'static str,
}

/// A function that was found.
#[derive(Serialize, Debug)]
pub struct FoundLine {
    /// [`FIND`].
    pub schema: &'static str,
    /// Its name, demangled.
    pub function: String,
    /// The module's path in the target.
    pub module: String,
    /// Its address in the process.
    pub address: String,
    /// Its address as stated in the file.
    pub file_address: String,
    /// The source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
}

/// One thing that tracer needs.
#[derive(Serialize, Debug)]
pub struct CheckLine {
    /// [`DOCTOR`].
    pub schema: &'static str,
    /// What was looked at.
    pub name: String,
    /// `ok`, `warn` or `fail`.
    pub status: &'static str,
    /// What was found.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Why a command could not do what was asked; written to stderr.
#[derive(Serialize, Debug)]
pub struct ErrorLine {
    /// [`ERROR`].
    pub schema: &'static str,
    /// The facts.
    pub error: Error,
}

/// An error.
#[derive(Serialize, Debug)]
pub struct Error {
    /// The stable short code.
    pub code: &'static str,
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
