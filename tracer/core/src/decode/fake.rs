//! What tests of this stage are made of: records, a process's code.

use crate::binary::cfi::UnwindRow;
use crate::binary::code_map::{CallSite, CodeFrame, CodeMap};
use crate::model::address::Avma;
use crate::model::record::{Item, Record};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tracer_common::status::Status;
use tracer_common::wire::{ItemKind, REGISTERS, RSP};

pub(super) fn item(kind: ItemKind, address: u64, bytes: &[u8]) -> Item {
    Item {
        address: Avma(address),
        want: bytes.len() as u64,
        bytes: bytes.to_vec(),
        status: Status::Read,
        absent: None,
        kind,
        layout: 0,
        depth: 0,
    }
}

pub(super) fn object(address: u64, bytes: &[u8]) -> Item {
    item(ItemKind::Object, address, bytes)
}

/// Words as bytes.
pub(super) fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(super) fn record(items: Vec<Item>) -> Record {
    Record {
        site: 0,
        hit: 1,
        time_boot_ns: 2,
        start_boot_ns: 1,
        pid: 100,
        tid: 101,
        cpu: 0,
        comm: b"worker".to_vec(),
        registers: [0; REGISTERS],
        flags: 0,
        items,
        late: Vec::new(),
    }
}

/// A record with a stack that starts at `sp`.
pub(super) fn record_with_stack(sp: u64, stack: &[u64], mut items: Vec<Item>) -> Record {
    items.insert(0, item(ItemKind::Stack, sp, &words(stack)));
    let mut record = record(items);
    record.registers[RSP] = sp;
    record
}

/// Code that the test states.
#[derive(Default)]
pub(super) struct FakeCode {
    pub(super) modules: Vec<(Range<u64>, &'static str)>,
    pub(super) rows: Vec<(Range<u64>, UnwindRow)>,
    pub(super) frames: Vec<(Range<u64>, Vec<&'static str>)>,
    pub(super) calls: BTreeMap<u64, CallSite>,
    pub(super) symbols: BTreeMap<u64, &'static str>,
}

fn at<T>(ranges: &[(Range<u64>, T)], pc: Avma) -> Option<&T> {
    ranges.iter().find(|(range, _)| range.contains(&pc.0)).map(|(_, value)| value)
}

impl CodeMap for FakeCode {
    fn module_name(&self, pc: Avma) -> Option<String> {
        at(&self.modules, pc).map(|name| (*name).to_owned())
    }

    fn unwind_row(&self, pc: Avma) -> Result<UnwindRow, String> {
        at(&self.rows, pc).cloned().ok_or_else(|| "none for this address".to_owned())
    }

    fn frames(&self, pc: Avma) -> Vec<CodeFrame> {
        let names = at(&self.frames, pc).cloned().unwrap_or_default();
        let frame = |name: &str| CodeFrame { function: Some(name.to_owned()), line: None };
        names.into_iter().map(frame).collect()
    }

    fn call_site(&self, return_address: Avma, _callee: Avma) -> Result<Arc<CallSite>, String> {
        let known = self.calls.get(&return_address.0).cloned();
        known.map(Arc::new).ok_or_else(|| "no call is described there".to_owned())
    }

    fn symbol_at(&self, address: Avma) -> Option<String> {
        self.symbols.get(&address.0).map(|name| (*name).to_owned())
    }
}
