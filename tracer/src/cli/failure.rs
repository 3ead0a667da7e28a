//! Why a command did not do what was asked, and what the process exits with.

use super::output::Format;
use super::print;
use crate::api::json;
use crate::api::types::{ERROR, Error, ErrorLine};
use std::io;
use tracer_core::engine::error::EngineError;
use tracer_core::model::issue::Issue;

/// Exit code of success.
pub(crate) const SUCCESS: u8 = 0;
/// Exit code of an error of our own or of this machine, and of a `doctor` that found one.
pub(crate) const OWN_ERROR: u8 = 1;
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

impl From<Issue> for Failure {
    fn from(issue: Issue) -> Self {
        Self::Engine(issue.into())
    }
}

impl Failure {
    /// The facts, ready to be shown.
    pub(crate) fn report(&self) -> Error {
        match self {
            Self::Engine(EngineError::Issue(issue)) => Error {
                code: issue.kind.code().into(),
                exit_code: issue.kind.exit_code(),
                subject: issue.subject.clone(),
                text: issue.kind.text().to_owned(),
                detail: issue.detail.clone(),
                remedy: issue.kind.remedy().to_owned(),
                candidates: issue.candidates.clone(),
            },
            Self::Engine(error) => {
                own("environment", "tracer", error, "run `tracer doctor`; it names what is missing")
            }
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

/// An error of our own: it and all that is behind it.
fn own(
    code: &'static str,
    subject: &str,
    error: &dyn std::error::Error,
    remedy: &'static str,
) -> Error {
    let behind: Vec<String> = std::iter::successors(error.source(), |error| error.source())
        .map(ToString::to_string)
        .collect();
    Error {
        code: code.into(),
        exit_code: OWN_ERROR,
        subject: subject.to_owned(),
        text: error.to_string(),
        detail: behind.join(": "),
        remedy: remedy.to_owned(),
        candidates: Vec::new(),
    }
}
