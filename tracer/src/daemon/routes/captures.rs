//! `/v1/probes/{id}/captures`: the lines of a probe, from wherever a reader stopped.

use crate::api::probes::CapturesRequest;
use crate::api::stream::StreamLine;
use crate::api::types::ErrorLine;
use crate::daemon::Daemon;
use crate::daemon::answer::Refused;
use crate::daemon::asked::{AskedId, AskedQuery};
use crate::daemon::log::Cursor;
use crate::daemon::peer::Peer;
use crate::daemon::stream;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

/// The lines of a probe: what was placed, the captures behind `after`, and how it ended.
///
/// Captures are numbered from 1 by `seq`, without holes. A reader that was cut off goes on with
/// `after` = the last `seq` that it has. Captures that are no longer there are told as a line with
/// `gap`. A stream with `follow` that does not end with a `summary` or an `error` was cut off.
#[utoipa::path(get, path = "/v1/probes/{id}/captures",
    params(("id" = String, Path), CapturesRequest),
    responses(
        (status = OK, content_type = stream::NDJSON, body = StreamLine),
        (status = NOT_FOUND, body = ErrorLine),
    ))]
pub(super) async fn captures(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    AskedId(id): AskedId,
    AskedQuery(asked): AskedQuery<CapturesRequest>,
) -> Result<Response, Refused> {
    let probe = daemon.probes.get(peer, &id)?;
    if probe.ended_at().is_some() {
        // Its last line may be on its way still.
        probe.ended().await;
    }
    Ok(stream::response(probe, Cursor::behind(asked.after), asked.follow, None))
}
