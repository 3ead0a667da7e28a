//! Which processes run which file, looked up for all probes that wait for one together.

use rustix::fs::{AtFlags, CWD, Dev, StatxFlags, makedev, statx};
use std::collections::HashMap;
use std::fs::read_dir;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked, at most.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
/// A look that takes long is repeated less often: looking takes one part in so many of the time.
const SHARE: u32 = 100;

/// Device and inode of a file.
pub(super) type FileKey = (Dev, u64);

/// What runs. However many probes wait, it is looked once for all of them, and all of it takes at
/// most 1 % of a core.
#[derive(Debug, Default)]
pub(super) struct Programs(Mutex<Option<Look>>);

/// A look at all processes.
#[derive(Debug)]
struct Look {
    /// It serves until then.
    until: Instant,
    pids: HashMap<FileKey, Vec<u32>>,
}

impl Programs {
    /// Processes that ran `file` a moment ago, the lowest pid first.
    pub(super) fn running(&self, file: FileKey) -> Vec<u32> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let look = match last.take().filter(|look| now < look.until) {
            Some(look) => look,
            None => Look::now(),
        };
        let pids = look.pids.get(&file).cloned().unwrap_or_default();
        *last = Some(look);
        pids
    }
}

impl Look {
    /// All processes are looked at each time: a process that was seen before may have replaced its
    /// program since, as each new one does once, and nothing else of it tells.
    fn now() -> Self {
        let start = Instant::now();
        let mut pids: HashMap<FileKey, Vec<u32>> = HashMap::new();
        let entries = read_dir("/proc").into_iter().flatten().flatten();
        let mut all: Vec<u32> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        all.sort_unstable();
        for pid in all {
            if let Some(file) = run_by(pid) {
                pids.entry(file).or_default().push(pid);
            }
        }
        Self { until: Instant::now() + pause(start.elapsed()), pids }
    }
}

/// How long to wait after a look that took so long.
fn pause(took: Duration) -> Duration {
    took.saturating_mul(SHARE).max(INTERVAL)
}

/// The file that a process runs. `None` for threads of the kernel, and for what has ended.
pub(super) fn run_by(pid: u32) -> Option<FileKey> {
    // What the kernel knows by itself: a filesystem that is asked may never answer.
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = statx(CWD, format!("/proc/{pid}/exe"), flags, StatxFlags::INO).ok()?;
    Some((makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_its_program() {
        let own = std::process::id();
        let file = run_by(own).unwrap();
        let programs = Programs::default();
        assert!(programs.running(file).contains(&own));
        assert!(programs.running((file.0, u64::MAX)).is_empty());
        assert_eq!(run_by(0), None);
        // The thread of the kernel that starts all others.
        assert_eq!(run_by(2), None);
    }

    #[test]
    fn looking_takes_a_small_part_of_the_time() {
        assert_eq!(pause(Duration::ZERO), INTERVAL);
        assert_eq!(pause(Duration::from_millis(1)), INTERVAL);
        assert_eq!(pause(Duration::from_millis(5)), Duration::from_millis(500));
        assert!(pause(Duration::MAX) > INTERVAL);
    }
}
