//! The command line as it is typed: definitions and nothing else.

mod captures;
mod daemon;
mod doctor;
mod each;
mod errors;
mod failure;
mod find;
mod help;
mod lease;
mod list;
mod log;
mod others;
mod output;
mod print;
mod reach;
mod remove;
pub mod run;
mod show;
mod snapshot;
mod stop;
mod stop_all;
#[cfg(test)]
mod tests;
mod top;
mod units;
mod vars;

use crate::api::probes::BUDGET_PERCENT;
use clap::{Args, Parser, Subcommand, ValueEnum};
use help::{
    AFTER, CAPTURES_EXAMPLES, DAEMON_AFTER, DAEMON_EXAMPLES, DOCTOR_EXAMPLES, EXAMPLES,
    EXTEND_EXAMPLES, FIND_EXAMPLES, LIST_EXAMPLES, PAUSE_EXAMPLES, REMOVE_EXAMPLES, SNAPSHOT_AFTER,
    SNAPSHOT_EXAMPLES, STOP_ALL_AFTER, STOP_ALL_EXAMPLES, TEMPLATE, TOP_AFTER, TOP_EXAMPLES,
    VARS_AFTER, VARS_EXAMPLES,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracer_common::limits::SCRATCH_SLOTS;
use tracer_core::engine::options::AttachMode;
use tracer_core::model::budget::Budgets;
use tracer_core::model::limits::Limits;

/// Shows what a running program really does: stack, arguments and locals of its next hit.
#[derive(Parser, Debug)]
#[command(name = "tracer", version, before_help = EXAMPLES, after_help = AFTER)]
#[command(help_template = TEMPLATE, disable_help_subcommand = true, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Who does it.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// Whether a daemon does the work.
#[derive(Args, Debug)]
#[command(next_help_heading = "Daemon")]
pub struct ReachArgs {
    /// Where the daemon listens
    #[arg(long, global = true, value_name = "PATH", env = "TRACER_SOCKET", hide_env = true)]
    #[arg(default_value = "/run/tracer/tracer.sock")]
    pub socket: PathBuf,

    /// Do the work in this process even if there is a daemon (also: TRACER_DAEMON=off)
    #[arg(long, global = true)]
    pub no_daemon: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show stack, arguments and locals when a place in the program runs
    #[command(before_help = SNAPSHOT_EXAMPLES, after_help = SNAPSHOT_AFTER, help_template = TEMPLATE)]
    Snapshot(SnapshotArgs),
    /// List the functions of a process whose name matches
    #[command(before_help = FIND_EXAMPLES, help_template = TEMPLATE)]
    Find(FindArgs),
    /// Show which variables are where at a place, and where to go for the others
    #[command(before_help = VARS_EXAMPLES, after_help = VARS_AFTER, help_template = TEMPLATE)]
    Vars(VarsArgs),
    /// Serve this machine: place probes for others, keep what they take
    #[command(before_help = DAEMON_EXAMPLES, after_help = DAEMON_AFTER, help_template = TEMPLATE)]
    Daemon(DaemonArgs),
    /// List the daemon's probes
    #[command(before_help = LIST_EXAMPLES, help_template = TEMPLATE)]
    List(ListArgs),
    /// Watch the daemon's probes: hits, what they cost, what is left of their budget and time
    #[command(before_help = TOP_EXAMPLES, after_help = TOP_AFTER, help_template = TEMPLATE)]
    Top(TopArgs),
    /// Take probes of the daemon out
    #[command(before_help = REMOVE_EXAMPLES, help_template = TEMPLATE)]
    Remove(IdsArgs),
    /// Take the breakpoints of probes out for a while: a paused probe costs nothing
    #[command(before_help = PAUSE_EXAMPLES, help_template = TEMPLATE)]
    Pause(IdsArgs),
    /// Place the breakpoints of paused probes again
    #[command(before_help = PAUSE_EXAMPLES, help_template = TEMPLATE)]
    Resume(IdsArgs),
    /// Let a probe live longer
    #[command(before_help = EXTEND_EXAMPLES, help_template = TEMPLATE)]
    Extend(ExtendArgs),
    /// Take every probe of this machine out, and prove it in the code of every target
    #[command(before_help = STOP_ALL_EXAMPLES, after_help = STOP_ALL_AFTER, help_template = TEMPLATE)]
    StopAll(StopAllArgs),
    /// Show what a probe of the daemon has taken
    #[command(before_help = CAPTURES_EXAMPLES, help_template = TEMPLATE)]
    Captures(CapturesArgs),
    /// Check what this machine has and lacks
    #[command(before_help = DOCTOR_EXAMPLES, help_template = TEMPLATE)]
    Doctor(DoctorArgs),
    /// Hold breakpoints; tracer starts it itself
    #[command(hide = true)]
    Guardian,
    /// Read files of others; tracer starts it itself
    #[command(hide = true)]
    Parser,
    /// Explain a command, or all errors: `tracer help errors`
    #[command(help_template = TEMPLATE)]
    Help {
        /// A command, or `errors`
        #[arg(value_name = "TOPIC")]
        topic: Option<String>,
    },
}

/// Arguments of `tracer snapshot`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("process").required(true).args(["pid", "exe"])))]
pub struct SnapshotArgs {
    /// The process
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=PID_MAX))]
    pub pid: Option<u32>,

    /// Instead of a pid: the first process of yours that runs this file, now or later; the probe ends
    /// with that process, and --timeout counts from now
    #[arg(long, value_name = "PATH")]
    pub exe: Option<PathBuf>,

    /// function, module!function, function@caller, function+0x12, file:line or *0xADDRESS
    pub location: String,

    /// Captures to take; 0 takes all until the timeout; with --detach 10 by default
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(default_value_if("detach", "true", "10"))]
    pub hits: u64,

    /// How long to wait: 500ms, 10s, 2m (at most 24h); with --detach 1h by default
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    #[arg(default_value_if("detach", "true", "1h"))]
    pub timeout: Duration,

    /// Percent of a core that the probe may cost the target, up to 10; it is taken out when it costs
    /// more
    #[arg(long, value_name = "PERCENT", value_parser = units::budget)]
    #[arg(default_value_t = BUDGET_PERCENT)]
    pub budget: f64,

    /// How long to learn how often the place is hit, and then decide whether the probe may stay: 0s
    /// for not at all; without it 200ms, and nothing for a few captures
    #[arg(long, value_name = "TIME", value_parser = units::learning)]
    pub learn: Option<Duration>,

    /// Place it whatever it will cost; the budget takes it out all the same
    #[arg(long)]
    pub force: bool,

    /// Place no second breakpoint at the function's entry, which keeps the arguments that are gone at
    /// the place
    #[arg(long)]
    pub no_entry_probe: bool,

    /// Show values as they are stored: the members of strings and containers, not what is in them
    #[arg(long)]
    pub raw: bool,

    /// End when no hit came for so long; without it only the timeout ends the wait
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub idle: Option<Duration>,

    /// Come back so long after the probe cost more than it may, twice as long each next time; without
    /// it that is the end
    #[arg(long, value_name = "TIME", value_parser = units::retry)]
    pub retry: Option<Duration>,

    /// Let probes cost what they cost: for tests, where nobody can be hurt
    #[arg(long, hide = true, env = "TRACER_NO_BUDGETS")]
    pub no_budgets: bool,

    /// Captures per second at most, those of a quarter of it at once, 0 for no limit; other hits are
    /// counted [default: 50 if more than 16 captures are wanted]
    #[arg(long, value_name = "N")]
    pub rate: Option<u64>,

    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,

    /// Leave the probe to the daemon and give its name; `tracer captures` shows what it takes
    #[arg(long)]
    pub detach: bool,

    /// Log of the kernel program, to stderr: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = KernelLog::Off)]
    #[arg(hide_possible_values = true)]
    pub kernel_log: KernelLog,

    /// Limits of one capture.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// How to place breakpoints: auto, multi (uprobe_multi) or perf (perf events)
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Attach::Auto, env = "TRACER_ATTACH")]
    #[arg(hide_possible_values = true, hide_env = true)]
    pub attach: Attach,

    /// Size of the ring buffer; a power of two. By the number of captures if nothing is said
    #[arg(long, hide = true, value_parser = ring_bytes)]
    pub ring_bytes: Option<u32>,

    /// Scratch buffers of the kernel program; a power of two
    #[arg(long, hide = true, value_parser = scratch_slots, default_value_t = SCRATCH_SLOTS)]
    pub scratch_slots: u32,
}

