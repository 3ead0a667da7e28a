//! Other tracers of this machine that place probes: daemons elsewhere, and commands that do the work
//! themselves. They are told by a signal to take out what they have.

use crate::api::probes::{STOP, StopLine, TextAfter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};
use std::{fs, io, thread};
use tracer_core::engine::placed::{Code, Held, Placed, held_by};

/// What one is called, and how the names of the processes begin that hold its breakpoints: they are
/// started by it, or by one another.
const NAME: &str = "tracer";
const HOLDERS: &str = "tracer-";
/// What tells it to take everything out.
const ORDER: Signal = Signal::USR1;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile: nothing tells when one that goes on has let go.
const LOOK: Duration = Duration::from_millis(20);

/// A tracer that may have placed probes.
pub(crate) struct Other {
    pid: u32,
    pidfd: OwnedFd,
    /// Who holds breakpoints for it, each with an end of its own.
    keepers: Vec<u32>,
    held: Held,
    trouble: String,
}

/// All that this user may tell, but not `daemon`, which has been asked otherwise.
pub(crate) fn find(daemon: Option<u32>) -> Vec<Other> {
    let all = processes();
    let candidates = all.iter().filter(|process| {
        let is_ours = process.comm == NAME && process.catches && Some(process.pid) != daemon;
        is_ours && process.pid != std::process::id()
    });
    candidates.filter_map(|process| Other::open(process, &all)).collect()
}

/// Tells all of them, waits until they hold nothing more, and tells what became of it.
pub(crate) fn stop(mut others: Vec<Other>) -> Vec<StopLine> {
    for other in &mut others {
        if let Err(error) = pidfd_send_signal(&other.pidfd, ORDER)
            && error != rustix::io::Errno::SRCH
        {
            other.trouble = format!("it can't be told: {error}");
        }
    }
    let start = Instant::now();
    for other in &mut others {
        while other.trouble.is_empty() && !other.is_done() {
            if start.elapsed() >= PATIENCE {
                other.trouble = format!("it holds breakpoints after {} s", PATIENCE.as_secs());
            }
            thread::sleep(LOOK);
        }
    }
    others.iter().flat_map(Other::lines).collect()
}

impl Other {
    fn open(process: &Found, all: &[Found]) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // What was looked at may have ended, and its number may be another's by now.
        if Found::read(process.pid)? != *process {
            return None;
        }
        let holders = holders(process.pid, all);
        let keeps =
            |pid: &u32| *pid != process.pid && held_by(*pid).is_ok_and(|held| !held.is_empty());
        let keepers = holders.iter().copied().filter(keeps).collect();
        let (held, trouble) = match held_by_all(&holders) {
            Ok(held) => (held, String::new()),
            Err(error) => (Held::default(), format!("it can't be looked at: {error}")),
        };
        Some(Self { pid: process.pid, pidfd, keepers, held, trouble })
    }

    /// It has ended, or holds nothing any more; and so have its keepers. One that is ending has no
    /// file descriptors that can be seen, and the kernel closes them still.
    fn is_done(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ended = poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0);
        let own = || held_by(self.pid).is_ok_and(|held| held.is_empty());
        self.keepers.iter().all(|keeper| has_ended(*keeper)) && (ended || own())
    }

    /// What became of what it held: a line for each file of each target.
    fn lines(&self) -> Vec<StopLine> {
        let line = |pid, location, sites, text, detail| StopLine {
            schema: STOP.into(),
            id: format!("process {}", self.pid),
            pid,
            location,
            sites,
            text,
            detail,
        };
        let mut lines: Vec<StopLine> = self
            .held
            .placed
            .iter()
            .map(|placed| {
                let (text, detail) = text(placed, &self.trouble);
                line(placed.pid, location(placed), placed.offsets.len() as u64, text, detail)
            })
            .collect();
        if self.held.unknown > 0 {
            let detail = "the kernel does not tell where they were; see what it says itself";
            let detail = if self.trouble.is_empty() { detail } else { &self.trouble };
            let (sites, unknown) = (self.held.unknown, TextAfter::Unknown);
            lines.push(line(0, String::new(), sites, unknown, detail.to_owned()));
        } else if lines.is_empty() && !self.trouble.is_empty() {
            lines.push(line(0, String::new(), 0, TextAfter::Unknown, self.trouble.clone()));
        }
        lines
    }
}

/// A process, and those that hold breakpoints for it.
fn holders(pid: u32, all: &[Found]) -> Vec<u32> {
    let mut holders = vec![pid];
    let mut next = 0;
    while let Some(parent) = holders.get(next).copied() {
        let children = all.iter().filter(|process| {
            process.parent == parent && process.comm.starts_with(HOLDERS) && process.pid != parent
        });
        holders.extend(children.map(|process| process.pid));
        next += 1;
    }
    holders
}

fn held_by_all(holders: &[u32]) -> io::Result<Held> {
    let mut all = Held::default();
    for holder in holders {
        let Held { placed, unknown, has_events } = held_by(*holder)?;
        all.has_events |= has_events;
        all.placed.extend(placed);
        all.unknown += unknown;
    }
    Ok(all)
}

fn text(placed: &Placed, trouble: &str) -> (TextAfter, String) {
    match placed.look() {
        _ if !trouble.is_empty() => (TextAfter::Unknown, trouble.to_owned()),
        Code::AsInFile => (TextAfter::Restored, String::new()),
        Code::Gone => (TextAfter::Gone, String::new()),
        Code::Changed(address) => (TextAfter::Changed, format!("at {address}")),
        Code::Unreadable => (TextAfter::Unknown, "it can't be read".to_owned()),
    }
}

/// `libc.so.6+0x98930`, the first place and how many more.
fn location(placed: &Placed) -> String {
    let file = placed.path.file_name().unwrap_or_default().to_string_lossy();
    let first = placed.offsets.first().copied().unwrap_or_default();
    match placed.offsets.len() {
        0 | 1 => format!("{file}+{first:#x}"),
        more => format!("{file}+{first:#x} and {} more", more - 1),
    }
}

/// A process, as far as it matters here.
#[derive(PartialEq, Eq, Debug)]
struct Found {
    pid: u32,
    parent: u32,
    comm: String,
    /// It takes the order and does not die of it.
    catches: bool,
}

impl Found {
    fn read(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let value = |name| status.lines().find_map(|line: &str| line.strip_prefix(name));
        let caught = u64::from_str_radix(value("SigCgt:")?.trim(), 16).ok()?;
        Some(Self {
            pid,
            parent: value("PPid:")?.trim().parse().ok()?,
            comm: value("Name:")?.trim().to_owned(),
            catches: caught & (1 << (ORDER.as_raw() - 1)) != 0,
        })
    }
}

/// It is gone, or only waits to be noticed.
fn has_ended(pid: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| state.trim_start().starts_with(['Z', 'X']))
}

/// All processes whose owner we may speak for.
fn processes() -> Vec<Found> {
    let euid = geteuid();
    let is_ours = |entry: &fs::DirEntry| {
        euid.is_root() || entry.metadata().is_ok_and(|facts| facts.uid() == euid.as_raw())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.filter(is_ours).filter_map(pid).filter_map(Found::read).collect()
}
