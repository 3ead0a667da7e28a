//! `tracer stop-all`: every probe of this machine out, with the proof.

use super::failure::{Failure, OWN_ERROR, SUCCESS};
use super::output::{Format, Output};
use super::{ReachArgs, StopAllArgs, others, print, reach};
use crate::api::json;
use crate::api::probes::{StopLine, StopList};

/// Stops all, and shows what became of each; gives the exit code.
///
/// # Errors
/// A daemon that does not do what it is asked; the others have been stopped all the same.
pub(crate) fn run(args: &StopAllArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::daemon(to);
    let mut asked = None;
    let told = daemon.and_then(|daemon| {
        let Some(daemon) = daemon else { return Ok(Vec::new()) };
        let StopList { stopped } = daemon.order("/v1/stop-all")?;
        asked = daemon.pid();
        Ok(stopped)
    });
    // One that did not answer is told like all others.
    let others = others::stop(others::find(asked));
    let (stopped, failed) = match told {
        Ok(stopped) => (stopped, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let lines: Vec<StopLine> = stopped.into_iter().chain(others).collect();
    show(&lines, Format::of(args.json))?;
    match failed {
        Some(failure) => Err(failure),
        None if lines.iter().all(|line| line.text.is_clean()) => Ok(SUCCESS),
        None => Ok(OWN_ERROR),
    }
}

fn show(lines: &[StopLine], format: Format) -> Result<(), Failure> {
    let mut output = Output::stdout();
    let written = match format {
        Format::Text => output.page(&print::stopped::table(lines)),
        Format::Json => lines.iter().try_for_each(|line| output.json(json::line(line))),
    };
    if written.is_break() {
        tracing::debug!("not all could be told");
    }
    output.finish()
}
