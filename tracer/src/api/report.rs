//! Why the engine could not, as it is told outside.

use super::types::Error;
use tracer_core::engine::error::EngineError;

/// Exit code of an error of our own or of this machine.
pub const OWN_ERROR: u8 = 1;

/// The facts of an engine's error.
pub fn error(error: &EngineError) -> Box<Error> {
    Box::new(match error {
        EngineError::Issue(issue) => Error {
            code: issue.kind.code().into(),
            exit_code: issue.kind.exit_code(),
            subject: issue.subject.clone(),
            text: issue.kind.text().to_owned(),
            detail: issue.detail.clone(),
            remedy: issue.kind.remedy().to_owned(),
            candidates: issue.candidates.clone(),
        },
        error => {
            own("environment", "tracer", error, "run `tracer doctor`; it names what is missing")
        }
    })
}

/// An error of our own: it and all that is behind it.
pub fn own(
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
