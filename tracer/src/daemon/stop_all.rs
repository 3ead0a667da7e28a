//! SIGUSR1: every probe of everyone out, with the proof in the log. It needs no connection, and
//! waits for no request.

use super::Daemon;
use super::peer::Peer;
use std::sync::Arc;
use tokio::signal::unix::Signal;

/// Obeys `order` for as long as it is polled.
pub(super) async fn obey(mut order: Signal, daemon: Arc<Daemon>) {
    while order.recv().await.is_some() {
        tracing::warn!("a signal asks for all probes to be taken out");
        let stopped = daemon.probes.stop_all(Peer::ROOT).await;
        for line in &stopped {
            let (id, pid, location, sites) = (&line.id, line.pid, &line.location, line.sites);
            let text = line.text.code();
            match line.text.is_clean() {
                true => tracing::warn!(id, pid, location, sites, text, "a probe is out"),
                false => {
                    tracing::error!(
                        id,
                        pid,
                        location,
                        sites,
                        text,
                        line.detail,
                        "a probe is not out"
                    );
                }
            }
        }
        let clean = stopped.iter().filter(|line| line.text.is_clean()).count();
        tracing::warn!(clean, all = stopped.len(), "all probes were to be taken out");
    }
}
