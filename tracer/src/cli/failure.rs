//! Why a command did not do what was asked, and what the process exits with.

use super::output::Format;
use super::print;
use crate::api::json;
use crate::api::refusal::Refusal;
use crate::api::report::{self, own};
use crate::api::types::{ERROR, Error, ErrorLine};
use std::io;
use tracer_core::engine::error::EngineError;
use tracer_core::model::issue::Issue;

/// Also of a `doctor` that found one.
pub(crate) use crate::api::report::OWN_ERROR;

/// Exit code of success.
pub(crate) const SUCCESS: u8 = 0;
/// Exit code of wrong usage; clap's.
pub(crate) const USAGE: u8 = 2;
/// Exit codes of signals lie above this, as shells have it.
pub(crate) const SIGNAL_BASE: u8 = 128;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine could not.
    Engine(EngineError),
    /// Results could not be written.
    Output(io::Error),
    /// What was asked for could not be done, by those who were asked.
    Told(Box<ErrorLine>),
    /// The results ended without saying how it went.
    Cut,
    /// Signals could not be taken over: without them a probe could outlive us.
    Signals(io::Error),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Box<Error>> for Failure {
    fn from(error: Box<Error>) -> Self {
        Self::Told(Box::new((*error).into()))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Box::<Error>::from(refusal).into()
    }
}

impl From<Issue> for Failure {
    fn from(issue: Issue) -> Self {
        Self::Engine(issue.into())
    }
}

impl Failure {
    /// The facts, ready to be shown.
    pub(crate) fn report(&self) -> Error {
        match self {
            Self::Engine(error) => *report::error(error),
            Self::Output(error) => own(
                "output",
                "standard output",
                error,
                "the probe is out; check space and permissions of where the output goes",
            ),
            Self::Told(line) => line.error.clone(),
            Self::Cut => Error {
                code: "cut".into(),
                exit_code: OWN_ERROR,
                subject: "tracer".to_owned(),
                text: "the results ended without saying how it went".to_owned(),
                detail: String::new(),
                remedy: "what was shown is right; try again for more".to_owned(),
                candidates: Vec::new(),
            },
            Self::Signals(error) => own("signals", "signal handling", error, "nothing was probed"),
        }
    }

    /// Tells it on stderr, in the form that was asked for, and gives the exit code.
    pub(crate) fn tell(&self, format: Format) -> u8 {
        let error = self.report();
        let exit_code = error.exit_code;
        match format {
            Format::Text => print::to_stderr(&print::error::error(&error)),
            Format::Json => {
                print::json_to_stderr(json::line(&ErrorLine { schema: ERROR.into(), error }))
            }
        }
        exit_code
    }
}
