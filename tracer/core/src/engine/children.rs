//! Processes that were forked from a target while it was probed: their copy of the code has the
//! breakpoint too. They pay for the trap, and their hits are nobody's.

use crate::attach::text;
use crate::model::address::Avma;
use crate::model::process::ProcessId;
use crate::resolve;
use std::collections::BTreeMap;
use std::fs;

/// `int3`.
const BREAKPOINT: u8 = 0xcc;
/// Children and children of children that are looked at.
const CHILDREN_MAX: usize = 1000;

/// Children of a target that carry its breakpoint.
#[derive(Debug)]
pub(super) struct Children {
    target: ProcessId,
    sites: Vec<Avma>,
    /// With the site where the breakpoint was seen.
    carrying: BTreeMap<u32, (ProcessId, Avma)>,
    /// The most that carried it at a time.
    most: u64,
}

impl Children {
    /// Of a target that is probed at `sites`.
    pub(super) fn new(target: ProcessId, sites: impl Iterator<Item = Avma>) -> Self {
        Self { target, sites: sites.collect(), carrying: BTreeMap::new(), most: 0 }
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

    /// A child has the code at the same addresses, unless it replaced its program.
    fn carries(&self, pid: u32) -> Option<(ProcessId, Avma)> {
        let id = resolve::process::id(pid).ok()?;
        let known = self.carrying.get(&pid).is_none_or(|(known, _)| *known == id);
        let site = self.sites.iter().find(|site| has_breakpoint(pid, **site))?;
        known.then_some((id, *site))
    }

    /// A child has a breakpoint still, after the removal: its pid, and where.
    pub(super) fn left(&self) -> Option<(u32, Avma)> {
        let carrying = self.carrying.values();
        let mut left = carrying.filter(|(id, site)| {
            has_breakpoint(id.pid, *site) && resolve::process::id(id.pid).ok() == Some(*id)
        });
        left.next().map(|(id, site)| (id.pid, *site))
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
        let site = Avma(children_are_found_and_carry_nothing as fn() as usize as u64);
        let mut children = Children::new(resolve::process::id(own).unwrap(), [site].into_iter());
        children.look();
        assert_eq!((children.most(), children.left()), (0, None));
        for pid in sleep {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
    }
}
