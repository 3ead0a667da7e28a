//! Expressions and location lists. hazards B5.

use super::bytes::Bytes;
use super::dwarf::{DATA4, Info, LOCATION, NAME, OFFSET, PARAMETER, STRING, TYPE};
use super::{Base, Made, with};

pub(super) const BOMBS: &[Made] = &[
    // DW_OP_skip to itself; DW_OP_bra in a circle of both.
    ("an expression that loops", |base| located(base, &[0x2f, 0xfd, 0xff])),
    ("an expression that branches for ever", |base| {
        located(base, &[0x31, 0x12, 0x28, 0xfb, 0xff, 0x31, 0x28, 0xf7, 0xff])
    }),
    ("an expression that calls itself", called),
    ("entry values within one another", entry_values),
    ("an expression of 10 MB", |base| located(base, &[0x31].repeat(base.many(10 << 20)))),
    ("ten million pieces", |base| located(base, &[0x50, 0x93, 0x00].repeat(base.many(3 << 20)))),
    ("reads without end", |base| {
        let mut reads = vec![0x75, 0];
        reads.extend([0x06].repeat(1 << 20));
        located(base, &reads)
    }),
    ("long location lists", lists),
    ("a constant of 32 MB", |base| {
        let mut value = Bytes::new();
        value.u8(0x9e).leb(32 << 20).times(32 << 20, &[7]);
        located(base, &value.0)
    }),
];

fn located(base: &Base, location: &[u8]) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.open_function().located("value", number, location).end();
    with(base, &info.finish())
}

/// DW_OP_call4 and DW_OP_call2 of the entry that they are in.
fn called(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.open_function();
    let here = info.here();
    let (low, high) = (here as u8, (here >> 8) as u8);
    info.located("value", number, &[0x98, low, high, 0x98, low, high]);
    info.located("value", number, &[0x99, low, high, 0, 0]).end();
    with(base, &info.finish())
}

/// DW_OP_entry_value of DW_OP_entry_value, thousands deep.
fn entry_values(base: &Base) -> Vec<u8> {
    let mut inner = vec![0x55];
    for _ in 0..20_000 {
        let mut outer = Bytes::new();
        outer.u8(0xa3).leb(inner.len() as u64);
        outer.0.extend(inner);
        inner = outer.0;
    }
    located(base, &inner)
}

/// A million entries in one list, and a hundred thousand parameters that each have it.
fn lists(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    let parameter =
        info.abbreviation(PARAMETER, false, &[(NAME, STRING), (TYPE, DATA4), (LOCATION, OFFSET)]);
    let typed = info.abbreviation(
        PARAMETER,
        false,
        &[(NAME, STRING), (TYPE, super::dwarf::REF4), (LOCATION, OFFSET)],
    );
    info.open_function();
    for code in [parameter, typed] {
        let mut entry = Bytes::new();
        entry.leb(code).text("p").u32(number).u32(12);
        info.dies.times(base.many(50_000), &entry.0);
    }
    info.end();
    let mut list = Bytes::new();
    // DW_LLE_offset_pair beside the function, DW_OP_reg5.
    list.times(base.many(1 << 20), &[4, 0x7f, 0x7f, 1, 0x55]).u8(0);
    let mut content = Bytes::new();
    content.u16(5).u8(8).u8(0).u32(0).raw(&list.0);
    let mut all = Bytes::new();
    all.sized(&content);
    info.section(".debug_loclists", all.0);
    with(base, &info.finish())
}
