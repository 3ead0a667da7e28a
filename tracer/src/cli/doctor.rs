//! `tracer doctor`: what this machine has and lacks.

use super::DoctorArgs;
use super::failure::{Failure, OWN_ERROR, SUCCESS};
use super::output::{Format, Output};
use super::print;
use crate::api::{convert, json};
use std::ops::ControlFlow;
use tracer_core::engine::findings::CheckStatus;

/// Shows all checks; gives the exit code: [`OWN_ERROR`] if one failed.
///
/// # Errors
/// That the result could not be written.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let checks = tracer_core::engine::doctor();
    let mut output = Output::stdout();
    for line in checks.iter().map(convert::check) {
        let written = match Format::of(args.json) {
            Format::Text => output.page(&print::lists::check(&line)),
            Format::Json => output.json(json::line(&line)),
        };
        if let ControlFlow::Break(()) = written {
            break;
        }
    }
    output.finish()?;
    let failed = checks.iter().any(|check| check.status == CheckStatus::Fail);
    Ok(if failed { OWN_ERROR } else { SUCCESS })
}
