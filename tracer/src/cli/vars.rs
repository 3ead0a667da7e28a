//! `tracer vars`: which variables are where at a place, and where to go for the others.

use super::VarsArgs;
use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::print;
use super::print::source::Sources;
use crate::api::{self, json};
use tracer_core::engine::Engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::findings::Vars;
use tracer_core::model::caller::Caller;

/// Shows what a snapshot of the place could show; gives the exit code.
///
/// # Errors
/// Why the place can't be found or probed.
pub(crate) fn run(args: &VarsArgs) -> Result<u8, Failure> {
    let line = api::vars::line(&look(args.pid, &args.location)?);
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

/// The engine's only call.
fn look(pid: u32, text: &str) -> Result<Vars, EngineError> {
    Engine::default().vars(Caller::Root, pid, &tracer_core::engine::parse_location(text)?, text)
}
