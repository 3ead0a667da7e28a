//! Memory that was found after the hit: shown, known as such, and nothing concluded from it.

use super::*;
use crate::decode::fake::words;
use crate::model::address::Avma;
use crate::model::capture::Provenance;
use crate::model::record::LateBytes;

fn late(address: u64, bytes: &[u8], provenance: Provenance) -> LateBytes {
    LateBytes { address: Avma(address), bytes: bytes.to_vec(), provenance }
}

/// What a pointer at 0x100 to 0x1000 shows, and where it says that came from.
fn follow(
    types: &Types,
    pointer: TypeId,
    items: Vec<Item>,
    bytes: Vec<LateBytes>,
) -> (String, Option<Provenance>) {
    let mut all = vec![object(0x100, &words(&[0x1000, 2]))];
    all.extend(items);
    let mut record = record(all);
    record.late = bytes;
    let value = decode_with(types, &record, &Limits::DEFAULT, pointer, 0x100);
    let provenance = match &value {
        Value::Pointer { provenance, .. } | Value::Text { provenance, .. } => Some(*provenance),
        _ => None,
    };
    (show(&value), provenance)
}

#[test]
fn an_object_says_where_its_weakest_part_came_from() {
    let mut types = Types::default();
    let long = types.long();
    let array = types.array(long, 3);
    let pointer = types.pointer(array);
    let item = |copied: &[u8]| {
        let mut item = fault(ItemKind::Object, 0x1000, 24, Some(Absence::NotResident));
        item.bytes = copied.to_vec();
        item
    };
    let check = |copied: &[u64], found: &[(u64, u64, Provenance)], expected: &str, from| {
        let late = |&(address, word, provenance): &(u64, u64, Provenance)| {
            late(address, &words(&[word]), provenance)
        };
        let found = found.iter().map(late).collect();
        let shown = follow(&types, pointer, vec![item(&words(copied))], found);
        assert_eq!(shown, (expected.to_owned(), Some(from)));
    };
    let (file, zero, after) =
        (Provenance::MappedFile, Provenance::Untouched, Provenance::ReadAfterHit);
    let all = "-> [1, 2, 3] of Some(3)";
    check(&[1, 2, 3], &[], all, Provenance::Live);
    check(&[1, 2], &[(0x1010, 3, file)], all, file);
    check(&[1], &[(0x1008, 2, after), (0x1010, 3, zero)], all, after);
    // What was copied at the hit is not overwritten.
    check(&[1, 2], &[(0x1008, 9, after), (0x1010, 3, file)], all, file);
    let cut = "-> [1, 2] of Some(3) cut not_resident";
    check(&[1], &[(0x1008, 2, zero)], cut, zero);
    check(&[], &[], "-> <not_resident>", Provenance::None);
}

#[test]
fn why_the_rest_is_missing_is_told_of_the_rest() {
    let mut types = Types::default();
    let long = types.long();
    let array = types.array(long, 3);
    let pointer = types.pointer(array);
    for (absence, code) in [
        (Absence::TooLate, "too_late"),
        (Absence::LimitBytes, "limit_bytes"),
        (Absence::Unmapped, "unmapped"),
    ] {
        let item = fault(ItemKind::Object, 0x1000, 24, Some(absence));
        let found = vec![late(0x1000, &words(&[1]), Provenance::MappedFile)];
        let (shown, _) = follow(&types, pointer, vec![item], found);
        assert_eq!(shown, format!("-> [1] of Some(3) cut {code}"));
    }
}

/// LATE-1
#[test]
fn a_pointer_that_was_read_after_the_hit_is_not_followed() {
    let mut types = Types::default();
    let long = types.long();
    let inner = types.pointer(long);
    let outer = types.pointer(inner);
    let shown = |provenance| {
        // What it points to was copied at the hit, for something else.
        let items = vec![
            fault(ItemKind::Object, 0x1000, 8, Some(Absence::NotResident)),
            object(0x2000, &words(&[7])),
        ];
        let found = vec![late(0x1000, &words(&[0x2000]), provenance)];
        follow(&types, outer, items, found)
    };
    let after = ("-> -> <not_captured>".to_owned(), Some(Provenance::ReadAfterHit));
    assert_eq!(shown(Provenance::ReadAfterHit), after);
    // In the file it was the same at the hit.
    let file = ("-> -> 7".to_owned(), Some(Provenance::MappedFile));
    assert_eq!(shown(Provenance::MappedFile), file);
}

#[test]
fn a_slice_that_was_read_after_the_hit_is_not_followed() {
    let mut types = Types::default();
    let byte = types.scalar("u8", Encoding::Unsigned, 1);
    for text in [false, true] {
        let shape = Shape::Slice { element: byte, pointer_offset: 0, length_offset: 8, text };
        let slice = types.add("slice", 16, shape);
        let pointer = types.pointer(slice);
        // The pointer was copied, its length was not.
        let mut item = fault(ItemKind::Object, 0x1000, 16, Some(Absence::NotResident));
        item.bytes = words(&[0x2000]);
        let found = vec![late(0x1008, &words(&[2]), Provenance::ReadAfterHit)];
        let (shown, provenance) = follow(&types, pointer, vec![item, object(0x2000, b"ab")], found);
        assert_eq!(shown, "-> -> <not_captured>", "{text}");
        assert_eq!(provenance, Some(Provenance::ReadAfterHit));
    }
}

#[test]
fn text_goes_on_behind_what_was_copied() {
    let mut types = Types::default();
    let pointer = types.add("char *", 8, Shape::TextPointer);
    let check = |copied: &[u8], found: &[u8], expected: &str, from| {
        let mut item = fault(ItemKind::Text, 0x1000, 1024, Some(Absence::NotResident));
        item.bytes = copied.to_vec();
        let at = 0x1000 + copied.len() as u64;
        let found = vec![late(at, found, Provenance::Untouched)];
        let shown = follow(&types, pointer, vec![item], found);
        assert_eq!(shown, (expected.to_owned(), Some(from)));
    };
    check(b"", b"late\0", "\"late\"", Provenance::Untouched);
    check(b"so", b"on\0", "\"soon\"", Provenance::Untouched);
    // The NUL alone is late, and it says where the text ends.
    check(b"soon", b"\0", "\"soon\"", Provenance::Untouched);
    check(b"", b"\0", "\"\"", Provenance::Untouched);
    check(b"so", b"on", "\"soon\" of at least 4 cut not_resident", Provenance::Untouched);
    let long = "x".repeat(Limits::DEFAULT.text_bytes_max as usize);
    let cut = format!("{long:?} of at least 1024 cut limit_text");
    check(b"", format!("{long}xx").as_bytes(), &cut, Provenance::Untouched);
}
