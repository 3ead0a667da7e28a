//! Why the engine could not do what was asked.

use crate::attach::error::AttachError;
use crate::attach::support;
use crate::model::issue::{Issue, IssueKind};
use std::io;
use std::path::PathBuf;

/// An issue of the request, or an error of our environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The request can't be served.
    #[error(transparent)]
    Issue(Issue),
    /// The kernel side could not be set up.
    #[error(transparent)]
    Attach(AttachError),
    /// The process that reads files could not be started.
    #[error("no process to read files could be started from {}", program.display())]
    Parser {
        /// The tracer program.
        program: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The process that reads files has died before it was asked.
    #[error("the process that reads files has died")]
    ParserGone(#[source] io::Error),
    /// Waiting for hits failed.
    #[error("waiting for hits failed")]
    Wait(#[source] io::Error),
}

impl From<Issue> for EngineError {
    fn from(mut issue: Issue) -> Self {
        if issue.kind == IssueKind::NoPermission {
            name_what_is_missing(&mut issue.detail);
        }
        Self::Issue(issue)
    }
}

impl From<AttachError> for EngineError {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Issue(issue) => issue.into(),
            AttachError::Kernel { what, source, .. } if is_permission(&source) => {
                Issue::new(IssueKind::NoPermission, what, source.to_string()).into()
            }
            other => Self::Attach(other),
        }
    }
}

/// The kernel says only that it refuses; what this process lacks is the likely reason.
fn name_what_is_missing(detail: &mut String) {
    for (name, what) in support::missing_capabilities().unwrap_or_default() {
        let separator = if detail.is_empty() { "" } else { "; " };
        detail.push_str(&format!("{separator}{name} is missing: {what}"));
    }
}

fn is_permission(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
