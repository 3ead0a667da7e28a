//! `tracer list`: the daemon's probes.

use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::{ListArgs, ReachArgs, print, reach};
use crate::api::json;
use crate::api::probes::ProbeList;
use std::ops::ControlFlow;
use std::time::SystemTime;

/// Lists what the caller may see; gives the exit code.
///
/// # Errors
/// No daemon answers.
pub(crate) fn run(args: &ListArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let ProbeList { probes } = reach::required(to)?.get("/v1/probes")?;
    let mut output = Output::stdout();
    match Format::of(args.json) {
        Format::Text => {
            if output.page(&print::probes::table(&probes, SystemTime::now())).is_break() {
                tracing::debug!("the list could not be written to its end");
            }
        }
        Format::Json => {
            for probe in &probes {
                if let ControlFlow::Break(()) = output.json(json::line(probe)) {
                    break;
                }
            }
        }
    }
    output.finish()?;
    Ok(SUCCESS)
}
