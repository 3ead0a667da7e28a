//! Why the engine could not do what was asked.

use crate::attach::error::AttachError;
use crate::model::issue::{Issue, IssueKind};
use std::io;

/// An issue of the request, or an error of our environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The request can't be served.
    #[error(transparent)]
    Issue(#[from] Issue),
    /// The kernel side could not be set up.
    #[error(transparent)]
    Attach(AttachError),
    /// Waiting for hits failed.
    #[error("waiting for hits failed")]
    Wait(#[source] io::Error),
}

impl From<AttachError> for EngineError {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Issue(issue) => Self::Issue(issue),
            AttachError::Kernel { what, source, .. } if is_permission(&source) => {
                Self::Issue(Issue::new(IssueKind::NoPermission, what, source.to_string()))
            }
            other => Self::Attach(other),
        }
    }
}

fn is_permission(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
