//! Who is at the other end of a connection, as the kernel says.

use tokio::net::UnixStream;
use tracer_core::model::caller::Caller;

/// A user of the daemon. The kernel noted them when the connection was made (SO_PEERCRED), so
/// nobody can claim to be another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    /// User id in the daemon's user namespace.
    pub(super) uid: u32,
    /// Group id, likewise.
    pub(super) gid: u32,
}

impl Peer {
    /// Who made a connection.
    pub(super) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self { uid: credentials.uid(), gid: credentials.gid() })
    }

    /// May see and do everything.
    pub(super) fn is_root(self) -> bool {
        self.uid == 0
    }

    /// May know of the probes of `owner`.
    pub(super) fn may_see(self, owner: Self) -> bool {
        self.is_root() || self.uid == owner.uid
    }

    /// As the engine calls them.
    pub(super) fn caller(self) -> Caller {
        match self.uid {
            0 => Caller::Root,
            uid => Caller::User { uid, gid: self.gid },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_sees_their_own_and_root_sees_all() {
        let [root, one, other] = [0, 1000, 1001].map(|uid| Peer { uid, gid: 100 });
        assert!(root.may_see(one) && one.may_see(one));
        assert!(!one.may_see(other) && !one.may_see(root), "a common group shares nothing");
        assert_eq!(root.caller(), Caller::Root);
        assert_eq!(one.caller(), Caller::User { uid: 1000, gid: 100 });
    }
}
