//! Whether a caller may see into a process: the kernel asks nobody who traces by uprobes, so we do.

use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use std::os::unix::fs::MetadataExt;

/// Fails unless `caller` may trace the process as it is now, by the rules of ptrace(2) for callers
/// without privileges ("Ptrace access mode checking"): all its user and group ids are theirs, it
/// has no capabilities, and it is dumpable. The kernel program asks the same at every hit.
///
/// # Errors
///
/// [`IssueKind::NotYours`] with the rule, [`IssueKind::NoProcess`].
pub fn check(caller: Caller, pid: u32) -> Result<(), Issue> {
    let Caller::User { uid, gid } = caller else { return Ok(()) };
    let gone = |_| Issue::new(IssueKind::NoProcess, pid.to_string(), "");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(gone)?;
    // Its files belong to root, not to its user, while it is not dumpable (proc(5)).
    let owner = std::fs::metadata(format!("/proc/{pid}/maps")).map_err(gone)?.uid();
    match refusal(uid, gid, &status, owner) {
        None => Ok(()),
        Some(detail) => Err(Issue::new(IssueKind::NotYours, pid.to_string(), detail)),
    }
}

/// The rule that forbids it. What is not understood is forbidden.
fn refusal(uid: u32, gid: u32, status: &str, owner: u32) -> Option<String> {
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    let all_are = |key, own: u32| {
        let mut ids = value(key).unwrap_or_default().split_ascii_whitespace().peekable();
        ids.peek().is_some() && ids.all(|id| id.parse() == Ok(own))
    };
    let shown = |key| value(key).unwrap_or(" unknown").split_ascii_whitespace().next();
    if !all_are("Uid:", uid) {
        let theirs = shown("Uid:").unwrap_or_default();
        return Some(match theirs.parse() == Ok(uid) {
            true => "it runs a setuid program".to_owned(),
            false => format!("it runs as user {theirs}, you are user {uid}"),
        });
    }
    if !all_are("Gid:", gid) {
        let theirs = shown("Gid:").unwrap_or_default();
        return Some(match theirs.parse() == Ok(gid) {
            true => "it runs a setgid program".to_owned(),
            false => format!("it runs as group {theirs}, you are of group {gid}"),
        });
    }
    let permitted = value("CapPrm:").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    if permitted != Some(0) {
        return Some("it has capabilities".to_owned());
    }
    (owner != uid).then(|| "it is not dumpable (prctl PR_SET_DUMPABLE)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: [&str; 3], owner: u32, expected: Option<&str>) {
        let [uids, gids, permitted] = ids;
        let status = format!("Name:\tx\nUid:\t{uids}\nGid:\t{gids}\nCapPrm:\t{permitted}\n");
        assert_eq!(refusal(1000, 100, &status, owner).as_deref(), expected, "{status}");
    }

    #[test]
    fn only_what_is_wholly_theirs() {
        let (uids, gids, none) = ("1000 1000 1000 1000", "100 100 100 100", "0000000000000000");
        check([uids, gids, none], 1000, None);
        check(["0 0 0 0", "0 0 0 0", none], 0, Some("it runs as user 0, you are user 1000"));
        check(["1000 0 0 0", gids, none], 0, Some("it runs a setuid program"));
        check(["1000 1000 0 1000", gids, none], 1000, Some("it runs a setuid program"));
        check([uids, "100 5 5 5", none], 0, Some("it runs a setgid program"));
        check([uids, "5 5 5 5", none], 1000, Some("it runs as group 5, you are of group 100"));
        check([uids, gids, "0000000000002000"], 1000, Some("it has capabilities"));
        let hidden = "it is not dumpable (prctl PR_SET_DUMPABLE)";
        check([uids, gids, none], 0, Some(hidden));
    }

    #[test]
    fn what_is_not_understood_is_forbidden() {
        assert!(refusal(1000, 100, "", 1000).is_some());
        assert!(refusal(1000, 100, "Uid:\t\nGid:\t\nCapPrm:\t0\n", 1000).is_some());
        let status = "Uid:\t1000\nGid:\t100\n";
        assert_eq!(refusal(1000, 100, status, 1000).as_deref(), Some("it has capabilities"));
    }
}
