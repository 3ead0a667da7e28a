//! `/v1/probes`: place, list, look at and remove.

use crate::api::probes::{ProbeLine, ProbeList, ProbeRequest};
use crate::api::stream::StreamLine;
use crate::api::types::ErrorLine;
use crate::daemon::Daemon;
use crate::daemon::answer::{Answer, Refused};
use crate::daemon::asked::{Asked, AskedId};
use crate::daemon::log::Cursor;
use crate::daemon::peer::Peer;
use crate::daemon::probe::Bound;
use crate::daemon::stream;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// Place a probe. The answer comes when its breakpoints are in place, or, with `exe`, when no process
/// runs the program yet: it is `pending` then.
///
/// With `detach` it is the probe, which lives until it has what it wants, expires, is removed, or
/// its process or the daemon ends. Without, it is the stream of its lines, and the probe ends with
/// the connection too.
#[utoipa::path(post, path = "/v1/probes", request_body = ProbeRequest, responses(
    (status = OK, description = "The stream, without `detach`", content_type = stream::NDJSON,
        body = StreamLine),
    (status = CREATED, description = "The probe, with `detach`", body = ProbeLine),
    (status = "4XX", description = "What can't be served", body = ErrorLine),
    (status = "5XX", description = "What went wrong", body = ErrorLine),
))]
pub(super) async fn create(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    Asked(request): Asked<ProbeRequest>,
) -> Result<Response, Refused> {
    let detach = request.detach;
    let probe = daemon.probes.place(peer, request)?;
    let path = format!("/v1/probes/{}", probe.id);
    // A client that goes before it has the answer does not know that there is a probe.
    let bound = Bound::to(&probe);
    probe.armed().await?;
    let mut response = if detach {
        bound.release();
        (StatusCode::CREATED, Answer(probe.line(&daemon.engine))).into_response()
    } else {
        stream::response(probe, Cursor::behind(0), true, Some(bound))
    };
    if let Ok(path) = path.parse() {
        response.headers_mut().insert(LOCATION, path);
    }
    Ok(response)
}

/// All probes that the caller may know of: their own; all, if they are root.
#[utoipa::path(get, path = "/v1/probes", responses((status = OK, body = ProbeList)))]
pub(super) async fn list(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
) -> Answer<ProbeList> {
    Answer(ProbeList { probes: daemon.probes.list(peer) })
}

/// One probe.
#[utoipa::path(get, path = "/v1/probes/{id}", params(("id" = String, Path)), responses(
    (status = OK, body = ProbeLine),
    (status = NOT_FOUND, body = ErrorLine),
))]
pub(super) async fn get(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    AskedId(id): AskedId,
) -> Result<Answer<ProbeLine>, Refused> {
    Ok(Answer(daemon.probes.get(peer, &id)?.line(&daemon.engine)))
}

/// Remove a probe. The answer comes when its breakpoints are out; one that has ended stays so.
#[utoipa::path(delete, path = "/v1/probes/{id}", params(("id" = String, Path)), responses(
    (status = OK, body = ProbeLine),
    (status = NOT_FOUND, body = ErrorLine),
))]
pub(super) async fn remove(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    AskedId(id): AskedId,
) -> Result<Answer<ProbeLine>, Refused> {
    let probe = daemon.probes.get(peer, &id)?;
    probe.stop();
    probe.ended().await;
    Ok(Answer(probe.line(&daemon.engine)))
}
