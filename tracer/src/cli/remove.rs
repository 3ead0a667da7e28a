//! `tracer remove`: takes probes of the daemon out.

use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::{ReachArgs, RemoveArgs, print, reach};
use crate::api::json;
use crate::api::probes::ProbeLine;

/// Removes all that are named, whatever becomes of the others; gives the exit code.
///
/// # Errors
/// The last thing that went wrong; those before it are told at once.
pub(crate) fn run(args: &RemoveArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    let format = Format::of(args.json);
    let mut output = Output::stdout();
    let mut failed: Option<Failure> = None;
    for id in &args.ids {
        let removed = daemon.delete::<ProbeLine>(&format!("/v1/probes/{}", segment(id)));
        let written = match (removed, format) {
            (Ok(probe), Format::Text) => output.page(&print::probes::removed(&probe)),
            (Ok(probe), Format::Json) => output.json(json::line(&probe)),
            (Err(error), _) => {
                if let Some(before) = failed.replace(error.into()) {
                    before.tell(format);
                }
                continue;
            }
        };
        // Who does not read still wants them gone.
        if written.is_break() {
            tracing::debug!("not told: {id} is removed");
        }
    }
    output.finish()?;
    failed.map_or(Ok(SUCCESS), Err)
}

/// A name as a part of a path: what is no letter or digit is escaped.
pub(crate) fn segment(id: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.bytes().map(escaped).collect()
}
