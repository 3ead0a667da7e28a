//! The daemon's socket: made so that nobody else can be in its place, and gone with the daemon.

use crate::api::refusal::{Refusal, RefusalKind};
use rustix::fs::{Mode, OFlags};
use rustix::process::umask;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Users and their groups.
const GROUPS: &str = "/etc/group";

/// A socket that is listened at. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    lock_path: PathBuf,
    /// Held for the daemon's life: the file of a socket tells nothing about who listens there.
    _lock: File,
}

impl Socket {
    /// Listens at `path`: root only, or `group` too. A socket that a dead daemon left is replaced.
    ///
    /// # Errors
    ///
    /// A daemon is there already; or the file can't be made, or others could put theirs there.
    pub(super) fn listen(
        path: &Path,
        group: Option<&str>,
    ) -> Result<(Self, UnixListener), Refusal> {
        let shown = path.display().to_string();
        let unusable = |what: String| Refusal::new(RefusalKind::SocketUnusable, &shown, what);
        let in_use = || Refusal::new(RefusalKind::SocketInUse, &shown, "");
        let group = group.map(gid).transpose().map_err(unusable)?;
        check_folder(path.parent().unwrap_or(Path::new("."))).map_err(unusable)?;
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = lock(&lock_path).map_err(|error| unusable(format!("its lock: {error}")))?;
        let lock = lock.ok_or_else(in_use)?;
        let socket = Self { path: path.to_owned(), lock_path, _lock: lock };
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error.to_string())),
            // Whoever does not know of our lock may listen there.
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(socket.leave(in_use())),
            Ok(old) if old.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(|error| unusable(error.to_string()))?;
            }
            Ok(_) => return Err(socket.leave(unusable("a file that is no socket".to_owned()))),
        }
        let listener = bind(path, group).map_err(|error| unusable(error.to_string()))?;
        Ok((socket, listener))
    }

    /// Gives the place up without touching what is there.
    fn leave(mut self, why: Refusal) -> Refusal {
        self.path = PathBuf::new();
        why
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        for path in [&self.path, &self.lock_path] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "can't be removed");
                }
                _ => {}
            }
        }
    }
}

/// Makes sure that nobody else can replace what lies in a folder; makes the folder if need be.
fn check_folder(folder: &Path) -> Result<(), String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let text = |error: io::Error| format!("{}: {error}", folder.display());
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(text(error)),
        _ => {}
    }
    let facts = folder.metadata().map_err(text)?;
    let ours = facts.uid() == 0 || facts.uid() == rustix::process::geteuid().as_raw();
    let (others, sticky) = (facts.mode() & 0o022 != 0, facts.mode() & 0o1000 != 0);
    if !ours || (others && !sticky) {
        return Err(format!("others may write to the folder {}", folder.display()));
    }
    Ok(())
}

/// Locks the file at `path`; `None` if someone holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow)
            .open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // A daemon that ended meanwhile took the file with it.
        let same = path.symlink_metadata().ok().map(|facts| (facts.dev(), facts.ino()));
        let held = file.metadata()?;
        if same == Some((held.dev(), held.ino())) {
            return Ok(Some(file));
        }
    }
}

/// Binds to `path`. Nobody else may connect before the group is set: from birth the file is ours
/// alone.
fn bind(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    let mask = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path);
    umask(mask);
    let listener = listener?;
    if let Some(gid) = group {
        std::os::unix::fs::lchown(path, None, Some(gid))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The number of a group: as it is given, or of this name.
fn gid(group: &str) -> Result<u32, String> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let groups = std::fs::read_to_string(GROUPS).map_err(|error| format!("{GROUPS}: {error}"))?;
    gid_in(&groups, group)
        .ok_or_else(|| format!("{GROUPS} has no group {group}; its number works too"))
}

fn gid_in(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &Path) -> RefusalKind {
        Socket::listen(path, None).unwrap_err().kind
    }

    #[test]
    fn a_second_daemon_is_refused_and_a_dead_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let (socket, listener) = Socket::listen(&path, None).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(kind(&path), RefusalKind::SocketInUse);
        // As after a kill: the file stays, nobody listens.
        std::mem::forget(socket.leave(Refusal::new(RefusalKind::Busy, "", "")));
        drop(listener);
        assert!(path.exists());
        let (socket, _listener) = Socket::listen(&path, None).unwrap();
        drop(socket);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "something stays");
    }

    #[test]
    fn what_someone_else_put_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let other = UnixListener::bind(&path).unwrap();
        assert_eq!(kind(&path), RefusalKind::SocketInUse);
        assert!(path.exists());
        drop(other);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        assert_eq!(kind(&path), RefusalKind::SocketUnusable);
        std::fs::remove_file(&path).unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "text").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert_eq!(kind(&path), RefusalKind::SocketUnusable);
        assert_eq!(std::fs::read(&victim).unwrap(), b"text");
    }

    #[test]
    fn a_folder_of_everyone_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let refusal = Socket::listen(&folder.path().join("sock"), None).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::SocketUnusable);
        assert!(refusal.detail.contains("others may write"), "{}", refusal.detail);
    }

    #[test]
    fn groups_are_found_by_name() {
        let groups = "root:x:0:\nadm:x:4:syslog\n";
        assert_eq!(gid_in(groups, "adm"), Some(4));
        assert_eq!(gid_in(groups, "ad"), None);
        assert_eq!(gid("17"), Ok(17));
        assert!(gid("no such group").is_err());
    }
}
