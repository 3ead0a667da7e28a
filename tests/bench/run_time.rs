//! How long kernel programs run, as the kernel measures it.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs;

/// The programs that a process holds, by their number in the kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs(BTreeMap<u64, Ran>);

/// What the kernel has counted of a program since it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Ran {
    ns: u64,
    times: u64,
}

impl Programs {
    /// Those of the process `pid`.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let folder = format!("/proc/{pid}/fdinfo");
        let mut programs = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("no {folder}"))? {
            // A descriptor that was closed meanwhile is none of a program that is attached.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            if let Some((id, ran)) = parse(&text) {
                programs.insert(id, ran);
            }
        }
        Ok(Self(programs))
    }

    /// Nanoseconds for a run, over all that ran since `before`; `None` if nothing ran.
    pub(crate) fn ns_per_run_since(&self, before: &Self) -> Option<f64> {
        let mut sum = Ran::default();
        for (id, now) in &self.0 {
            let before = before.0.get(id).copied().unwrap_or_default();
            sum.ns += now.ns.saturating_sub(before.ns);
            sum.times += now.times.saturating_sub(before.times);
        }
        (sum.times > 0).then(|| sum.ns as f64 / sum.times as f64)
    }
}

/// The descriptor's number in the kernel and what was counted, if it is of a program.
fn parse(text: &str) -> Option<(u64, Ran)> {
    let value = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.trim().parse().ok())
    };
    let ran = Ran { ns: value("run_time_ns")?, times: value("run_cnt")? };
    Some((value("prog_id")?, ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_read_and_only_the_difference_counts() {
        let text = "pos:\t0\nprog_type:\t2\nprog_id:\t7\nrun_time_ns:\t900\nrun_cnt:\t9\n";
        let ran = Ran { ns: 900, times: 9 };
        assert_eq!(parse(text), Some((7, ran)));
        assert_eq!(parse("pos:\t0\nmap_type:\t2\nmap_id:\t7\n"), None);
        let before = Programs([(7, Ran { ns: 100, times: 1 })].into());
        let after = Programs([(7, ran), (8, Ran { ns: 100, times: 1 })].into());
        assert_eq!(after.ns_per_run_since(&before), Some(100.0));
        assert_eq!(before.ns_per_run_since(&before), None);
    }
}
