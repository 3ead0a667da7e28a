//! Filesystems whose files come from another process or another machine, which may never answer.

use crate::model::process::Mapping;
use std::fs::{exists, read_to_string};

/// Types in `/proc/PID/mountinfo`; what follows a dot or is appended is the server's name.
const REMOTE: &[&str] = &["fuse", "nfs", "cifs", "smb3", "9p", "ceph", "afs", "ocfs2", "gfs2"];

/// The type of the filesystem that the file of a mapping is on, if it is one of these.
///
/// Told by what the kernel knows by itself: to ask the filesystem (statfs(2), open(2)) is what may
/// hang, and nothing ends a thread that does.
pub(super) fn remote_filesystem(pid: u32, mapping: &Mapping) -> Option<String> {
    let (major, minor, _) = mapping.file;
    let device = format!("{major}:{minor}");
    // The mount is the target's; one that it has left may be ours.
    let mounts = [format!("/proc/{pid}/mountinfo"), "/proc/self/mountinfo".to_owned()];
    let found = mounts.iter().find_map(|mounts| type_of(&read_to_string(mounts).ok()?, &device));
    match found {
        Some(name) => REMOTE.iter().any(|remote| name.starts_with(remote)).then_some(name),
        // Mounted nowhere any more, or never, as what is the kernel's own (memfd). Of those without
        // a disk only a remote one has a device to write back to.
        None if major == 0 => {
            let has_backing = exists(format!("/sys/class/bdi/{device}")).unwrap_or(true);
            has_backing.then(|| "unknown".to_owned())
        }
        None => None,
    }
}

/// The type of the filesystem with a device in the text of a `mountinfo`.
fn type_of(mounts: &str, device: &str) -> Option<String> {
    let mut lines = mounts.lines();
    let line = lines.find(|line| line.split(' ').nth(2) == Some(device))?;
    let (_, filesystem) = line.split_once(" - ")?;
    filesystem.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_behind_the_optional_fields() {
        let mounts = "36 35 98:0 /a /b rw,noatime master:1 shared:2 - ext4 /dev/root rw\n\
                      37 35 0:53 / /home/x/mnt rw - fuse.sshfs x:/ rw,user_id=0\n";
        assert_eq!(type_of(mounts, "98:0").as_deref(), Some("ext4"));
        assert_eq!(type_of(mounts, "0:53").as_deref(), Some("fuse.sshfs"));
        assert_eq!(type_of(mounts, "0:5"), None);
    }
}
