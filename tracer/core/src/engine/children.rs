//! Processes that were forked from a target while it was probed: their copy of the code has the
//! breakpoint too. They pay for the trap, and their hits are nobody's.

use super::clock;
use crate::attach::text;
use crate::model::address::Avma;
use crate::model::process::ProcessId;
use crate::model::resolved::Resolved;
use crate::resolve;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// `int3`.
const BREAKPOINT: u8 = 0xcc;
/// The unit of start times in `/proc/PID/stat`.
const TICK_NS: u64 = 10_000_000;
/// Children and children of children that are looked at.
const CHILDREN_MAX: usize = 1000;

/// Children of a target that carry its breakpoint.
#[derive(Debug)]
pub(super) struct Children {
    target: ProcessId,
    /// The probed instructions.
    sites: Vec<(Avma, Vec<u8>)>,
    /// Who was started from this tick on was forked with the breakpoint.
    since_ticks: u64,
    /// With the site where the breakpoint was seen.
    carrying: BTreeMap<u32, (ProcessId, Avma)>,
    /// The most that carried it at a time.
    most: u64,
}

impl Children {
    /// Of a target in which breakpoints are about to be placed.
    pub(super) fn new(target: ProcessId, resolved: &Resolved) -> Self {
        let entries = resolved.sites.iter().filter_map(|site| site.entry.as_ref());
        let entries = entries.map(|entry| (entry.pc, entry.instruction.clone()));
        let sites = resolved.sites.iter().map(|site| (site.pc, site.instruction.clone()));
        let sites = sites.chain(entries);
        let since_ticks = clock::boot_ns_after(Duration::ZERO) / TICK_NS;
        Self { target, sites: sites.collect(), since_ticks, carrying: BTreeMap::new(), most: 0 }
    }

    /// The most children that carried the breakpoint at a time, as far as it was looked.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Looks which children carry the breakpoint now.
    pub(super) fn look(&mut self) {
        let mut carrying = BTreeMap::new();
        // Those that lost their parent are no longer found by it.
        let known = self.carrying.keys().copied();
        for pid in forked_from(self.target.pid).into_iter().chain(known) {
            if !carrying.contains_key(&pid)
                && let Some((id, site)) = self.carries(pid)
            {
                carrying.insert(pid, (id, site));
            }
        }
        self.most = self.most.max(carrying.len() as u64);
        self.carrying = carrying;
    }

    /// A child has the code at the same addresses, unless it replaced its program. The breakpoint
    /// may have gone already, with that of the target or at the first hit.
    fn carries(&self, pid: u32) -> Option<(ProcessId, Avma)> {
        let id = resolve::process::id(pid).ok()?;
        let known = self.carrying.get(&pid).is_none_or(|(known, _)| *known == id);
        let forked_since = id.start_ticks >= self.since_ticks;
        let is_here = |(site, instruction): &&(Avma, Vec<u8>)| {
            let bytes = text::process_bytes(pid, *site, instruction.len()).unwrap_or_default();
            bytes.first() == Some(&BREAKPOINT) || (forked_since && bytes == *instruction)
        };
        let (site, _) = self.sites.iter().find(is_here)?;
        known.then_some((id, *site))
    }

    /// A child has a breakpoint still, after the removal: its pid, and where. Where a place
    /// `is_shared` by another probe, the breakpoint is that one's.
    pub(super) fn left(&self, is_shared: impl Fn(Avma) -> bool) -> Option<(u32, Avma)> {
        let has_it = |id: &ProcessId, site: &Avma| {
            has_breakpoint(id.pid, *site) && resolve::process::id(id.pid).ok() == Some(*id)
        };
        let mut carrying = self.carrying.values();
        // The other probe may have gone in between, and its breakpoint with it.
        let left =
            carrying.find(|(id, site)| has_it(id, site) && !is_shared(*site) && has_it(id, site));
        left.map(|(id, site)| (id.pid, *site))
    }
}

/// Code of a process begins with a breakpoint there.
pub(super) fn has_breakpoint(pid: u32, site: Avma) -> bool {
    text::process_bytes(pid, site, 1).is_ok_and(|bytes| bytes == [BREAKPOINT])
}

/// Children of a process, and theirs.
fn forked_from(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
                if found.len() == CHILDREN_MAX {
                    return found;
                }
                found.push(child);
                parents.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_and_carry_nothing() {
        let mut shell =
            std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let own = std::process::id();
        let found = loop {
            let found = forked_from(own);
            if found.contains(&shell.id()) && !forked_from(shell.id()).is_empty() {
                break forked_from(own);
            }
        };
        let sleep = forked_from(shell.id());
        assert!(sleep.iter().all(|pid| found.contains(pid)), "{found:?}");
        let own_code = Avma(children_are_found_and_carry_nothing as fn() as usize as u64);
        let mut children = Children::new(resolve::process::id(own).unwrap(), &Resolved::default());
        children.sites.push((own_code, b"other code".to_vec()));
        children.look();
        assert_eq!((children.most(), children.left(|_| false)), (0, None));
        for pid in sleep {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
    }
}
