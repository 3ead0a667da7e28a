//! What is ordered of probes that live: a pause, its end, more time; and the end of all.

use crate::api::probes::{ExtendRequest, ProbeLine, StopList};
use crate::api::types::ErrorLine;
use crate::daemon::Daemon;
use crate::daemon::answer::{Answer, Refused};
use crate::daemon::asked::{Asked, AskedId};
use crate::daemon::peer::Peer;
use axum::Extension;
use axum::extract::State;
use std::sync::Arc;
use std::time::Duration;
use tracer_core::engine::control::Order;

/// Take the breakpoints of a probe out for a while. It costs the target nothing then, and keeps
/// all else: its counts, its captures, its name, and the time at which it expires. The answer comes
/// when they are out; `text_restored` tells how the code was found.
#[utoipa::path(post, path = "/v1/probes/{id}/pause", params(("id" = String, Path)), responses(
    (status = OK, body = ProbeLine),
    (status = NOT_FOUND, body = ErrorLine),
    (status = CONFLICT, body = ErrorLine),
))]
pub(super) async fn pause(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    AskedId(id): AskedId,
) -> Result<Answer<ProbeLine>, Refused> {
    let probe = daemon.probes.get(peer, &id)?;
    probe.order(Order::Pause).await?;
    Ok(Answer(probe.line(&daemon.engine)))
}

/// Place the breakpoints of a paused probe again, after all checks that a new one gets. If they
/// can't be, it stays paused. The answer comes when they are in place.
#[utoipa::path(post, path = "/v1/probes/{id}/resume", params(("id" = String, Path)), responses(
    (status = OK, body = ProbeLine),
    (status = "4XX", body = ErrorLine),
))]
pub(super) async fn resume(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    AskedId(id): AskedId,
) -> Result<Answer<ProbeLine>, Refused> {
    let probe = daemon.probes.get(peer, &id)?;
    probe.order(Order::Resume).await?;
    Ok(Answer(probe.line(&daemon.engine)))
}

/// Let a probe live longer, at most until a day from now.
#[utoipa::path(post, path = "/v1/probes/{id}/extend", params(("id" = String, Path)),
    request_body = ExtendRequest, responses(
    (status = OK, body = ProbeLine),
    (status = "4XX", body = ErrorLine),
))]
pub(super) async fn extend(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    AskedId(id): AskedId,
    Asked(asked): Asked<ExtendRequest>,
) -> Result<Answer<ProbeLine>, Refused> {
    let probe = daemon.probes.get(peer, &id)?;
    probe.extend(Duration::from_millis(asked.by_ms)).await?;
    Ok(Answer(probe.line(&daemon.engine)))
}

/// Take out all probes that the caller may know of. For each the code of its target is read where
/// the breakpoints were, and compared with what it was before.
#[utoipa::path(post, path = "/v1/stop-all", responses((status = OK, body = StopList)))]
pub(super) async fn stop_all(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
) -> Answer<StopList> {
    tracing::warn!(uid = peer.uid, "all probes are to be taken out");
    Answer(StopList { stopped: daemon.probes.stop_all(peer).await })
}