/// How much one capture may copy. What is cut says so, and names the option that raises it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of one capture (what is cut says so)")]
pub struct LimitArgs {
    /// Pointers followed in a row (up to 64)
    #[arg(long, value_name = "N", value_parser = depth, default_value_t = Limits::DEFAULT.depth_max)]
    pub depth: u32,

    /// Bytes of a string (up to 64KiB)
    #[arg(long, value_name = "SIZE", value_parser = max_string)]
    #[arg(default_value = "1KiB")]
    pub max_string: u32,

    /// Elements of an array or slice (up to 10000)
    #[arg(long, value_name = "N", value_parser = max_items)]
    #[arg(default_value_t = Limits::DEFAULT.items_max)]
    pub max_items: u32,

    /// Show static and global variables of the source file's unit too: N of them (up to 1000), 100
    /// where N is not given
    #[arg(long, value_name = "N", value_parser = globals, num_args = 0..=1, require_equals = true)]
    #[arg(default_value_t = Limits::DEFAULT.globals_max, default_missing_value = "100")]
    #[arg(hide_default_value = true)]
    pub globals: u32,

    /// Stack that is copied for the backtrace and callers (up to 64KiB)
    #[arg(long, value_name = "SIZE", value_parser = stack, default_value = "16KiB")]
    pub stack: u32,

