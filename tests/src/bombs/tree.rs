//! References in circles, and trees that are too deep or too wide. hazards B3, B4, B7, B8.

use super::bytes::Bytes;
use super::dwarf::{
    ADDRESS, ARRAY, BASE, BLOCK, CALL_ORIGIN, CALL_SITE, DATA1, DATA4, FLAG_PRESENT, HIGH_PC,
    IMPLICIT, IMPORT, IMPORTED_UNIT, INLINED, Info, LOW_PC, MEMBER, MEMBER_OFFSET, NAME, OFFSET,
    ORIGIN, POINTER, RANGES, REF_SIG8, REF4, SIBLING, SIGNATURE, SPECIFICATION, STRING, STRUCTURE,
    SUBPROGRAM, TYPE, TYPEDEF, VARIABLE, unit,
};
use super::elf::Section;
use super::{Base, Made, with};

const DEPTH: usize = 1_000_000;

pub(super) const BOMBS: &[Made] = &[
    ("abstract origins in a circle", |base| circle(base, SUBPROGRAM, ORIGIN)),
    ("specifications in a circle", |base| circle(base, SUBPROGRAM, SPECIFICATION)),
    ("types in a circle", |base| circle(base, TYPEDEF, TYPE)),
    ("imports in a circle", |base| circle(base, IMPORTED_UNIT, IMPORT)),
    ("siblings in a circle", siblings),
    ("call origins in a circle", |base| circle(base, CALL_SITE, CALL_ORIGIN)),
    ("variables that are one another", |base| circle(base, VARIABLE, ORIGIN)),
    ("signatures in a circle", signatures),
    ("a struct in itself", struct_in_itself),
    ("an array of itself", array_of_itself),
    ("blocks a million deep", |base| deep(base, BLOCK)),
    ("inlined calls a million deep", |base| deep(base, INLINED)),
    ("structs a million deep", |base| deep(base, STRUCTURE)),
    ("pointers to pointers", pointers),
    ("a million members", members),
    ("a struct of structs of structs", powers),
    ("a million parameters", parameters),
    ("a million functions of many ranges", ranges),
    ("blocks of many ranges", block_ranges),
    ("entries of one byte", one_byte),
    ("ranges that end before they start", backwards),
    ("numbers that never end", endless_numbers),
    ("a unit of 2 to the 63 bytes", huge_unit),
    ("unknown forms", unknown_forms),
    ("forms within forms", indirect),
];

/// Three entries that refer to each other in a circle, and one to itself; a parameter has each of
/// them for its type.
fn circle(base: &Base, tag: u64, attribute: u64) -> Vec<u8> {
    let mut info = Info::new(base);
    let code =
        info.abbreviation(tag, false, &[(LOW_PC, ADDRESS), (HIGH_PC, DATA4), (attribute, REF4)]);
    let first = info.here();
    // Code in one byte, address, length, reference.
    let size = 17;
    for to in [first + size, first + 2 * size, first, first + 3 * size] {
        info.dies.leb(code).u64(base.start).u32(base.size).u32(to);
    }
    info.open_function();
    for number in 0..4 {
        info.parameter("value", first + number * size);
    }
    for to in [first, first + 3 * size] {
        info.dies.leb(code).u64(base.start).u32(base.size).u32(to);
    }
    info.end();
    with(base, &info.finish())
}

fn siblings(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let block = info.abbreviation(BLOCK, true, &[(SIBLING, REF4)]);
    info.open_function();
    for _ in 0..1000 {
        let here = info.here();
        info.dies.leb(block).u32(here).leb(block).u32(here.wrapping_sub(5)).u8(0).u8(0);
    }
    info.end();
    with(base, &info.finish())
}

/// A type unit whose type is another one by its signature, which is the first one.
fn signatures(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let stub = info.abbreviation(STRUCTURE, false, &[(NAME, STRING), (SIGNATURE, REF_SIG8)]);
    let at = info.here();
    info.dies.leb(stub).text("first").u64(1);
    info.function_of(at);
    let mut sections = info.finish();
    for (own, other) in [(1_u64, 2_u64), (2, 1)] {
        let mut dies = Bytes::new();
        dies.leb(stub).text("other").u64(other);
        let mut more = own.to_le_bytes().to_vec();
        more.extend(24_u32.to_le_bytes());
        sections[0].bytes.extend(unit(&dies, 2, &more).0);
    }
    with(base, &sections)
}

