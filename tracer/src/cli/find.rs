//! `tracer find`: functions of a process by a part of their name.

use super::FindArgs;
use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::print;
use crate::api::{convert, json};
use std::ops::ControlFlow;
use tracer_core::engine::Engine;
use tracer_core::engine::error::EngineError;
use tracer_core::engine::findings::Found;
use tracer_core::model::caller::Caller;
use tracer_core::model::issue::{Issue, IssueKind};

/// Lists what matches; gives the exit code.
///
/// # Errors
/// Why it could not look, or that nothing matches.
pub(crate) fn run(args: &FindArgs) -> Result<u8, Failure> {
    let found = look(args.pid, &args.pattern)?;
    if found.is_empty() {
        let detail = "no name contains it; a shorter part of the name may";
        return Err(Issue::new(IssueKind::NoFunction, &args.pattern, detail).into());
    }
    let mut output = Output::stdout();
    for line in found.iter().map(convert::found) {
        let written = match Format::of(args.json) {
            Format::Text => output.page(&print::lists::found(&line)),
            Format::Json => output.json(json::line(&line)),
        };
        if let ControlFlow::Break(()) = written {
            break;
        }
    }
    output.finish()?;
    Ok(SUCCESS)
}

/// The engine's only call.
fn look(pid: u32, pattern: &str) -> Result<Vec<Found>, EngineError> {
    Engine::default().find(Caller::Root, pid, pattern)
}
