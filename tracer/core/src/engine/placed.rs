//! Breakpoints that another process of ours holds, as the kernel tells of its file descriptors:
//! what is left of them can be looked at when it has been told to let them go.

use crate::attach::text;
use crate::model::address::Avma;
use crate::model::process::Mapping;
use crate::resolve;
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// A file that one process holds breakpoints in, for one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The target.
    pub pid: u32,
    /// The file, as this process sees it.
    pub path: PathBuf,
    /// Offsets in it.
    pub offsets: Vec<u64>,
}

/// What a process holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Where.
    pub placed: Vec<Placed>,
    /// Links of which the kernel does not tell where.
    pub unknown: u64,
    /// There are perf events, which breakpoints are made by where there is nothing better: they
    /// stay until these are closed too.
    pub has_events: bool,
}

impl Held {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty() && self.unknown == 0 && !self.has_events
    }
}

/// What `holder` holds; nothing once it has ended.
///
/// # Errors
///
/// It may not be looked at.
pub fn held_by(holder: u32) -> io::Result<Held> {
    let process = PathBuf::from(format!("/proc/{holder}"));
    let mut held = Held::default();
    let fds = match fs::read_dir(process.join("fd")) {
        Err(error) if is_gone(&error) => return Ok(held),
        fds => fds?,
    };
    // It may close one, or end, while we look.
    for fd in fds.flatten() {
        let Ok(what) = fs::read_link(fd.path()) else { continue };
        held.has_events |= what.as_os_str() == "anon_inode:[perf_event]";
        if what.as_os_str() != "anon_inode:bpf_link" {
            continue;
        }
        let info = process.join("fdinfo").join(fd.file_name());
        match fs::read_to_string(info).map(|info| placed(&info)) {
            Ok(Some(placed)) => held.placed.push(placed),
            Ok(None) => held.unknown += 1,
            Err(error) => tracing::debug!(%error, "a link that is closed now"),
        }
    }
    Ok(held)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// What stands behind a name.
fn value<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Reads what the kernel says of a link: `name:\tvalue` lines, then a table of cookies and offsets.
fn placed(info: &str) -> Option<Placed> {
    if value(info, "link_type:")? != "uprobe_multi" {
        return None;
    }
    let (_, table) = info.split_once("ref_ctr_offset\n")?;
    let offset = |line: &str| {
        let offset = line.split_ascii_whitespace().nth(1)?.strip_prefix("0x")?;
        u64::from_str_radix(offset, 16).ok()
    };
    Some(Placed {
        pid: value(info, "pid:")?.parse().ok()?,
        path: value(info, "path:")?.trim_end_matches(" (deleted)").into(),
        offsets: table.lines().map(offset).collect::<Option<_>>()?,
    })
}

/// How the code at some places is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// As in the file.
    AsInFile,
    /// There is none: the process has ended, or has something else there.
    Gone,
    /// Not as in the file, at this address.
    Changed(Avma),
    /// It could not be read.
    Unreadable,
}

impl Placed {
    /// Compares the code of the target with the file, at every place.
    pub fn look(&self) -> Code {
        let Ok(process) = resolve::process::read(self.pid) else { return Code::Gone };
        let mut all = Code::Gone;
        for mapping in &process.mappings {
            let is_here = mapping.execute && mapping.path == self.path;
            for offset in self.offsets.iter().filter(|_| is_here) {
                match look_at(self.pid, mapping, *offset) {
                    Code::Gone => {}
                    Code::AsInFile => all = Code::AsInFile,
                    other => return other,
                }
            }
        }
        all
    }
}

/// One place in one mapping.
fn look_at(pid: u32, mapping: &Mapping, offset: u64) -> Code {
    let Some(inside) = offset.checked_sub(mapping.file_offset.0) else { return Code::Gone };
    let address = Avma(mapping.range.start.0.saturating_add(inside));
    if !mapping.range.contains(&address) {
        return Code::Gone;
    }
    let (start, end) = (mapping.range.start.0, mapping.range.end.0);
    let mut in_file = [0];
    let read = File::open(format!("/proc/{pid}/map_files/{start:x}-{end:x}"))
        .and_then(|file| file.read_exact_at(&mut in_file, offset));
    match (read, text::process_bytes(pid, address, 1)) {
        (Ok(()), Ok(now)) if now.first() == in_file.first() => Code::AsInFile,
        (Ok(()), Ok(_)) => Code::Changed(address),
        _ => Code::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "pos:\t0\nlink_type:\tuprobe_multi\nlink_id:\t1\nuprobe_cnt:\t2\npid:\t33\n\
        path:\t/usr/lib/a b.so (deleted)\ncookie\t offset\t ref_ctr_offset\n\
        0\t 0x98930\t 0x0\n1\t 0x10\t 0x0\n";

    #[test]
    fn what_the_kernel_says_of_a_link_is_read() {
        let told = Placed { pid: 33, path: "/usr/lib/a b.so".into(), offsets: vec![0x98930, 0x10] };
        assert_eq!(placed(INFO), Some(told));
        assert_eq!(placed("pos:\t0\nlink_type:\tuprobe_multi\nlink_id:\t1\n"), None);
        assert_eq!(placed("link_type:\tperf\n"), None);
        assert_eq!(placed(&INFO.replace("0x10", "x")), None);
    }

    #[test]
    fn our_own_code_is_as_in_its_file() {
        let process = resolve::process::read(std::process::id()).unwrap();
        let own = Avma(placed as fn(&str) -> Option<Placed> as usize as u64);
        let mapping = process.mapping_at(own).unwrap();
        let offset = own.0 - mapping.range.start.0 + mapping.file_offset.0;
        let at = |offset| Placed {
            pid: process.id.pid,
            path: mapping.path.clone(),
            offsets: vec![offset],
        };
        assert_eq!(at(offset).look(), Code::AsInFile);
        assert_eq!(at(u64::MAX).look(), Code::Gone);
        assert_eq!(Placed { pid: 4_194_303, ..at(offset) }.look(), Code::Gone);
        assert!(held_by(process.id.pid).unwrap().is_empty());
    }
}
