//! Who does the work: a daemon if there is one, else this process.

use super::ReachArgs;
use super::failure::Failure;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::client::Daemon;

/// The daemon that is to do the work; `None` if this process is.
///
/// # Errors
///
/// There is a daemon, but not for us. As root we can do without; others are told, for what they
/// may do with it and without it differs.
pub(crate) fn daemon(reach: &ReachArgs) -> Result<Option<Daemon>, Failure> {
    if reach.no_daemon || std::env::var_os("TRACER_DAEMON").is_some_and(|value| value == "off") {
        return Ok(None);
    }
    match Daemon::at(&reach.socket) {
        Err(error)
            if error.code == RefusalKind::NotAllowed.code()
                && rustix::process::geteuid().is_root() =>
        {
            Ok(None)
        }
        other => Ok(other?),
    }
}

/// The daemon, where only it can do what is asked.
///
/// # Errors
///
/// There is none, or not for us.
pub(crate) fn required(reach: &ReachArgs) -> Result<Daemon, Failure> {
    let none = || {
        let subject = reach.socket.display().to_string();
        Failure::from(Refusal::new(RefusalKind::NoDaemon, subject, ""))
    };
    daemon(reach)?.ok_or_else(none)
}
