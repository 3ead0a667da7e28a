//! C strings, `char[N]`, `&str`.

use super::*;
use crate::decode::fake::{item, words};

fn text(address: u64, bytes: &[u8], status: Status, want: u64) -> Item {
    let mut item = item(ItemKind::Text, address, bytes);
    (item.status, item.want) = (status, want);
    item
}

/// What a `char *` to 0x1000 shows.
fn check(items: Vec<Item>, expected: &str) {
    let mut types = Types::default();
    let pointer = types.add("char *", 8, Shape::TextPointer);
    let mut all = vec![object(0x100, &words(&[0x1000]))];
    all.extend(items);
    assert_eq!(show(&decode(&types, all, pointer, 0x100)), expected);
}

#[test]
fn text_is_whole_or_says_how_it_was_cut() {
    check(vec![text(0x1000, b"hello", Status::Read, 5)], "\"hello\"");
    check(vec![text(0x1000, b"", Status::Read, 0)], "\"\"");
    check(vec![text(0x1000, b"hel", Status::LimitText, 5)], "\"hel\" of 5 cut limit_text");
    let cut = text(0x1000, b"hel", Status::LimitTextAtLeast, 65536);
    check(vec![cut], "\"hel\" of at least 65536 cut limit_text");
    let cut = text(0x1000, b"hel", Status::LimitBytes, 1024);
    check(vec![cut], "\"hel\" of at least 3 cut limit_bytes");
    let mut torn = text(0x1000, b"hel", Status::Fault, 3);
    torn.absent = Some(Absence::Unmapped);
    check(vec![torn], "\"hel\" of at least 3 cut unmapped");
}

#[test]
fn text_that_was_never_in_memory_is_not_empty() {
    let absent = Some(Absence::NotResident);
    check(vec![fault(ItemKind::Text, 0x1000, 0, absent)], "-> <not_resident>");
    check(vec![text(0x1000, b"", Status::LimitBytes, 9)], "-> <limit_bytes>");
    check(vec![], "-> <not_captured>");
}

#[test]
fn null_is_an_address_and_no_text() {
    let mut types = Types::default();
    let pointer = types.add("char *", 8, Shape::TextPointer);
    let items = vec![object(0x100, &words(&[0]))];
    assert_eq!(decode(&types, items, pointer, 0x100), Value::Address(0));
}

#[test]
fn a_character_array_ends_at_its_first_nul() {
    let mut types = Types::default();
    let char_type = types.scalar("char", Encoding::SignedChar, 1);
    let array = types.array(char_type, 8);
    let rows = types.array(array, 2);
    let value = |bytes: &[u8], id| show(&decode(&types, vec![object(0x100, bytes)], id, 0x100));
    assert_eq!(value(b"ab\0secre", array), "\"ab\"");
    assert_eq!(value(b"abcdefgh", array), "\"abcdefgh\"");
    assert_eq!(value(b"abc", array), "\"abc\" of 8 cut not_captured");
    assert_eq!(value(b"ab\0", array), "\"ab\"");
    assert_eq!(value(b"ab\0.....cd\0.....", rows), "[\"ab\", \"cd\"] of Some(2)");
    let limits = Limits { text_bytes_max: 2, ..Limits::DEFAULT };
    let record = record(vec![object(0x100, b"abcdefgh")]);
    let cut = decode_with(&types, &record, &limits, array, 0x100);
    assert_eq!(show(&cut), "\"ab\" of 8 cut limit_text");
}

#[test]
fn arrays_of_bytes_are_not_text() {
    let mut types = Types::default();
    let mut shown = |name: &str, encoding| {
        let element = types.scalar(name, encoding, 1);
        let array = types.array(element, 3);
        show(&decode(&types, vec![object(0x100, &[0, 100, 65])], array, 0x100))
    };
    let bytes = "[0 Some('\\0'), 100 Some('d'), 65 Some('A')] of Some(3)";
    for name in ["unsigned char", "uint8_t", "u_char"] {
        assert_eq!(shown(name, Encoding::UnsignedChar), bytes);
    }
    for name in ["signed char", "int8_t", "s8"] {
        assert_eq!(shown(name, Encoding::SignedChar), bytes);
    }
    assert_eq!(shown("u8", Encoding::Unsigned), "[0, 100, 65] of Some(3)");
    for (name, encoding) in [
        ("char", Encoding::SignedChar),
        ("const char", Encoding::UnsignedChar),
        ("gchar", Encoding::SignedChar),
        ("char8_t", Encoding::Utf),
    ] {
        assert_eq!(shown(name, encoding), "\"\"");
    }
}

#[test]
fn text_slices_are_as_long_as_they_say() {
    let mut types = Types::default();
    let byte = types.scalar("u8", Encoding::Unsigned, 1);
    let shape = Shape::Slice { element: byte, pointer_offset: 0, length_offset: 8, text: true };
    let slice = types.add("&str", 16, shape);
    let value = |length: u64, behind: Item| {
        let record = record(vec![object(0x100, &words(&[0x1000, length])), behind]);
        let limits = Limits { text_bytes_max: 4, ..Limits::DEFAULT };
        show(&decode_with(&types, &record, &limits, slice, 0x100))
    };
    assert_eq!(value(3, object(0x1000, b"abcd")), "\"abc\"");
    assert_eq!(value(0, object(0x1000, b"abcd")), "\"\"");
    assert_eq!(value(9, object(0x1000, b"abcd")), "\"abcd\" of 9 cut limit_text");
    assert_eq!(value(9, object(0x1000, b"ab")), "\"ab\" of 9 cut not_captured");
    let absent = Some(Absence::NotResident);
    assert_eq!(value(9, fault(ItemKind::Object, 0x1000, 9, absent)), "-> <not_resident>");
}
