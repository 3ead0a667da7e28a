//! `/v1/find` and `/v1/vars`: what can be probed, and what could be seen there.

use crate::api::probes::{FindRequest, FoundList, VarsRequest};
use crate::api::types::ErrorLine;
use crate::api::vars::{self, VarsLine};
use crate::api::{convert, report};
use crate::daemon::Daemon;
use crate::daemon::answer::{Answer, Refused};
use crate::daemon::asked::Asked;
use crate::daemon::peer::Peer;
use axum::Extension;
use axum::extract::State;
use std::sync::Arc;
use tracer_core::engine;
use tracer_core::engine::error::EngineError;
use tracer_core::model::process::ProcessSpec;

/// Find functions of a process by a part of their name.
#[utoipa::path(post, path = "/v1/find", request_body = FindRequest, responses(
    (status = OK, body = FoundList),
    (status = "4XX", body = ErrorLine),
))]
pub(super) async fn find(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    Asked(asked): Asked<FindRequest>,
) -> Result<Answer<FoundList>, Refused> {
    let (engine, caller) = (Arc::clone(&daemon.engine), peer.caller(&ProcessSpec::Pid(asked.pid))?);
    let question = move || {
        let found = engine.find(caller, asked.pid, &asked.pattern);
        let found = found.map_err(|error| report::error(&error))?;
        Ok(FoundList { found: found.iter().map(convert::found).collect() })
    };
    Ok(Answer(daemon.work.ask(peer, question).await?))
}

/// Show every site of a location with every variable: where it is, or why not and where instead.
#[utoipa::path(post, path = "/v1/vars", request_body = VarsRequest, responses(
    (status = OK, body = VarsLine),
    (status = "4XX", body = ErrorLine),
))]
pub(super) async fn vars(
    State(daemon): State<Arc<Daemon>>,
    Extension(peer): Extension<Peer>,
    Asked(asked): Asked<VarsRequest>,
) -> Result<Answer<VarsLine>, Refused> {
    let (engine, caller) = (Arc::clone(&daemon.engine), peer.caller(&ProcessSpec::Pid(asked.pid))?);
    let question = move || {
        let location = engine::parse_location(&asked.location).map_err(EngineError::from);
        let vars = location
            .and_then(|location| engine.vars(caller, asked.pid, &location, &asked.location));
        vars.map(|vars| vars::line(&vars)).map_err(|error| report::error(&error))
    };
    Ok(Answer(daemon.work.ask(peer, question).await?))
}
