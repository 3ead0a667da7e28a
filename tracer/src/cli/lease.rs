//! `tracer pause`, `resume` and `extend`: the lease of a probe of the daemon.

use super::each::each;
use super::failure::Failure;
use super::output::Format;
use super::{ExtendArgs, IdsArgs, ReachArgs, print, reach};
use crate::api::probes::ExtendRequest;
use std::time::SystemTime;

/// Takes the breakpoints of all that are named out for a while; gives the exit code.
///
/// # Errors
/// The last thing that went wrong; those before it are told at once.
pub(crate) fn pause(args: &IdsArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    let ask = |path: &str| daemon.order(&format!("{path}/pause"));
    each(&args.ids, Format::of(args.json), ask, print::probes::paused)
}

/// Places them again; gives the exit code.
///
/// # Errors
/// The last thing that went wrong; those before it are told at once.
pub(crate) fn resume(args: &IdsArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    let ask = |path: &str| daemon.order(&format!("{path}/resume"));
    each(&args.ids, Format::of(args.json), ask, print::probes::resumed)
}

/// Lets a probe live longer; gives the exit code.
///
/// # Errors
/// There is no such probe, or that would be too long.
pub(crate) fn extend(args: &ExtendArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    let by_ms = u64::try_from(args.by.as_millis()).unwrap_or(u64::MAX);
    let ask = |path: &str| daemon.post(&format!("{path}/extend"), &ExtendRequest { by_ms });
    let page = |probe: &_| print::probes::extended(probe, SystemTime::now());
    each(std::slice::from_ref(&args.id), Format::of(args.json), ask, page)
}
