//! `tracer vars`: which variables are where at a place, and where to go for the others.

use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::print::source::Sources;
use super::{ReachArgs, VarsArgs, print, reach};
use crate::api::json;
use crate::api::probes::VarsRequest;
use crate::api::vars::{self, VarsLine};
use crate::debuginfod::servers;
use tracer_core::engine::Engine;
use tracer_core::engine::options::Options;
use tracer_core::model::caller::Caller;

/// Shows what a snapshot of the place could show; gives the exit code.
///
/// # Errors
/// Why the place can't be found or probed.
pub(crate) fn run(args: &VarsArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let line = look(args, to)?;
    let mut output = Output::stdout();
    let written = match Format::of(args.json) {
        Format::Text => output.page(&print::vars::vars(&line, &mut Sources::default())),
        Format::Json => output.json(json::line(&line)),
    };
    if written.is_break() {
        tracing::debug!("the page could not be written to its end");
    }
    output.finish()?;
    Ok(SUCCESS)
}

/// Asks a daemon, else the engine.
fn look(args: &VarsArgs, to: &ReachArgs) -> Result<VarsLine, Failure> {
    let text = &args.location;
    let location = tracer_core::engine::parse_location(text)?;
    if let Some(daemon) = reach::daemon(to)? {
        let asked = VarsRequest { pid: args.pid, location: text.clone() };
        return Ok(daemon.post("/v1/vars", &asked)?);
    }
    let found = Engine::with_servers(Options::default(), servers()).vars(
        Caller::Root,
        args.pid,
        &location,
        text,
    )?;
    Ok(vars::line(&found))
}
