//! What goes back: JSON that is safe to look at, and errors with a status for programs that know
//! only HTTP and the facts for all others.

use crate::api::json;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::types::{Error, ErrorLine};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracer_core::model::issue::IssueKind;

const JSON: &str = "application/json";

/// One line of JSON. One that could not be written is empty: our types always can be.
pub(super) fn line_of(value: &impl Serialize) -> Bytes {
    let line = json::line(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a line could not be written");
        Vec::new()
    });
    line.into()
}

/// The answer to a question: one line of JSON.
#[derive(Debug)]
pub(super) struct Answer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, JSON)], line_of(&self.0)).into_response()
    }
}

/// What a handler gives that does not do what it was asked.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Box<Error>);

impl From<Box<Error>> for Refused {
    fn from(error: Box<Error>) -> Self {
        Self(error)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = status(&self.0);
        let line = line_of(&ErrorLine::from(*self.0));
        (status, [(CONTENT_TYPE, JSON)], line).into_response()
    }
}

/// The status that says most of an error.
fn status(error: &Error) -> StatusCode {
    let refusal = RefusalKind::ALL.iter().find(|kind| kind.code() == error.code);
    if let Some(kind) = refusal {
        return StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
    match IssueKind::ALL.iter().find(|kind| kind.code() == error.code) {
        None => StatusCode::INTERNAL_SERVER_ERROR,
        Some(IssueKind::BadLocation) => StatusCode::BAD_REQUEST,
        Some(IssueKind::NoPermission) => StatusCode::FORBIDDEN,
        Some(IssueKind::NoProcess | IssueKind::NoFunction | IssueKind::NoLine) => {
            StatusCode::NOT_FOUND
        }
        Some(IssueKind::AlreadyProbed | IssueKind::BeingDebugged | IssueKind::StillPending) => {
            StatusCode::CONFLICT
        }
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_refusal_has_its_own_code_and_a_status_of_an_error() {
        let codes: HashSet<_> = RefusalKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), RefusalKind::ALL.len());
        for kind in RefusalKind::ALL {
            let status = status(&Refusal::new(*kind, "", "").into());
            assert!(status.is_client_error() || status.is_server_error(), "{kind:?}");
            assert!(IssueKind::ALL.iter().all(|issue| issue.code() != kind.code()), "{kind:?}");
        }
    }
}
