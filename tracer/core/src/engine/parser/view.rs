//! The code of a process for who decodes a hit, less what has changed since the probe was placed.

use crate::binary::cfi::UnwindRow;
use crate::binary::code_map::{CallSite, CodeFrame, CodeMap};
use crate::binary::modules::Code;
use crate::model::address::Avma;
use std::ops::Range;
use std::sync::Arc;

/// Code, and where of it nothing is told any more.
pub(super) struct View<'c> {
    pub(super) code: &'c Code<'c>,
    pub(super) changed: &'c [Range<Avma>],
}

impl<'c> View<'c> {
    fn then(&self, address: Avma) -> Option<&'c Code<'c>> {
        let is_changed = self.changed.iter().any(|range| range.contains(&address));
        (!is_changed).then_some(self.code)
    }
}

impl CodeMap for View<'_> {
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
        let whole = View { code: &code, changed: &[] };
        assert!(whole.module_name(own).is_some() && !whole.frames(own).is_empty());
        let changed = [process.mapping_at(own).unwrap().range.clone()];
        let less = View { code: &code, changed: &changed };
        assert_eq!(less.module_name(own), None);
        assert!(less.frames(own).is_empty() && less.unwind_row(own).is_err());
    }
}
