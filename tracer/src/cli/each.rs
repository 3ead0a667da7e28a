//! The same request for each probe that is named.

use super::failure::{Failure, SUCCESS};
use super::output::{Format, Output};
use super::print::line::Page;
use crate::api::json;
use crate::api::probes::ProbeLine;
use crate::api::types::Error;

/// Asks for all of `ids`, whatever becomes of the others, and shows the probes; gives the exit
/// code.
///
/// # Errors
/// The last thing that went wrong; those before it are told at once.
pub(crate) fn each(
    ids: &[String],
    format: Format,
    ask: impl Fn(&str) -> Result<ProbeLine, Box<Error>>,
    page: impl Fn(&ProbeLine) -> Page,
) -> Result<u8, Failure> {
    let mut output = Output::stdout();
    let mut failed: Option<Failure> = None;
    for id in ids {
        let written = match (ask(&path(id)), format) {
            (Ok(probe), Format::Text) => output.page(&page(&probe)),
            (Ok(probe), Format::Json) => output.json(json::line(&probe)),
            (Err(error), _) => {
                if let Some(before) = failed.replace(error.into()) {
                    before.tell(format);
                }
                continue;
            }
        };
        // Who does not read still wants it done.
        if written.is_break() {
            tracing::debug!("not told: {id} is done");
        }
    }
    output.finish()?;
    failed.map_or(Ok(SUCCESS), Err)
}

/// The path of a probe. In its name what is no letter or digit is escaped.
pub(crate) fn path(id: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    format!("/v1/probes/{}", id.bytes().map(escaped).collect::<String>())
}
