//! What is read of a request: small, complete and in time, or refused.

use super::answer::Refused;
use crate::api::json;
use crate::api::refusal::{Refusal, RefusalKind};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::time::Duration;

/// Bytes of a body.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The JSON of a body.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let refused =
            |kind, detail| Refused::from(Refusal::new(kind, "the request's body", detail));
        let body = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let body = body.map_err(|error| refused(RefusalKind::SlowRequest, error.to_string()))?;
        let body = body.map_err(|error| refused(kind(&error), error.body_text()))?;
        let asked =
            json::read(&body).map_err(|error| refused(RefusalKind::BadRequest, explain(&error)))?;
        Ok(Self(asked))
    }
}

fn explain(error: &dyn Error) -> String {
    error.source().unwrap_or(error).to_string()
}

fn kind(rejection: &BytesRejection) -> RefusalKind {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => RefusalKind::LargeRequest,
        _ => RefusalKind::BadRequest,
    }
}

/// The name of a probe in a path.
pub(super) struct AskedId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for AskedId {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let refused =
            |detail| Refused::from(Refusal::new(RefusalKind::BadRequest, "the path", detail));
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|error| refused(error.body_text()))
    }
}

/// The query of a path.
pub(super) struct AskedQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for AskedQuery<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let read = Query::try_from_uri(&parts.uri);
        let refused =
            |detail| Refused::from(Refusal::new(RefusalKind::BadRequest, "the query", detail));
        read.map(|Query(query)| Self(query)).map_err(|error| refused(error.body_text()))
    }
}
