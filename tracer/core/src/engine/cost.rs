//! What a placed probe has cost its target so far.

use super::Engine;
use crate::attach::link::LinkId;
use crate::model::budget::CpuShare;
use crate::model::process::ProcessId;
use std::fs;
use std::time::Duration;

/// What a probe has cost its target, in time of its threads.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Cost {
    /// Measured in the kernel program: the time of captures.
    pub program: Duration,
    /// The traps of all hits, by what one costs on this machine.
    pub trap: Duration,
    /// What it may take, in percent of one core; `None` where it has no budget.
    pub budget_percent: Option<f64>,
    /// Time that the target has been on a cpu since it started, with all of the above.
    pub target_cpu: Option<Duration>,
}

impl Cost {
    /// All of it that is known.
    pub fn spent(&self) -> Duration {
        self.program + self.trap
    }
}

impl Engine {
    /// What a placed probe has cost so far; `None` once it is gone.
    pub fn cost(&self, link: LinkId) -> Option<Cost> {
        let kernel = self.loaded()?;
        let reader = kernel.readers.get(link)?;
        let counts = kernel.links.counts(&kernel.program, link).ok()?;
        Some(Cost {
            program: Duration::from_nanos(counts.capture_ns),
            trap: Duration::from_nanos(counts.trap_ns),
            budget_percent: kernel.links.budget(link).and_then(CpuShare::as_percent),
            target_cpu: cpu_time(reader.process),
        })
    }
}

/// Time that a process has been on a cpu, to 10 ms; `None` once it is gone.
fn cpu_time(process: ProcessId) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
    // The name is in parentheses and may hold anything; what follows are numbers.
    let (_, numbers) = stat.rsplit_once(')')?;
    let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
    // proc(5): fields 14, 15 and 22; the first behind the name is field 3.
    let field = |number: usize| numbers.get(number - 3)?.parse::<u64>().ok();
    let (user, system, start) = (field(14)?, field(15)?, field(22)?);
    // A tick is 10 ms on x86-64 (USER_HZ).
    (start == process.start_ticks).then(|| Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_a_process_grows_and_is_of_no_other() {
        let process = crate::resolve::process::read(std::process::id()).unwrap().id;
        let before = cpu_time(process).unwrap();
        let start = std::time::Instant::now();
        while cpu_time(process).unwrap() < before + Duration::from_millis(20) {
            assert!(start.elapsed() < Duration::from_secs(60));
        }
        assert_eq!(cpu_time(ProcessId { start_ticks: process.start_ticks + 1, ..process }), None);
    }
}
