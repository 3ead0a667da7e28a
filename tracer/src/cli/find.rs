//! `tracer find`: functions of a process by a part of their name.

use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::{FindArgs, ReachArgs, print, reach};
use crate::api::probes::{FindRequest, FoundList};
use crate::api::types::FoundLine;
use crate::api::{convert, json};
use crate::debuginfod::servers;
use std::ops::ControlFlow;
use tracer_core::engine::Engine;
use tracer_core::engine::options::Options;
use tracer_core::model::caller::Caller;
use tracer_core::model::issue::{Issue, IssueKind};

/// Lists what matches; gives the exit code.
///
/// # Errors
/// Why it could not look, or that nothing matches.
pub(crate) fn run(args: &FindArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let found = look(args, to)?;
    if found.is_empty() {
        let detail = "no name contains it; a shorter part of the name may";
        return Err(Issue::new(IssueKind::NoFunction, &args.pattern, detail).into());
    }
    let mut output = Output::stdout();
    for line in &found {
        let written = match Format::of(args.json) {
            Format::Text => output.page(&print::lists::found(line)),
            Format::Json => output.json(json::line(line)),
        };
        if let ControlFlow::Break(()) = written {
            break;
        }
    }
    output.finish()?;
    Ok(SUCCESS)
}

/// Asks a daemon, else the engine.
fn look(args: &FindArgs, to: &ReachArgs) -> Result<Vec<FoundLine>, Failure> {
    let (pid, pattern) = (args.pid, args.pattern.clone());
    if let Some(daemon) = reach::daemon(to)? {
        let FoundList { found } = daemon.post("/v1/find", &FindRequest { pid, pattern })?;
        return Ok(found);
    }
    let found =
        Engine::with_servers(Options::default(), servers()).find(Caller::Root, pid, &pattern)?;
    Ok(found.iter().map(convert::found).collect())
}
