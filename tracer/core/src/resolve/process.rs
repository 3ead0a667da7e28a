//! A pid to the process and what is mapped into it.

use crate::model::address::{Avma, FileOffset};
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::{Mapping, Process, ProcessId};
use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Reads `/proc/PID`. The pid is checked again afterwards: all that is read is of one process.
///
/// # Errors
///
/// [`IssueKind::NoProcess`], [`IssueKind::ProcessGone`], [`IssueKind::NoPermission`],
/// [`IssueKind::BeingDebugged`].
pub fn read(pid: u32) -> Result<Process, Issue> {
    let stat = file(pid, "stat").map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => no_permission(pid, "stat", &error),
        _ => Issue::new(IssueKind::NoProcess, pid.to_string(), ""),
    })?;
    let start_ticks = start_ticks(&stat).ok_or_else(|| gone(pid))?;
    let status = later(pid, "status", file(pid, "status"))?;
    check_status(pid, &status)?;
    let mut comm = later(pid, "comm", file(pid, "comm"))?;
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    let exe = later(pid, "exe", std::fs::read_link(format!("/proc/{pid}/exe")))?;
    let maps = later(pid, "maps", file(pid, "maps"))?;
    let mut mappings: Vec<Mapping> =
        maps.split(|byte| *byte == b'\n').filter_map(mapping).collect();
    mappings.sort_by_key(|mapping| mapping.range.start);
    let again = later(pid, "stat", file(pid, "stat"))?;
    if self::start_ticks(&again) != Some(start_ticks) {
        return Err(gone(pid));
    }
    let id = ProcessId { pid, start_ticks };
    let exe = without_deleted(exe.as_os_str().as_bytes());
    Ok(Process { id, comm, exe, mappings })
}

/// Fails unless this very process is there still, and no debugger has come.
///
/// # Errors
///
/// [`IssueKind::ProcessGone`], [`IssueKind::BeingDebugged`].
pub fn check(id: ProcessId) -> Result<(), Issue> {
    let status = file(id.pid, "status").map_err(|_| gone(id.pid))?;
    check_status(id.pid, &status)?;
    let now = file(id.pid, "stat").ok().and_then(|stat| start_ticks(&stat));
    if now == Some(id.start_ticks) { Ok(()) } else { Err(gone(id.pid)) }
}

/// Which process has a pid now.
///
/// # Errors
///
/// [`IssueKind::NoProcess`].
pub fn id(pid: u32) -> Result<ProcessId, Issue> {
    let ticks = file(pid, "stat").ok().and_then(|stat| start_ticks(&stat));
    let start_ticks = ticks.ok_or_else(|| Issue::new(IssueKind::NoProcess, pid.to_string(), ""))?;
    Ok(ProcessId { pid, start_ticks })
}

/// Whether the process is under a seccomp filter.
///
/// # Errors
///
/// [`IssueKind::ProcessGone`].
pub fn is_filtered(id: ProcessId) -> Result<bool, Issue> {
    // The main thread's: threads may have filters of their own, those of one program rarely do.
    let status = file(id.pid, "status").map_err(|_| gone(id.pid))?;
    check(id)?;
    Ok(in_status(&status, b"Seccomp:").is_some_and(|mode| mode != 0))
}

fn file(pid: u32, name: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(format!("/proc/{pid}/{name}"))
}

/// The process was there a moment ago.
fn later<T>(pid: u32, name: &str, result: Result<T, Error>) -> Result<T, Issue> {
    result.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => no_permission(pid, name, &error),
        ErrorKind::NotFound if name == "exe" && is_kernel_thread(pid) => {
            Issue::new(IssueKind::NoProcess, pid.to_string(), "it is a thread of the kernel")
        }
        _ => gone(pid),
    })
}

fn gone(pid: u32) -> Issue {
    Issue::new(IssueKind::ProcessGone, pid.to_string(), "")
}

fn no_permission(pid: u32, name: &str, error: &Error) -> Issue {
    Issue::new(IssueKind::NoPermission, pid.to_string(), format!("/proc/{pid}/{name}: {error}"))
}

fn is_kernel_thread(pid: u32) -> bool {
    // A process that has ended but was not waited for has no program either, but its name stays.
    let state = file(pid, "stat").ok();
    let state = state.as_deref().and_then(|stat| fields(stat).next());
    state.is_some_and(|state| state != b"Z" && state != b"X")
}

/// The fields of `/proc/PID/stat` behind the command, which may hold spaces and parentheses.
fn fields(stat: &[u8]) -> impl Iterator<Item = &[u8]> {
    let behind = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 1..));
    let fields = behind.unwrap_or_default().split(u8::is_ascii_whitespace);
    fields.filter(|field| !field.is_empty())
}

/// Field 22; the first one behind the command is field 3.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    number(fields(stat).nth(22 - 3)?, 10)
}

/// A number in `/proc/PID/status`.
fn in_status(status: &[u8], key: &[u8]) -> Option<u64> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(key))?;
    number(value.trim_ascii(), 10)
}

