//! Who is at the other end of a connection, as the kernel says.

use crate::api::report;
use crate::api::types::Error;
use std::fs::read_link;
use tokio::net::UnixStream;
use tracer_core::model::caller::Caller;
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_core::model::process::ProcessSpec;

/// A user of the daemon. The kernel noted them when the connection was made (SO_PEERCRED), so
/// nobody can claim to be another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    /// User id in the daemon's user namespace.
    pub(super) uid: u32,
    /// Group id, likewise.
    pub(super) gid: u32,
    /// They count processes in another way than we: a pid of theirs is not ours.
    pub(super) other_pids: bool,
}

impl Peer {
    /// Who may see and do everything.
    pub(super) const ROOT: Self = Self { uid: 0, gid: 0, other_pids: false };

    /// Who made a connection.
    pub(super) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let other_pids = has_other_pids(credentials.pid());
        Ok(Self { uid: credentials.uid(), gid: credentials.gid(), other_pids })
    }

    /// May see and do everything.
    pub(super) fn is_root(self) -> bool {
        self.uid == 0
    }

    /// May know of the probes of `owner`.
    pub(super) fn may_see(self, owner: Self) -> bool {
        self.is_root() || self.uid == owner.uid
    }

    /// As the engine calls who asks for a process.
    ///
    /// # Errors
    ///
    /// They mean another process than we would.
    pub(super) fn caller(self, process: &ProcessSpec) -> Result<Caller, Box<Error>> {
        if self.other_pids {
            let detail = "the one who asks counts processes in a namespace of its own";
            let issue = Issue::new(IssueKind::PidNamespace, process.to_string(), detail);
            return Err(report::error(&issue.into()));
        }
        Ok(match self.uid {
            0 => Caller::Root,
            uid => Caller::User { uid, gid: self.gid },
        })
    }
}

/// Whether a process may live in another pid namespace than we. It has none that we can see if its
/// number is 0. One that has ended may have left its connection to others, so it tells nothing.
fn has_other_pids(pid: Option<i32>) -> bool {
    let namespace = |process: &str| read_link(format!("/proc/{process}/ns/pid"));
    match pid {
        None | Some(0) => true,
        Some(pid) => match (namespace(&pid.to_string()), namespace("self")) {
            (Ok(theirs), Ok(ours)) => theirs != ours,
            (theirs, ours) => {
                tracing::debug!(?theirs, ?ours, pid, "pid namespaces can't be compared");
                true
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its connection may live on in a process of another namespace (a child, or whoever it was
    /// sent to), for which the pid says nothing.
    #[test]
    fn who_has_ended_before_we_looked_counts_processes_in_an_unknown_way() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(has_other_pids(Some(pid)));
        assert!(has_other_pids(None) && has_other_pids(Some(0)));
        assert!(!has_other_pids(i32::try_from(std::process::id()).ok()));
    }

    #[test]
    fn everyone_sees_their_own_and_root_sees_all() {
        let peer = |uid| Peer { uid, gid: 100, other_pids: false };
        let [root, one, other] = [0, 1000, 1001].map(peer);
        assert!(root.may_see(one) && one.may_see(one));
        assert!(!one.may_see(other) && !one.may_see(root), "a common group shares nothing");
        let caller = |peer: Peer| peer.caller(&ProcessSpec::Pid(1)).map_err(|error| error.code);
        assert_eq!(caller(root), Ok(Caller::Root));
        assert_eq!(caller(one), Ok(Caller::User { uid: 1000, gid: 100 }));
        let elsewhere = Peer { other_pids: true, ..root };
        assert_eq!(caller(elsewhere), Err("pid_namespace".into()));
    }
}
