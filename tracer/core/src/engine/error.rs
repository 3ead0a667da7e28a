//! Why the engine could not do what was asked.

use crate::model::issue::Issue;

/// An issue of the request, or an error of our environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The request can't be served.
    #[error(transparent)]
    Issue(#[from] Issue),
}
