//! The files of the probed code, watched while a probe is in place: one that is written to in place
//! leaves the process with code of two builds, and the kernel with an instruction of the old one.
//!
//! A file that is replaced by another one of its name is none of that: the process keeps its own.

use super::code_files::CodeFiles;
use crate::model::resolved::{Resolved, Site};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Stat, fstat};
use rustix::io::{Errno, pread};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The files of a probe's sites.
#[derive(Debug)]
pub(super) struct Files {
    /// Tells of a write at once; `None` where this user has too many of its kind already. Then
    /// it is seen when the files are looked at.
    events: Option<OwnedFd>,
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    file: OwnedFd,
    name: String,
    then: Stat,
    /// Where the probed instructions are in it, and their bytes.
    sites: Vec<(u64, Vec<u8>)>,
}

impl Files {
    /// Starts to watch. What was read of the files before is compared with them when the
    /// breakpoints are placed, so this must come before that.
    pub(super) fn watch(files: &CodeFiles, resolved: &Resolved) -> Self {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .inspect_err(|error| tracing::debug!(%error, "writes are seen by looking only"))
            .ok();
        let mut watched = Vec::new();
        let mut indices: Vec<_> = resolved.sites.iter().map(|site| site.module).collect();
        indices.sort_unstable();
        indices.dedup();
        for index in indices {
            let here = || resolved.sites.iter().filter(|site| site.module == index);
            let opened = here().find_map(|site| files.at(site.pc));
            let Some((file, name)) = opened else { continue };
            // Without a file descriptor more there is no probe either.
            if let Ok(entry) = Watched::new(file, name.to_owned(), here(), events.as_ref()) {
                watched.push(entry);
            }
        }
        Self { events, watched }
    }

    /// Becomes readable when a file was written to.
    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(AsFd::as_fd)
    }

    /// Why the code is not what it was, if it is not.
    pub(super) fn change(&self) -> Option<String> {
        let by_look = || self.watched.iter().find_map(Watched::change);
        let written = self.events.as_ref().is_some_and(has_event);
        by_look().or_else(|| written.then(|| format!("{} was written to", self.names())))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.watched.iter().map(|file| file.name.as_str()).collect();
        names.join(" or ")
    }
}

impl Watched {
    fn new<'s>(
        file: BorrowedFd<'_>,
        name: String,
        sites: impl Iterator<Item = &'s Site>,
        events: Option<&OwnedFd>,
    ) -> Result<Self, Errno> {
        let file = file.try_clone_to_owned().map_err(|_| Errno::MFILE)?;
        if let Some(events) = events {
            // The very file, whatever has its name by now.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            if let Err(error) = inotify::add_watch(events, path, WatchFlags::MODIFY) {
                tracing::debug!(%error, name, "writes are seen by looking only");
            }
        }
        let then = fstat(&file)?;
        let sites = sites.map(|site| (site.file_offset.0, site.instruction.clone())).collect();
        Ok(Self { file, name, then, sites })
    }

    fn change(&self) -> Option<String> {
        let now = fstat(&self.file).ok()?;
        let written = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        if written(&now) != written(&self.then) {
            return Some(format!("{} was written to", self.name));
        }
        // It changes with the file's name too, which is harmless; the times of a write can be set
        // back, but not this one.
        let touched = |stat: &Stat| (stat.st_ctime, stat.st_ctime_nsec);
        if touched(&now) == touched(&self.then) {
            return None;
        }
        let is_same = |(offset, instruction): &(u64, Vec<u8>)| {
            let mut bytes = vec![0; instruction.len()];
            pread(&self.file, &mut bytes, *offset).is_ok_and(|_| bytes == *instruction)
        };
        let other = !self.sites.iter().all(is_same);
        other.then(|| format!("{} holds another instruction", self.name))
    }
}

/// Takes what has happened.
fn has_event(events: &OwnedFd) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    let mut any = false;
    while let Ok(event) = reader.next() {
        any |= event.events().contains(ReadFlags::MODIFY);
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Seek as _, Write as _};

    fn watched(events: Option<&OwnedFd>, path: &std::path::Path) -> Watched {
        let file = fs::File::open(path).unwrap();
        let mut watched =
            Watched::new(file.as_fd(), "it".to_owned(), std::iter::empty(), events).unwrap();
        watched.sites = vec![(4, b"code".to_vec())];
        watched
    }

    /// SITE-2
    #[test]
    fn a_write_is_seen_and_a_new_file_of_the_name_is_not_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"the code").unwrap();
        let events = inotify::init(CreateFlags::NONBLOCK).unwrap();
        let first = watched(Some(&events), &path);
        assert_eq!((first.change(), has_event(&events)), (None, false));

        // Another file takes its name: our file lives on.
        let other = directory.path().join("other");
        fs::write(&other, b"the news").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!((first.change(), has_event(&events)), (None, false));

        let second = watched(Some(&events), &path);
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all(b"T").unwrap();
        assert!(has_event(&events));
        assert_eq!(second.change(), Some("it was written to".to_owned()));
        assert_eq!(first.change(), None);
    }

    #[test]
    fn times_that_are_set_back_hide_no_other_instruction() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"the code").unwrap();
        let watched = watched(None, &path);
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let times = fs::FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
        file.seek(std::io::SeekFrom::Start(4)).unwrap();
        file.write_all(b"cope").unwrap();
        file.set_times(times).unwrap();
        let ctime = fstat(&file).unwrap();
        let is_later = (ctime.st_ctime, ctime.st_ctime_nsec)
            != (watched.then.st_ctime, watched.then.st_ctime_nsec);
        // The clock of files ticks slowly.
        if is_later {
            assert_eq!(watched.change(), Some("it holds another instruction".to_owned()));
        }
    }
}
