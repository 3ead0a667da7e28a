//! Filesystems whose files come from another process or another machine, which may never answer.

use crate::model::process::Mapping;
use std::fs::{exists, read_to_string};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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
        Some(name) => is_remote(&name).then_some(name),
        // Mounted nowhere any more, or never, as what is the kernel's own (memfd). Of those without
        // a disk only a remote one has a device to write back to.
        None if major == 0 => {
            let has_backing = exists(format!("/sys/class/bdi/{device}")).unwrap_or(true);
            has_backing.then(|| "unknown".to_owned())
        }
        None => None,
    }
}

/// The type of the filesystem that an absolute path leads to, if it is one of these. A path with
/// symbolic links may lead elsewhere.
pub fn remote_mount(path: &Path) -> Option<String> {
    let mounts = read_to_string("/proc/self/mountinfo").ok()?;
    mounted_at(&mounts, path).filter(|name| is_remote(name))
}

fn is_remote(name: &str) -> bool {
    REMOTE.iter().any(|remote| name.starts_with(remote))
}

/// The type of the filesystem that is mounted where a path leads, in the text of a `mountinfo`.
fn mounted_at(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (front, filesystem) = line.split_once(" - ")?;
        let point = unescaped(front.split(' ').nth(4)?);
        let is_above = path.starts_with(Path::new(std::ffi::OsStr::from_bytes(&point)));
        is_above.then(|| (point.len(), filesystem.split(' ').next().unwrap_or_default().to_owned()))
    };
    // Of several at one place the last one covers the others.
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, name)| name)
}

/// The kernel writes blanks and backslashes in octal.
fn unescaped(text: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits =
            tail.get(..3).filter(|_| *byte == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        let (byte, tail) = match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(octal) => (octal, tail.get(3..).unwrap_or_default()),
            None => (*byte, tail),
        };
        plain.push(byte);
        rest = tail;
    }
    plain
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

    #[test]
    fn a_path_is_on_the_last_of_the_nearest_mounts() {
        let mounts = "36 35 98:0 / / rw - ext4 /dev/root rw\n\
                      37 36 0:53 / /home/x\\040y rw - fuse.sshfs x:/ rw\n\
                      38 36 0:54 / /mnt rw - nfs4 x:/ rw\n\
                      39 36 0:55 / /mnt rw - tmpfs none rw\n";
        let at = |path: &str| mounted_at(mounts, Path::new(path));
        assert_eq!(at("/usr/bin/x").as_deref(), Some("ext4"));
        assert_eq!(at("/home/x y/z").as_deref(), Some("fuse.sshfs"));
        assert_eq!(at("/home/x yz").as_deref(), Some("ext4"));
        assert_eq!(at("/mnt/x").as_deref(), Some("tmpfs"));
        assert_eq!(remote_mount(Path::new("/proc/self/exe")), None);
    }
}
