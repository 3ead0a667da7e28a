//! What the daemon itself takes, under the names that all exporters use.

use super::figures::{counter, gauge, number};
use prometheus::proto::MetricFamily;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The daemon's process.
#[derive(Debug)]
pub(super) struct Process {
    started: SystemTime,
}

impl Default for Process {
    /// Made when the process starts.
    fn default() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Process {
    /// What can't be read is left out.
    pub(super) fn families(&self) -> impl Iterator<Item = MetricFamily> {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let open = fs::read_dir("/proc/self/fd").ok();
        [
            Some(counter(
                "process_cpu_seconds_total",
                "Time on a cpu.",
                used.tv_sec as f64 + used.tv_nsec as f64 / 1e9,
            )),
            Some(gauge(
                "process_start_time_seconds",
                "When it started, in seconds since 1970.",
                started.as_secs_f64(),
            )),
            resident_bytes().map(|bytes| {
                gauge("process_resident_memory_bytes", "Memory that it takes.", number(bytes))
            }),
            // The look itself has one open.
            open.map(|files| number(files.count() as u64) - 1.0)
                .map(|count| gauge("process_open_fds", "Open files.", count)),
            getrlimit(Resource::Nofile)
                .current
                .map(|most| gauge("process_max_fds", "Files that may be open.", number(most))),
        ]
        .into_iter()
        .flatten()
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