fn check_status(pid: u32, status: &[u8]) -> Result<(), Issue> {
    match in_status(status, b"Tgid:") {
        Some(process) if process != u64::from(pid) => {
            let detail = format!("it is a thread of process {process}");
            let issue = Issue::new(IssueKind::NoProcess, pid.to_string(), detail);
            return Err(issue.with_candidates(vec![process.to_string()]));
        }
        _ => {}
    }
    match in_status(status, b"TracerPid:") {
        Some(0) | None => Ok(()),
        Some(debugger) => Err(Issue::new(
            IssueKind::BeingDebugged,
            pid.to_string(),
            format!("by process {debugger}"),
        )),
    }
}

/// A line of `/proc/PID/maps`: `start-end perms offset major:minor inode  path`.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let (range, rest) = word(line)?;
    let (permissions, rest) = word(rest)?;
    let (offset, rest) = word(rest)?;
    let (device, rest) = word(rest)?;
    let (inode, path) = word(rest)?;
    let (start, end) = pair(range, b'-')?;
    let (major, minor) = pair(device, b':')?;
    let flag = |at: usize, letter: u8| permissions.get(at) == Some(&letter);
    let path = path.trim_ascii_start();
    Some(Mapping {
        range: Avma(start)..Avma(end),
        file_offset: FileOffset(number(offset, 16)?),
        read: flag(0, b'r'),
        write: flag(1, b'w'),
        execute: flag(2, b'x'),
        shared: flag(3, b's'),
        file: (u32::try_from(major).ok()?, u32::try_from(minor).ok()?, number(inode, 10)?),
        path: without_deleted(&unescape(path)),
    })
}

/// The text up to the next space, and what is behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty()).then_some((word, rest.strip_prefix(b" ").unwrap_or(rest)))
}

fn pair(text: &[u8], separator: u8) -> Option<(u64, u64)> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((number(text.get(..at)?, 16)?, number(text.get(at + 1..)?, 16)?))
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}

/// The kernel writes a newline in a path as `\012`.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"\\012") {
            plain.push(b'\n');
            rest = tail;
        } else {
            plain.push(*byte);
            rest = tail;
        }
    }
    plain
}

fn without_deleted(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let process = read(std::process::id()).unwrap();
        assert_eq!(process.exe, std::env::current_exe().unwrap());
        let code = Avma(this_process_is_read as *const () as u64);
        let mapping = process.mapping_at(code).unwrap();
        assert!(mapping.execute && mapping.read && !mapping.write && !mapping.shared);
        assert_eq!(mapping.path, process.exe);
        assert!(process.id.start_ticks > 0);
    }

    #[test]
    fn a_command_with_parentheses_and_spaces_does_not_move_the_fields() {
        let numbers: Vec<String> = (4..50).map(|field| field.to_string()).collect();
        let stat = format!("17 (a) S 1 (b\n) R {}", numbers.join(" "));
        assert_eq!(start_ticks(stat.as_bytes()), Some(22));
        assert_eq!(start_ticks(b"17 (a) S 1"), None);
        assert_eq!(start_ticks(b"garbage"), None);
    }

    #[test]
    fn a_line_of_maps_is_read() {
        let line = b"7f00-8f00 r-xs 0001f000 fe:01 123       /tmp/a\\012 b (deleted)";
        let mapping = mapping(line).unwrap();
        assert_eq!(mapping.range, Avma(0x7f00)..Avma(0x8f00));
        assert_eq!(mapping.file_offset, FileOffset(0x1f000));
        assert_eq!(mapping.file, (0xfe, 1, 123));
        assert_eq!(mapping.path, PathBuf::from("/tmp/a\n b"));
        assert!(mapping.shared && mapping.execute && !mapping.write);
        assert_eq!(super::mapping(b"7f00-8f00 r-xs"), None);
        assert_eq!(super::mapping(b""), None);
        let anonymous = super::mapping(b"7f00-8f00 rw-p 00000000 00:00 0").unwrap();
        assert_eq!(anonymous.path, PathBuf::new());
    }

    #[test]
    fn missing_processes_and_threads_are_told_apart() {
        assert_eq!(read(u32::MAX).unwrap_err().kind, IssueKind::NoProcess);
        assert_eq!(read(0).unwrap_err().kind, IssueKind::NoProcess);
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let (stop, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                send.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
                assert!(wait.recv().is_err());
            });
            let thread = u32::try_from(receive.recv().unwrap()).unwrap();
            let issue = read(thread).unwrap_err();
            drop(stop);
            assert_eq!(issue.kind, IssueKind::NoProcess);
            assert_eq!(issue.candidates, [std::process::id().to_string()]);
        });
    }

    #[test]
    fn a_process_that_has_ended_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        // It is a zombie now, for nobody has waited for it.
        let issue = read(child.id());
        child.wait().unwrap();
        assert_eq!(issue.unwrap_err().kind, IssueKind::ProcessGone);
    }

    #[test]
    fn a_debugger_is_seen() {
        let issue = check_status(5, b"Name:\tx\nTgid:\t5\nTracerPid:\t17\n").unwrap_err();
        assert_eq!(issue.kind, IssueKind::BeingDebugged);
        assert!(check_status(5, b"Name:\tx\nTgid:\t5\nTracerPid:\t0\n").is_ok());
    }
}
