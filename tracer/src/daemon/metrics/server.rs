//! HTTP over TCP for three paths. Whoever reaches the port may ask, so everything has a bound:
//! connections, their time, the bytes of a request.

use super::Metrics;
use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once; others wait until they are accepted.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take for the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last: one request, which may have to look at the machine first.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request that are held; the library's least.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// How long to wait when nothing can be accepted: there are no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";

/// Serves `metrics` at `listener` for as long as it is polled.
pub(in crate::daemon) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Nobody closes the semaphore.
    while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = Arc::clone(&metrics);
                tokio::spawn(async move {
                    serve_one(stream, metrics).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept connections for metrics");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves the one request of a connection.
async fn serve_one(stream: TcpStream, metrics: Arc<Metrics>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let metrics = Arc::clone(&metrics);
        async move { Ok::<_, Infallible>(metrics.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics broke"),
        Err(_) => tracing::debug!("a connection for metrics took too long"),
    }
}

impl Metrics {
    /// What is answered to whom ever asks.
    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/livez" | "/readyz") {
            return said(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n");
        }
        if request.method() != Method::GET {
            let refused = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")], "only GET\n");
            return refused.into_response();
        }
        match path {
            "/metrics" => match self.text() {
                Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
                Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/readyz" => match self.health.ready().await {
                Ok(()) => said(StatusCode::OK, "ready\n"),
                Err(why) => said(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            // Whoever reads this knows that the daemon's one thread works.
            _ => said(StatusCode::OK, "alive\n"),
        }
    }
}

fn said(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    (status, [(CONTENT_TYPE, TEXT)], text.into()).into_response()
}
