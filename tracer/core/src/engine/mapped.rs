//! The code of the process as it was when the probe was placed, and what of it is not the same any
//! more: libraries come and go while a probe waits, and another one may take a freed address.

use crate::binary::cfi::UnwindRow;
use crate::binary::code_map::{CallSite, CodeFrame, CodeMap};
use crate::binary::modules::Code;
use crate::model::address::Avma;
use crate::model::process::{Mapping, Process};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// The code of a process, less what has changed since it was looked at.
pub(super) struct Mapped<'m> {
    code: &'m Code<'m>,
    then: Vec<Mapping>,
    changed: RefCell<Vec<Range<Avma>>>,
}

impl<'m> Mapped<'m> {
    /// `process` is what `code` was read from.
    pub(super) fn new(code: &'m Code<'m>, process: &Process) -> Self {
        let then = process.mappings.iter().filter(|mapping| is_code(mapping)).cloned().collect();
        Self { code, then, changed: RefCell::default() }
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

    fn then(&self, address: Avma) -> Option<&'m Code<'m>> {
        (!self.is_changed(address)).then_some(self.code)
    }
}

fn is_code(mapping: &Mapping) -> bool {
    mapping.execute && mapping.file.2 != 0
}

impl CodeMap for Mapped<'_> {
    fn module_name(&self, pc: Avma) -> Option<String> {
        self.then(pc)?.module_name(pc)
    }

    fn unwind_row(&self, pc: Avma) -> Result<UnwindRow, String> {
        match self.then(pc) {
            Some(code) => code.unwind_row(pc),
            None => Err("another file was mapped there while the probe was placed".to_owned()),
        }
    }

    fn frames(&self, pc: Avma) -> Vec<CodeFrame> {
        self.then(pc).map(|code| code.frames(pc)).unwrap_or_default()
    }

    fn call_site(&self, return_address: Avma, callee: Avma) -> Result<Arc<CallSite>, String> {
        match (self.then(return_address), self.then(callee)) {
            (Some(code), Some(_)) => code.call_site(return_address, callee),
            _ => Err("another file was mapped there while the probe was placed".to_owned()),
        }
    }

    fn symbol_at(&self, address: Avma) -> Option<String> {
        self.then(address)?.symbol_at(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::modules::Modules;
    use crate::resolve;

    /// SEM-5
    #[test]
    fn code_that_was_replaced_has_no_name() {
        let process = resolve::process::read(std::process::id()).unwrap();
        let modules = Modules::of(&process);
        let code = Code::new(&modules);
        let own = Avma(code_that_was_replaced_has_no_name as fn() as usize as u64);
        let mapped = Mapped::new(&code, &process);
        mapped.update(&process);
        assert!(mapped.module_name(own).is_some());
        assert!(!mapped.frames(own).is_empty());

        let mut replaced = process.clone();
        let place = replaced.mappings.iter_mut().find(|m| m.range.contains(&own)).unwrap();
        place.file.2 += 1;
        mapped.update(&replaced);
        assert!(mapped.is_changed(own));
        assert_eq!(mapped.module_name(own), None);
        assert!(mapped.frames(own).is_empty());
        assert!(mapped.unwind_row(own).is_err());

        // What has changed once is not trusted again, whatever is there later.
        mapped.update(&process);
        assert!(mapped.is_changed(own));
    }
}
