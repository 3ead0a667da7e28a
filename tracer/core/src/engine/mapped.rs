//! The code of the process as it was when the probe was placed, and what of it is not the same any
//! more: libraries come and go while a probe waits, and another one may take a freed address.

use crate::model::address::Avma;
use crate::model::process::{Mapping, Process};
use std::cell::RefCell;
use std::ops::Range;

/// What was mapped in a process to be run, and what of it has changed since it was looked at.
pub(super) struct Mapped {
    then: Vec<Mapping>,
    changed: RefCell<Vec<Range<Avma>>>,
}

impl Mapped {
    /// `process` is what was looked at.
    pub(super) fn new(process: &Process) -> Self {
        let then = process.mappings.iter().filter(|mapping| is_code(mapping)).cloned().collect();
        Self { then, changed: RefCell::default() }
    }

    /// Notes what has changed. A record from before `now` was read may rely on all that is as it
    /// was; what changed in between is not trusted, even for a hit that came before the change.
    pub(super) fn update(&self, now: &Process) {
        let is_same = |then: &&Mapping| {
            now.mapping_at(then.range.start).is_some_and(|now| {
                (&now.range, now.file_offset, now.file)
                    == (&then.range, then.file_offset, then.file)
            })
        };
        let gone = self.then.iter().filter(|then| !is_same(then));
        let mut changed = self.changed.borrow_mut();
        for range in gone.map(|mapping| mapping.range.clone()) {
            if !changed.contains(&range) {
                changed.push(range);
            }
        }
    }

    /// The code at `address` is not what it was.
    pub(super) fn is_changed(&self, address: Avma) -> bool {
        self.changed.borrow().iter().any(|range| range.contains(&address))
    }

    /// What has changed.
    pub(super) fn changed(&self) -> Vec<Range<Avma>> {
        self.changed.borrow().clone()
    }
}

fn is_code(mapping: &Mapping) -> bool {
    mapping.execute && mapping.file.2 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve;

    /// SEM-5
    #[test]
    fn what_was_replaced_once_is_not_trusted_again() {
        let process = resolve::process::read(std::process::id()).unwrap();
        let own = Avma(what_was_replaced_once_is_not_trusted_again as fn() as usize as u64);
        let mapped = Mapped::new(&process);
        mapped.update(&process);
        assert!(!mapped.is_changed(own) && mapped.changed().is_empty());
        let mut replaced = process.clone();
        let place = replaced.mappings.iter_mut().find(|m| m.range.contains(&own)).unwrap();
        place.file.2 += 1;
        mapped.update(&replaced);
        assert!(mapped.is_changed(own));
        // Whatever is there later.
        mapped.update(&process);
        assert!(mapped.is_changed(own) && mapped.changed().len() == 1);
    }
}