fn struct_in_itself(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let structure = info.abbreviation(STRUCTURE, true, &[(NAME, STRING), (0x0b, DATA4)]);
    let member = info.abbreviation(MEMBER, false, &[(TYPE, REF4), (MEMBER_OFFSET, DATA1)]);
    let at = info.here();
    info.dies.leb(structure).text("itself").u32(64);
    for offset in 0..60 {
        info.dies.leb(member).u32(at).u8(offset);
    }
    info.end().function_of(at);
    with(base, &info.finish())
}

fn array_of_itself(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let array = info.abbreviation(ARRAY, true, &[(TYPE, REF4)]);
    let range = info.abbreviation(0x21, false, &[(0x37, DATA4)]);
    let at = info.here();
    info.dies.leb(array).u32(at);
    for _ in 0..15 {
        info.dies.leb(range).u32(u32::MAX);
    }
    info.end().function_of(at);
    with(base, &info.finish())
}

fn deep(base: &Base, tag: u64) -> Vec<u8> {
    let mut info = Info::new(base);
    let code = info.abbreviation(tag, true, &[(LOW_PC, ADDRESS), (HIGH_PC, DATA4), (TYPE, REF4)]);
    info.open_function();
    let at = info.here();
    let mut entry = Bytes::new();
    entry.leb(code).u64(base.start).u32(base.size).u32(at);
    info.dies.times(base.many(DEPTH), &entry.0).times(base.many(DEPTH), &[0]);
    info.parameter("value", at).end();
    with(base, &info.finish())
}

fn pointers(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let pointer = info.abbreviation(POINTER, false, &[(TYPE, REF4)]);
    let first = info.here();
    for number in 0..base.many(DEPTH) as u32 {
        info.dies.leb(pointer).u32(first + (number + 1) * 5);
    }
    info.dies.leb(pointer).u32(first);
    info.function_of(first);
    with(base, &info.finish())
}

fn members(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let structure = info.abbreviation(STRUCTURE, true, &[(0x0b, DATA4)]);
    let member = info.abbreviation(MEMBER, false, &[(TYPE, REF4), (MEMBER_OFFSET, DATA1)]);
    let (at, number) = (info.here(), info.number);
    info.dies.leb(structure).u32(8);
    let mut entry = Bytes::new();
    entry.leb(member).u32(number).u8(0);
    info.dies.times(base.many(2 * DEPTH), &entry.0);
    info.end().function_of(at);
    with(base, &info.finish())
}

/// Each struct holds the one before ten times: the last one 10 to the 60 of the first.
fn powers(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let structure = info.abbreviation(STRUCTURE, true, &[(0x0b, DATA4)]);
    let member = info.abbreviation(MEMBER, false, &[(TYPE, REF4), (MEMBER_OFFSET, DATA1)]);
    let mut last = info.number;
    for _ in 0..60 {
        let at = info.here();
        info.dies.leb(structure).u32(64);
        for _ in 0..10 {
            info.dies.leb(member).u32(last).u8(0);
        }
        info.end();
        last = at;
    }
    info.function_of(last);
    with(base, &info.finish())
}

fn parameters(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.open_function();
    let start = info.dies.len();
    info.parameter("p", number);
    let one = info.dies.0[start..].to_vec();
    info.dies.times(base.many(DEPTH), &one);
    info.end();
    with(base, &info.finish())
}

/// A list of ranges: pairs of offsets from the unit's start (DW_RLE_offset_pair), `count` of them
/// beside the function, and the function last.
fn range_list(count: usize) -> Vec<u8> {
    let mut list = Bytes::new();
    list.times(count, &[4, 0x7f, 0x7f]);
    list.u8(4).leb(0).leb(0x40).u8(0);
    let mut content = Bytes::new();
    content.u16(5).u8(8).u8(0).u32(0).raw(&list.0);
    let mut all = Bytes::new();
    all.sized(&content);
    all.0
}

