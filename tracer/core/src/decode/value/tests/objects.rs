//! Records, arrays, variants, bit-fields, and the pointers between objects.

use super::*;
use crate::decode::fake::words;
use crate::decode::source::Piece;
use crate::model::types::VariantArm;
use tracer_common::status::flags;

#[test]
fn a_cycle_is_shown_once_and_then_referred_to() {
    let mut types = Types::default();
    let node = types.node();
    let head = types.pointer(node);
    let items = vec![
        object(0x100, &words(&[0x1000])),
        object(0x1000, &words(&[1, 0x2000, 0])),
        object(0x2000, &words(&[2, 0x1000, 0x1000])),
    ];
    assert_eq!(
        show(&decode(&types, items, head, 0x100)),
        "-> {id: 1, next: -> {id: 2, next: see a, prev: see a}, prev: 0x0}"
    );
}

#[test]
fn an_object_is_shown_where_fewest_pointers_lead_to_it() {
    let mut types = Types::default();
    let node = types.node();
    let pointer = types.pointer(node);
    let list = types.record(
        "struct list",
        16,
        vec![member("head", 0, pointer), member("tail", 8, pointer)],
    );
    let items = vec![
        object(0x100, &words(&[0x1000, 0x3000])),
        object(0x1000, &words(&[1, 0x2000, 0])),
        object(0x2000, &words(&[2, 0x3000, 0x1000])),
        object(0x3000, &words(&[3, 0, 0x2000])),
    ];
    // Node 2 is two pointers away from either end; the first of the two ways shows it.
    assert_eq!(
        show(&decode(&types, items, list, 0x100)),
        "{head: -> {id: 1, next: -> {id: 2, next: see a.tail, prev: see a.head}, prev: 0x0}, \
         tail: -> {id: 3, next: 0x0, prev: see a.head->next}}"
    );
}

#[test]
fn a_pointer_to_another_variable_refers_to_it() {
    let mut types = Types::default();
    let node = types.node();
    let pointer = types.pointer(node);
    let record = record(vec![object(0x100, &words(&[0x200])), object(0x200, &words(&[7, 0, 0]))]);
    let roots = vec![(pointer, memory(0x100)), (node, memory(0x200))];
    let values = decode_all(&types, &record, &Limits::DEFAULT, roots);
    assert_eq!(show(&values[0]), "see b");
    assert_eq!(show(&values[1]), "{id: 7, next: 0x0, prev: 0x0}");
}

#[test]
fn another_name_of_the_type_does_not_make_another_object() {
    let mut types = Types::default();
    let node = types.node();
    let shape = types.0.get(node).shape.clone();
    let constant = types.add("const struct node", 24, shape);
    let head = types.pointer(constant);
    let items = vec![object(0x100, &words(&[0x1000])), object(0x1000, &words(&[1, 0x1000, 0]))];
    assert_eq!(show(&decode(&types, items, head, 0x100)), "-> {id: 1, next: see a, prev: 0x0}");
}

#[test]
fn pointers_are_followed_up_to_the_depth_limit() {
    let mut types = Types::default();
    let node = types.node();
    let head = types.pointer(node);
    let items = vec![
        object(0x100, &words(&[0x1000])),
        object(0x1000, &words(&[1, 0x2000, 0])),
        object(0x2000, &words(&[2, 0x3000, 0])),
    ];
    let limits = Limits { depth_max: 2, ..Limits::DEFAULT };
    assert_eq!(
        show(&decode_with(&types, &record(items), &limits, head, 0x100)),
        "-> {id: 1, next: -> {id: 2, next: -> <limit_depth>, prev: 0x0}, prev: 0x0}"
    );
}

#[test]
fn what_was_not_copied_says_why() {
    let mut types = Types::default();
    let node = types.node();
    let pointer = types.pointer(node);
    let root = || object(0x100, &words(&[0x1000]));
    let check = |items: Vec<Item>, flags: u16, expected: &str| {
        let mut record = record(items);
        record.flags = flags;
        let value = decode_with(&types, &record, &Limits::DEFAULT, pointer, 0x100);
        assert_eq!(show(&value), format!("-> <{expected}>"));
    };
    let faulted = |absent| vec![root(), fault(ItemKind::Object, 0x1000, 24, absent)];
    check(faulted(Some(Absence::NotResident)), 0, "not_resident");
    check(faulted(Some(Absence::Unmapped)), flags::LIMIT_BYTES, "unmapped");
    check(faulted(None), 0, "unreadable");
    check(vec![root()], 0, "not_captured");
    check(vec![root()], flags::LIMIT_BYTES, "limit_bytes");
    check(vec![root()], flags::LIMIT_NODES, "limit_nodes");
    check(vec![root()], flags::LIMIT_STEPS, "limit_steps");
    let mut cut = object(0x1000, &[]);
    (cut.want, cut.status) = (24, Status::LimitBytes);
    check(vec![root(), cut], 0, "limit_bytes");
}

