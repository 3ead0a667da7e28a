//! `tracer remove`: takes probes of the daemon out.

use super::each::each;
use super::failure::Failure;
use super::output::Format;
use super::{IdsArgs, ReachArgs, print, reach};

/// Removes all that are named; gives the exit code.
///
/// # Errors
/// The last thing that went wrong; those before it are told at once.
pub(crate) fn run(args: &IdsArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    each(&args.ids, Format::of(args.json), |path| daemon.delete(path), print::probes::removed)
}
