//! Connections: accepted while there is room, served one task each, ended with the daemon.

use super::answer::line_of;
use super::peer::Peer;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::types::{Error, ErrorLine};
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at once.
const CONNECTIONS_MAX: usize = 128;
/// Of users who are not root: root always gets in, if only to remove a probe.
const CONNECTIONS_OF_USERS_MAX: usize = 96;
/// Of one user who is not root.
const CONNECTIONS_OF_USER_MAX: usize = 32;
/// How long a client may take for the head of a request, and for the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when nothing can be accepted: there are no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    /// Tells all that the daemon stops.
    stopping: watch::Sender<()>,
}

impl Connections {
    /// Serves `router` at `listener` until `stop`; what is open then is open still.
    pub(super) async fn serve(
        listener: UnixListener,
        router: Router,
        stop: impl Future<Output = ()>,
    ) -> Self {
        let mut connections = Self { tasks: JoinSet::new(), stopping: watch::Sender::new(()) };
        let seats = Seats::default();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return connections,
                Some(ended) = connections.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task died");
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => connections.admit(stream, &router, &seats),
                    Err(error) => {
                        tracing::warn!(%error, "can't accept connections");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// Lets requests that are served finish, and ends all other connections.
    pub(super) async fn finish(mut self) {
        self.stopping.send_replace(());
        while self.tasks.join_next().await.is_some() {}
    }

    fn admit(&mut self, stream: UnixStream, router: &Router, seats: &Seats) {
        let peer = match Peer::of(&stream) {
            Ok(peer) => peer,
            Err(error) => return tracing::warn!(%error, "a connection of nobody"),
        };
        match seats.take(peer) {
            Ok(seat) => {
                let stopping = self.stopping.subscribe();
                self.tasks.spawn(serve_one(stream, peer, router.clone(), seat, stopping));
            }
            Err(refusal) => refuse(&stream, refusal),
        }
    }
}

/// Serves the requests of one connection, one after the other.
async fn serve_one(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    seat: Seat,
    mut stopping: watch::Receiver<()>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        // It changes once, or its sender goes: the daemon stops.
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, uid = peer.uid, "a connection broke");
    }
    drop(seat);
}

/// Says no without serving: there is no room for that.
fn refuse(stream: &UnixStream, refusal: Refusal) {
    tracing::warn!(detail = refusal.detail, "a connection is refused");
    let line = line_of(&ErrorLine::from(Error::from(refusal)));
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        line.len()
    );
    // What a new connection's buffer does not take is not said.
    let _said = stream.try_write(&[head.as_bytes(), &line].concat());
}

/// Who has how many connections.
#[derive(Clone, Default, Debug)]
struct Seats(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection's place, given back when dropped.
#[derive(Debug)]
struct Seat {
    seats: Seats,
    uid: u32,
}

impl Seats {
    fn take(&self, peer: Peer) -> Result<Seat, Refusal> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&peer.uid).copied().unwrap_or(0);
        let all: usize = taken.values().sum();
        let users = all - taken.get(&0).copied().unwrap_or(0);
        let full = |detail| Err(Refusal::new(RefusalKind::Busy, "a connection", detail));
        if all >= CONNECTIONS_MAX {
            return full(format!("{CONNECTIONS_MAX} are open"));
        }
        if !peer.is_root() && users >= CONNECTIONS_OF_USERS_MAX {
            return full(format!("{CONNECTIONS_OF_USERS_MAX} of users are open"));
        }
        if !peer.is_root() && own >= CONNECTIONS_OF_USER_MAX {
            return full(format!("{CONNECTIONS_OF_USER_MAX} of user {} are open", peer.uid));
        }
        *taken.entry(peer.uid).or_default() += 1;
        Ok(Seat { seats: self.clone(), uid: peer.uid })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_can_not_keep_each_other_or_root_out() {
        let seats = Seats::default();
        let take = |uid, count| -> Vec<Seat> {
            (0..count)
                .map_while(|_| seats.take(Peer { uid, gid: 0, other_pids: false }).ok())
                .collect()
        };
        let first = take(1000, 1000);
        assert_eq!(first.len(), CONNECTIONS_OF_USER_MAX);
        let others: Vec<Seat> = (1001..1010).flat_map(|uid| take(uid, 1000)).collect();
        assert_eq!(first.len() + others.len(), CONNECTIONS_OF_USERS_MAX);
        let root = take(0, 1000);
        assert_eq!(root.len(), CONNECTIONS_MAX - CONNECTIONS_OF_USERS_MAX);
        drop((first, others, root));
        assert!(seats.0.lock().unwrap().is_empty(), "places are given back");
    }
}