#[test]
fn a_record_read_in_part_shows_the_fields_that_are_there() {
    let mut types = Types::default();
    let node = types.node();
    let long = types.long();
    let inner = types.record("struct inner", 8, vec![member("x", 0, long)]);
    let outer =
        types.record("struct outer", 32, vec![member("node", 0, node), member("inner", 24, inner)]);
    let mut half = object(0x1000, &words(&[5, 0]));
    (half.want, half.status, half.absent) = (32, Status::Fault, Some(Absence::NotResident));
    assert_eq!(
        show(&decode(&types, vec![half], outer, 0x1000)),
        "{node: {id: 5, next: 0x0, prev: <not_resident>}, inner: <not_resident>}"
    );
}

#[test]
fn overlapping_items_are_one_image() {
    let mut types = Types::default();
    let long = types.long();
    let array = types.array(long, 4);
    let all = words(&[1, 2, 3, 4]);
    let items = vec![
        object(0x1010, &all[16..]),
        object(0x1000, &all[..12]),
        object(0x1004, &all[4..20]),
        object(0x1008, &all[8..10]),
    ];
    assert_eq!(show(&decode(&types, items, array, 0x1000)), "[1, 2, 3, 4] of Some(4)");
}

#[test]
fn arrays_are_cut_with_their_real_length() {
    let mut types = Types::default();
    let int = types.int();
    let array = types.array(int, 1000);
    let bytes: Vec<u8> = (0..1000u32).flat_map(u32::to_le_bytes).collect();
    let limits = Limits { items_max: 3, ..Limits::DEFAULT };
    let whole = record(vec![object(0x1000, &bytes)]);
    assert_eq!(
        show(&decode_with(&types, &whole, &limits, array, 0x1000)),
        "[0, 1, 2] of Some(1000) cut limit_items"
    );
    let mut part = object(0x1000, &bytes[..8]);
    (part.want, part.status) = (4000, Status::LimitBytes);
    assert_eq!(
        show(&decode(&types, vec![part], array, 0x1000)),
        "[0, 1] of Some(1000) cut limit_bytes"
    );
    let flexible = types.add("int[]", None, Shape::Array { element: int, count: None });
    assert_eq!(show(&decode(&types, vec![], flexible, 0x1000)), "[] of None");
}

#[test]
fn pointers_that_are_not_followed() {
    let mut types = Types::default();
    let void = types.add("void", None, Shape::Nothing);
    let opaque = types.add("struct hidden", None, Shape::Opaque(Shape::INCOMPLETE.to_owned()));
    let function = types.add("void (int)", None, Shape::Function);
    let members = vec![
        member("any", 0, types.pointer(void)),
        member("hidden", 8, types.pointer(opaque)),
        member("call", 16, types.pointer(function)),
        member("other", 24, TypeId(5)),
    ];
    let record = types.record("struct s", 32, members);
    let items = vec![object(0x100, &words(&[0x1234, 0x5678, 0x40_1000, 0x40_1001]))];
    assert_eq!(
        show(&decode(&types, items, record, 0x100)),
        "{any: 0x1234, hidden: -> <incomplete_type>, call: fn Some(\"handler\"), other: fn None}"
    );
}

#[test]
fn slices_show_their_elements_and_real_length() {
    let mut types = Types::default();
    let node = types.node();
    let long = types.long();
    let shape =
        |element| Shape::Slice { element, pointer_offset: 0, length_offset: 8, text: false };
    let longs = types.add("&[u64]", 16, shape(long));
    let nodes = types.add("&[node]", 16, shape(node));
    let members =
        vec![member("longs", 0, longs), member("nodes", 16, nodes), member("empty", 32, longs)];
    let root = types.record("struct s", 48, members);
    let items = vec![
        object(0x100, &words(&[0x1000, 1 << 40, 0x2000, 1, 8, 0])),
        object(0x1000, &words(&[4, 5])),
        object(0x2000, &words(&[6, 0x2000, 0])),
    ];
    let limits = Limits { items_max: 2, ..Limits::DEFAULT };
    assert_eq!(
        show(&decode_with(&types, &record(items), &limits, root, 0x100)),
        "{longs: -> [4, 5] of Some(1099511627776) cut limit_items, \
         nodes: -> [{id: 6, next: see a.nodes[0], prev: 0x0}] of Some(1), \
         empty: -> [] of Some(0)}"
    );
}