    /// Bytes of objects and strings in all (up to 160KiB)
    #[arg(long, value_name = "SIZE", value_parser = limit_bytes, default_value = "64KiB")]
    pub limit_bytes: u32,
}

/// Arguments of `tracer find`.
#[derive(Args, Debug)]
pub struct FindArgs {
    /// The process
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=PID_MAX))]
    pub pid: u32,

    /// A part of the function's name; `module!part` looks in one module
    pub pattern: String,

    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer vars`.
#[derive(Args, Debug)]
pub struct VarsArgs {
    /// The process
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=PID_MAX))]
    pub pid: u32,

    /// function, module!function, function@caller, function+0x12, file:line or *0xADDRESS
    pub location: String,

    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer daemon`.
#[derive(Args, Debug)]
pub struct DaemonArgs {
    /// The group that may connect, by name or number; without it only root may
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// Where metrics are served, or `off`
    #[arg(long, value_name = "ADDRESS", value_parser = units::listen)]
    #[arg(default_value = "127.0.0.1:9464")]
    pub metrics_listen: Listen,

    /// Let probes cost what they cost: for tests, where nobody can be hurt
    #[arg(long, hide = true, env = "TRACER_NO_BUDGETS")]
    pub no_budgets: bool,

    /// Percent of a core that all probes of one process may cost, up to 25
    #[arg(long, value_name = "PERCENT", value_parser = units::shared_budget, default_value_t = Budgets::PROCESS_PERCENT)]
    pub process_budget: f64,

    /// Percent of a core that all probes together may cost, up to 25
    #[arg(long, value_name = "PERCENT", value_parser = units::shared_budget, default_value_t = Budgets::NODE_PERCENT)]
    pub node_budget: f64,

