//! The door for programs: HTTP and JSON on a Unix socket, for all who share a machine.
//!
//! One thread serves all connections; each probe and each long question has a thread of its own,
//! so that no client waits for another. While nothing is asked nothing runs.

mod answer;
mod asked;
mod connections;
mod log;
mod metrics;
mod peer;
mod probe;
mod probes;
mod routes;
mod socket;
mod stop_all;
mod stream;
mod work;

use crate::api::report;
use crate::api::types::Error;
use crate::debuginfod::servers;
use connections::Connections;
use metrics::Metrics;
use probes::Probes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use socket::Socket;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tracer_core::engine::Engine;
use tracer_core::engine::options::Options;
use work::Work;

/// How long probes may take to go when the daemon stops; the kernel takes out what is left.
const PROBES_PATIENCE: Duration = Duration::from_secs(20);
/// How long clients may take to read the end.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(3);

/// How a daemon is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where it listens.
    pub socket: PathBuf,
    /// The group that may connect, by name or number; `None` for root only.
    pub group: Option<String>,
    /// Where metrics are served; `None` for nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How its engine works.
    pub options: Options,
}

/// What the handlers share.
#[derive(Debug)]
struct Daemon {
    engine: Arc<Engine>,
    probes: Probes,
    work: Work,
}

/// Runs a daemon until it is told to stop by a signal.
///
/// # Errors
///
/// Why it could not start. No breakpoint is in place when this returns.
pub fn run(config: &Config) -> Result<(), Box<Error>> {
    let own = |error: io::Error| {
        report::own(
            "environment",
            "the daemon",
            &error,
            "see `journalctl -k` and the limits of \
                    files and threads of the service",
        )
    };
    raise_file_limit();
    let metrics = config.metrics_listen.map(listen_for_metrics).transpose()?;
    let (socket, listener) = Socket::listen(&config.socket, config.group.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(own)?.block_on(serve(config, listener, metrics)).map_err(own)?;
    drop(socket);
    Ok(())
}

fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, Box<Error>> {
    let listening = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listening.map_err(|error| {
        let subject = format!("--metrics-listen {address}");
        report::own("environment", &subject, &error, "choose another address, or `off`").into()
    })
}

async fn serve(
    config: &Config,
    listener: std::os::unix::net::UnixListener,
    metrics: Option<TcpListener>,
) -> io::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    };
    let all_out = signal(SignalKind::user_defined1())?;
    let listener = UnixListener::from_std(listener)?;
    let engine = Arc::new(Engine::with_servers(config.options.clone(), servers()));
    if let Err(error) = engine.load() {
        tracing::warn!(%error, "no probe can be placed; `tracer doctor` and /readyz tell why");
    }
    let probes = Probes::new(Arc::clone(&engine));
    let daemon = Arc::new(Daemon { engine, probes, work: Work::default() });
    tokio::spawn(stop_all::obey(all_out, Arc::clone(&daemon)));
    let tidying = Arc::clone(&daemon);
    tokio::spawn(async move { tidying.probes.forget_in_time().await });
    if let Some(listener) = metrics {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let asked = Arc::clone(&daemon);
        let metrics = Metrics::new(move || (asked.engine.readings(), asked.probes.readings()));
        tracing::info!(address = %listener.local_addr()?, "metrics are served");
        tokio::spawn(metrics::serve(listener, Arc::new(metrics)));
    }
    tell_manager(NotifyState::Ready);
    tracing::info!(socket = %config.socket.display(), "the daemon listens");
    let connections = Connections::serve(listener, routes::router(Arc::clone(&daemon)), stop).await;
    tell_manager(NotifyState::Stopping);
    tracing::info!("the daemon stops");
    if tokio::time::timeout(PROBES_PATIENCE, daemon.probes.end_all()).await.is_err() {
        tracing::error!("probes did not end in time; the kernel takes them out");
    }
    if tokio::time::timeout(CLIENTS_PATIENCE, connections.finish()).await.is_err() {
        tracing::warn!("a client did not read to the end");
    }
    Ok(())
}

/// Tells the service manager, if there is one, how the daemon stands.
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

/// A probe has some ten files open, and the usual limit is 1024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays");
    }
}