#[test]
fn bit_fields_are_cut_out_of_their_bytes() {
    let mut types = Types::default();
    let int = types.int();
    let long = types.long();
    let scalar = Scalar { encoding: Encoding::Unsigned, size: 4 };
    let names = vec![(5, "FIVE".to_owned())];
    let color = types.add("enum color", 4, Shape::Enumeration { scalar, names });
    let bits = |name: &str, offset, type_id, bits| Member {
        bits: Some(bits),
        ..member(name, offset, type_id)
    };
    let members = vec![
        bits("low", 0, long, (0, 3)),
        bits("negative", 0, int, (3, 4)),
        bits("wide", 0, long, (7, 57)),
        bits("color", 8, color, (2, 3)),
        bits("bad", 0, long, (0, 0)),
        bits("huge", 0, long, (3, 128)),
    ];
    let record = types.record("struct s", 16, members);
    let first = 0b101 | 0b1110 << 3 | 0x1_2345_6789u64 << 7;
    let items = vec![object(0x100, &words(&[first, 0b101 << 2]))];
    assert_eq!(
        show(&decode(&types, items, record, 0x100)),
        "{low: 5, negative: -2, wide: 4886718345, color: Some(\"FIVE\")=5, \
         bad: <unsupported_type>, huge: <unsupported_type>}"
    );
}

#[test]
fn a_union_shows_every_view() {
    let mut types = Types::default();
    let (int, long) = (types.int(), types.long());
    let members = vec![member("i", 0, int), member("l", 0, long)];
    let union = types.add("union u", 8, Shape::Union(members));
    let items = vec![object(0x100, &(-1i64).to_le_bytes())];
    assert_eq!(
        show(&decode(&types, items, union, 0x100)),
        "union {i: -1, l: 18446744073709551615}"
    );
}

#[test]
fn the_discriminant_selects_the_variant() {
    let mut types = Types::default();
    let (tag, long) = (types.scalar("u8", Encoding::Unsigned, 1), types.long());
    let some = types.record("Some", 16, vec![member("__0", 8, long)]);
    let none = types.record("None", 16, vec![]);
    let arm = |name: &str, type_id, discriminants: &[(u128, u128)]| VariantArm {
        discriminants: discriminants.to_vec(),
        name: None,
        members: vec![member(name, 0, type_id)],
    };
    let with_default = types.add(
        "Option",
        16,
        Shape::Variant {
            discriminant: Some(member("", 0, tag)),
            variants: vec![arm("None", none, &[(u128::MAX, u128::MAX)]), arm("Some", some, &[])],
            common: vec![member("tag", 0, tag)],
        },
    );
    let exact = types.add(
        "Exact",
        16,
        Shape::Variant {
            discriminant: Some(member("", 0, tag)),
            variants: vec![arm("A", none, &[(0, 3), (9, 9)])],
            common: vec![],
        },
    );
    let check = |tag: u64, id, expected: &str| {
        let items = vec![object(0x100, &words(&[tag, 77]))];
        assert_eq!(show(&decode(&types, items, id, 0x100)), expected);
    };
    check(0xff, with_default, "None(tag: 255)");
    check(0x01, with_default, "Some(tag: 1, __0: 77)");
    check(3, exact, "A()");
    check(9, exact, "A()");
    check(4, exact, "<bad_discriminant>");
}

#[test]
fn pieces_are_put_together() {
    let mut types = Types::default();
    let long = types.long();
    let wide = types.scalar("unsigned __int128", Encoding::Unsigned, 16);
    let record_type =
        types.record("struct s", 24, vec![member("x", 0, wide), member("y", 16, long)]);
    let piece = |start, size, source| Piece { start, size, source };
    let optimized_out = Source::Missing(ReasonCode::OptimizedOut.into());
    let source = Source::Pieces(vec![
        piece(0, 8, Source::Bytes(1u64.to_le_bytes().to_vec())),
        piece(8, 8, memory(0x100)),
        piece(16, 8, optimized_out),
    ]);
    let record = record(vec![object(0x100, &words(&[2]))]);
    let values = decode_all(&types, &record, &Limits::DEFAULT, vec![(record_type, source)]);
    assert_eq!(show(&values[0]), "{x: 36893488147419103233, y: <optimized_out>}");
}

#[test]
fn a_register_does_not_give_more_than_its_bytes() {
    let mut types = Types::default();
    let int = types.int();
    let wide = types.scalar("__int128", Encoding::Signed, 16);
    let register = || Source::Bytes(0xffff_ffff_0000_0007u64.to_le_bytes().to_vec());
    let roots = vec![(int, register()), (wide, register())];
    let values = decode_all(&types, &record(vec![]), &Limits::DEFAULT, roots);
    assert_eq!(show(&values[0]), "7");
    assert_eq!(show(&values[1]), "<unsupported_location>");
}
