//! A made-up hit, and what is decoded of it.

use tracer_common::status::Status;
use tracer_common::wire::{FS_BASE, ItemKind, REGISTERS, RFLAGS, RIP};
use tracer_core::binary::code_map::CodeMap;
use tracer_core::model::address::Avma;
use tracer_core::model::limits::Limits;
use tracer_core::model::record::{Item, Record};
use tracer_core::model::resolved::Site;
use tracer_core::model::types::TypeGraph;

/// Where the memory of a hit is; its words point into it.
const MEMORY: u64 = 0x7000;
const WORDS: u64 = 256;

/// A hit at `pc`: all registers point into memory that points to itself.
pub(crate) fn record(pc: Avma) -> Record {
    let mut registers = [0; REGISTERS];
    for (number, register) in (0..).zip(&mut registers) {
        *register = MEMORY + number * 8;
    }
    registers[RIP] = pc.0;
    registers[RFLAGS] = 0x246;
    registers[FS_BASE] = MEMORY;
    let word = |number: u64| MEMORY + number * 40 % (WORDS * 8);
    let bytes: Vec<u8> = (0..WORDS).flat_map(|number| word(number).to_le_bytes()).collect();
    let item = |kind| Item {
        address: Avma(MEMORY),
        want: bytes.len() as u64,
        bytes: bytes.clone(),
        status: Status::Read,
        absent: None,
        kind,
        layout: 0,
        depth: 0,
    };
    Record {
        site: 0,
        hit: 1,
        time_boot_ns: 2,
        start_boot_ns: 1,
        pid: 100,
        tid: 101,
        cpu: 0,
        comm: b"worker".to_vec(),
        registers,
        flags: 0,
        items: vec![item(ItemKind::Stack), item(ItemKind::Object)],
        late: Vec::new(),
    }
}

/// Decodes a record as one of `site`.
pub(crate) fn decode(
    record: &Record,
    index: usize,
    site: &Site,
    types: &TypeGraph,
    code: &dyn CodeMap,
) {
    let capture =
        tracer_core::decode::decode(record, index, site, types, &Limits::DEFAULT, code, 0);
    // Whoever shows it walks the whole tree.
    assert!(capture.frames.len() <= 1 << 16);
    drop(format!("{capture:?}"));
}
