//! All paths of the daemon, and the document that describes them.

mod captures;
mod orders;
mod probes;
mod questions;

use super::Daemon;
use super::answer::{Answer, Refused};
use super::asked::BODY_BYTES_MAX;
use crate::api::probes::Version;
use crate::api::refusal::{Refusal, RefusalKind};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri};
use std::sync::Arc;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The head of the document.
#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "tracer",
    version = "1",
    description = "What native programs do in production, while they run. Served on a Unix \
                   socket. Streams are JSON, one object a line; each line has a `schema`."
))]
struct Head;

/// The router of a daemon.
pub(super) fn router(daemon: Arc<Daemon>) -> Router {
    let (router, _) = table().split_for_parts();
    router
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(daemon)
}

/// The document, made from the handlers.
pub(super) fn document() -> OpenApi {
    table().into_openapi()
}

fn table() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(probes::create, probes::list))
        .routes(routes!(probes::get, probes::remove))
        .routes(routes!(captures::captures))
        .routes(routes!(orders::pause))
        .routes(routes!(orders::resume))
        .routes(routes!(orders::extend))
        .routes(routes!(orders::stop_all))
        .routes(routes!(questions::find))
        .routes(routes!(questions::vars))
        .routes(routes!(version))
        .routes(routes!(openapi))
}

/// Which program answers.
#[utoipa::path(get, path = "/v1/version", responses((status = OK, body = Version)))]
async fn version() -> Answer<Version> {
    Answer(Version { version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = OK, body = Object)))]
async fn openapi(State(_): State<Arc<Daemon>>) -> Answer<OpenApi> {
    Answer(document())
}

async fn no_path(uri: Uri) -> Refused {
    Refusal::new(RefusalKind::NoSuchPath, uri.path(), "").into()
}

async fn no_method(method: Method, uri: Uri) -> Refused {
    Refusal::new(RefusalKind::NoSuchMethod, format!("{method} {}", uri.path()), "").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A changed contract is a visible difference: run with `UPDATE=1` to write it down.
    #[test]
    fn the_document_is_the_one_that_was_agreed_on() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/openapi.json");
        let document = format!("{}\n", document().to_pretty_json().unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &document).unwrap();
        }
        let agreed = std::fs::read_to_string(path).unwrap();
        assert!(document == agreed, "{document}");
    }
}
