//! A probe's log as the body of a response: one line of JSON after the other.

use super::answer::line_of;
use super::log::{Cursor, Next};
use super::probe::{Bound, Probe};
use crate::api::probes;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;

/// How streams are called by those who know them.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// The lines of `probe` behind `cursor`; with `follow` until it has ended. The probe goes with
/// `bound` when the reader does.
pub(super) fn response(
    probe: Arc<Probe>,
    cursor: Cursor,
    follow: bool,
    bound: Option<Bound>,
) -> Response {
    let changes = probe.log.changes();
    let reader = (probe, cursor, changes, bound);
    let lines = stream::unfold(reader, move |mut reader| async move {
        loop {
            let (probe, cursor, changes, _) = &mut reader;
            // What comes between the look and the wait is seen by the wait.
            changes.mark_unchanged();
            let line = match probe.log.next(cursor) {
                Next::Line(line) => line,
                Next::Gap { from, to } => line_of(&probes::gap(&probe.id, from, to)),
                Next::End => return None,
                Next::Wait if !follow => return None,
                Next::Wait => match changes.changed().await {
                    Ok(()) => continue,
                    Err(_) => return None,
                },
            };
            return Some((Ok::<Bytes, Infallible>(line), reader));
        }
    });
    let headers = [(CONTENT_TYPE, NDJSON), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(lines)).into_response()
}