const LIST_AT: u32 = 12;

fn ranges(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let function = info.abbreviation(SUBPROGRAM, false, &[(NAME, STRING), (RANGES, OFFSET)]);
    let mut entry = Bytes::new();
    entry.leb(function).text("many").u32(LIST_AT);
    info.dies.times(base.many(DEPTH), &entry.0);
    let number = info.number;
    info.function_of(number);
    info.section(".debug_rnglists", range_list(base.many(1 << 20)));
    with(base, &info.finish())
}

fn block_ranges(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let block = info.abbreviation(BLOCK, false, &[(RANGES, OFFSET)]);
    info.open_function();
    let mut entry = Bytes::new();
    entry.leb(block).u32(LIST_AT);
    info.dies.times(base.many(DEPTH), &entry.0);
    info.end();
    info.section(".debug_rnglists", range_list(base.many(1 << 20)));
    with(base, &info.finish())
}

/// Functions with all that they say in their abbreviation.
fn one_byte(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let function =
        info.abbreviation(SUBPROGRAM, false, &[(LOW_PC, IMPLICIT), (0x3c, FLAG_PRESENT)]);
    info.dies.times(base.many(8 << 20), &[function as u8]);
    let number = info.number;
    info.function_of(number);
    with(base, &info.finish())
}

fn backwards(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let function = info.abbreviation(
        SUBPROGRAM,
        false,
        &[(NAME, STRING), (LOW_PC, ADDRESS), (HIGH_PC, ADDRESS)],
    );
    let (start, end) = (base.start, base.start + u64::from(base.size));
    for (low, high) in [(end, start), (0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX), (1, end)]
    {
        for _ in 0..1000 {
            info.dies.leb(function).text("counted").u64(low).u64(high);
        }
    }
    let number = info.number;
    info.function_of(number);
    let mut aranges = Bytes::new();
    aranges.u16(2).u32(0).u8(8).u8(0).u32(0);
    for (low, length) in [(start, u64::MAX), (u64::MAX, 1), (0, u64::MAX)] {
        for _ in 0..200_000 {
            aranges.u64(low).u64(length);
        }
    }
    aranges.u64(0).u64(0);
    let mut all = Bytes::new();
    all.sized(&aranges);
    info.section(".debug_aranges", all.0);
    with(base, &info.finish())
}

fn endless_numbers(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    // DW_FORM_udata and DW_FORM_block, each of more than 64 bits.
    let odd = info.abbreviation(SUBPROGRAM, false, &[(NAME, STRING), (HIGH_PC, 0x0f)]);
    let number = info.number;
    info.function_of(number);
    info.dies.leb(odd).text("odd").times(1 << 20, &[0xff]).u8(0);
    with(base, &info.finish())
}

fn huge_unit(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let number = info.number;
    info.function_of(number);
    let mut sections = info.finish();
    let mut huge = Bytes::new();
    huge.u32(u32::MAX).u64(1 << 63).raw(&sections[0].bytes[4..]);
    sections[0].bytes.extend(huge.0);
    with(base, &sections)
}

fn unknown_forms(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    for form in [0x02, 0x1d, 0x2d, 0x7f, 0x1f03, 0xffff] {
        let odd = info.abbreviation(BASE, false, &[(NAME, form), (0x3fff, form)]);
        info.dies.leb(odd).u64(0);
    }
    let number = info.number;
    info.function_of(number);
    with(base, &info.finish())
}

/// DW_FORM_indirect that says DW_FORM_indirect, a million times.
fn indirect(base: &Base) -> Vec<u8> {
    let mut info = Info::new(base);
    let code = info.abbreviation(SUBPROGRAM, false, &[(NAME, 0x16)]);
    let number = info.number;
    info.function_of(number);
    info.dies.leb(code).times(base.many(DEPTH), &[0x16]).u8(DATA1 as u8).u8(0);
    let sections: Vec<Section> = info.finish();
    with(base, &sections)
}