    /// How to place breakpoints: auto, multi (uprobe_multi) or perf (perf events)
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Attach::Auto, env = "TRACER_ATTACH")]
    #[arg(hide_possible_values = true, hide_env = true)]
    pub attach: Attach,

    /// Log of the kernel program, to stderr: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = KernelLog::Off)]
    #[arg(hide_possible_values = true)]
    pub kernel_log: KernelLog,
}

/// An address to listen at; `None` for nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen(pub Option<SocketAddr>);

/// Arguments of `tracer list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer top`.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// How often it is drawn again
    #[arg(long, short, value_name = "TIME", value_parser = units::duration, default_value = "1s")]
    pub interval: Duration,

    /// Draw it once, over one interval, and end
    #[arg(long)]
    pub once: bool,

    /// One JSON object per interval instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer remove`, `pause` and `resume`.
#[derive(Args, Debug)]
pub struct IdsArgs {
    /// Names of probes, as `tracer list` gives them
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,

    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer extend`.
#[derive(Args, Debug)]
pub struct ExtendArgs {
    /// Name of the probe, as `tracer list` gives it
    pub id: String,

    /// How much longer: 500ms, 10s, 2m, 1h; it ends within 24h from now in any case
    #[arg(value_name = "TIME", value_parser = units::duration)]
    pub by: Duration,

    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer stop-all`.
#[derive(Args, Debug)]
pub struct StopAllArgs {
    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer captures`.
#[derive(Args, Debug)]
pub struct CapturesArgs {
    /// Name of the probe, as `tracer list` gives it
    pub id: String,

    /// Wait for more until the probe has ended
    #[arg(long, short)]
    pub follow: bool,

    /// Only captures behind this one (`seq` in JSON)
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub after: u64,

    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tracer doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// One JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
}

/// From which level on the kernel program logs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelLog {
    /// Nothing; the program is loaded without its log.
    Off,
    /// Errors.
    Error,
    /// Warnings too.
    Warn,
    /// What happens.
    Info,
    /// Each step.
    Debug,
    /// Everything.
    Trace,
}

/// How breakpoints are placed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attach {
    /// `uprobe_multi` where it works, else perf events.
    Auto,
    /// `uprobe_multi`.
    Multi,
    /// Perf events: slow to remove, and CAP_SYS_ADMIN is needed.
    Perf,
}

impl Attach {
    /// As the engine calls it.
    pub(crate) fn mode(self) -> AttachMode {
        match self {
            Self::Auto => AttachMode::Auto,
            Self::Multi => AttachMode::Multi,
            Self::Perf => AttachMode::Perf,
        }
    }
}

/// The kernel's own bound of process ids (PID_MAX_LIMIT on 64-bit machines).
const PID_MAX: i64 = 4 * 1024 * 1024;

fn depth(text: &str) -> Result<u32, String> {
    units::count(text, 0..=Limits::CEILING.depth_max)
}

fn globals(text: &str) -> Result<u32, String> {
    units::count(text, 0..=Limits::CEILING.globals_max)
}

fn max_string(text: &str) -> Result<u32, String> {
    units::size(text, 1..=Limits::CEILING.text_bytes_max)
}

fn max_items(text: &str) -> Result<u32, String> {
    units::count(text, 1..=Limits::CEILING.items_max)
}

fn stack(text: &str) -> Result<u32, String> {
    units::size(text, 0..=Limits::CEILING.stack_bytes)
}

fn limit_bytes(text: &str) -> Result<u32, String> {
    units::size(text, 0..=Limits::CEILING.bytes_max)
}

fn ring_bytes(text: &str) -> Result<u32, String> {
    power_of_two(units::size(text, 4096..=1 << 30)?)
}

fn scratch_slots(text: &str) -> Result<u32, String> {
    power_of_two(units::count(text, 1..=SCRATCH_SLOTS)?)
}

fn power_of_two(number: u32) -> Result<u32, String> {
    if number.is_power_of_two() { Ok(number) } else { Err("must be a power of two".to_owned()) }
}
