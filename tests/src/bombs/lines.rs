//! Line tables. hazards B2, B6.

use super::bytes::Bytes;
use super::dwarf::{FLAG_PRESENT, Info, STRING, from_start, line_table};
use super::{Base, Made, with};

const USUAL: [u8; 5] = [1, 1, 1, 0xfb, 14];
const END: [u8; 3] = [0, 1, 1];

pub(super) const BOMBS: &[Made] = &[
    ("lines whose addresses overflow", overflow),
    ("lines that run backwards", backwards),
    ("lines with instructions of no bytes", |base| special(base, [0, 1, 1, 0xfb, 14])),
    ("lines with a range of nothing", |base| special(base, [1, 1, 1, 0xfb, 0])),
    ("lines with no operations", |base| special(base, [1, 0, 1, 0xfb, 14])),
    ("millions of lines", millions),
    ("millions of runs of code", runs),
    ("2 to the 62 directories", |base| entries(base, &[], 1 << 62)),
    ("directories of nothing", |base| entries(base, &[(1, FLAG_PRESENT)], 1 << 40)),
    ("a million files", files),
    ("long paths", paths),
];

fn program(base: &Base, program: &Bytes, numbers: [u8; 5]) -> Vec<u8> {
    let mut info = Info::new(base);
    info.lines = line_table(program, &numbers, None);
    let number = info.number;
    info.function_of(number);
    with(base, &info.finish())
}

fn overflow(base: &Base) -> Vec<u8> {
    let mut lines = from_start(base);
    lines.u8(3).leb(9).u8(1);
    for _ in 0..1000 {
        lines.u8(2).leb(u64::MAX).u8(1).u8(3).leb(i64::MAX as u64).u8(1);
    }
    lines.raw(&END);
    program(base, &lines, USUAL)
}

fn backwards(base: &Base) -> Vec<u8> {
    let mut lines = from_start(base);
    lines.u8(3).leb(9).u8(1);
    for number in 0..1_000_u64 {
        lines.u8(0).u8(9).u8(2).u64(base.start - number % 7).u8(1);
    }
    lines.raw(&END);
    program(base, &lines, USUAL)
}

fn special(base: &Base, numbers: [u8; 5]) -> Vec<u8> {
    let mut lines = from_start(base);
    for opcode in 13..=255 {
        lines.u8(opcode);
    }
    lines.u8(8).u8(9).u16(1).u8(1).raw(&END);
    program(base, &lines, numbers)
}

/// A row for each byte.
fn millions(base: &Base) -> Vec<u8> {
    let mut lines = from_start(base);
    lines.u8(3).leb(9).times(base.many(30 << 20), &[1]).u8(2).leb(8).raw(&END);
    program(base, &lines, USUAL)
}

/// Sequences of two rows.
fn runs(base: &Base) -> Vec<u8> {
    let mut one = from_start(base);
    one.u8(3).leb(9).u8(1).u8(2).leb(8).raw(&END);
    let mut lines = Bytes::new();
    lines.times(base.many(1_000_000), &one.0);
    program(base, &lines, USUAL)
}

/// Lists of directories and of files, so many of them, in some forms.
fn entries(base: &Base, forms: &[(u64, u64)], count: u64) -> Vec<u8> {
    let mut list = Bytes::new();
    for _ in 0..2 {
        list.u8(forms.len() as u8);
        for (content, form) in forms {
            list.leb(*content).leb(*form);
        }
        list.leb(count);
    }
    let mut info = Info::new(base);
    info.lines = line_table(&from_start(base), &USUAL, Some(&list));
    let number = info.number;
    info.function_of(number);
    with(base, &info.finish())
}

fn files(base: &Base) -> Vec<u8> {
    let mut list = Bytes::new();
    list.u8(1).u8(1).leb(STRING).u8(1).text("/tmp");
    let count = base.many(1_000_000);
    list.u8(1).u8(1).leb(STRING).leb(count as u64);
    list.times(count, b"bomb.c\0");
    let mut info = Info::new(base);
    let mut lines = from_start(base);
    lines.u8(3).leb(9).u8(1).u8(2).leb(8).raw(&END);
    info.lines = line_table(&lines, &USUAL, Some(&list));
    let number = info.number;
    info.function_of(number);
    with(base, &info.finish())
}

/// Many files that are all one long text.
fn paths(base: &Base) -> Vec<u8> {
    let mut list = Bytes::new();
    // DW_FORM_line_strp.
    list.u8(1).u8(1).leb(0x1f).u8(1).u32(0);
    list.u8(1).u8(1).leb(0x1f).leb(base.many(200_000) as u64);
    for number in 0..base.many(200_000) as u32 {
        list.u32(number % 4000);
    }
    let mut info = Info::new(base);
    let mut lines = from_start(base);
    lines.u8(3).leb(9).u8(1).u8(2).leb(8).raw(&END);
    info.lines = line_table(&lines, &USUAL, Some(&list));
    info.section(".debug_line_str", ["a/".repeat(2000), "bomb.c\0".to_owned()].concat().into());
    let number = info.number;
    info.function_of(number);
    with(base, &info.finish())
}
