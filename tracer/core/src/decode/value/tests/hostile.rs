//! Types and memory that someone made to hurt: the output stays bounded and nothing panics.

use super::*;
use crate::model::types::VariantArm;
use crate::random::Random;

/// Values in a tree, and how deep it is.
fn measure(value: &Value) -> (usize, usize) {
    let children: Vec<&Value> = match value {
        Value::Record(fields) | Value::Union(fields) | Value::Variant { fields, .. } => {
            fields.iter().map(|field| &field.value.value).collect()
        }
        Value::Array { items, .. } => items.iter().map(|item| &item.value).collect(),
        Value::Pointer { target, .. } => vec![&target.value],
        _ => Vec::new(),
    };
    let (mut values, mut height) = (1, 0);
    for child in children {
        let (more, higher) = measure(child);
        values += more;
        height = height.max(higher);
    }
    (values, height + 1)
}

fn assert_bounded(value: &Value) {
    let (values, height) = measure(value);
    // Those that only say that the limit was met come on top.
    assert!(values <= 2 * VALUES_MAX, "{values} values");
    assert!(height <= HEIGHT_MAX as usize + 4, "{height} high");
}

#[test]
fn endless_arrays_of_nothing_are_bounded() {
    let mut types = Types::default();
    let nothing = types.record("struct nothing", 0, vec![]);
    let mut array = types.array(nothing, 1 << 60);
    for _ in 0..5 {
        let shape = Shape::Array { element: array, count: Some(1 << 60) };
        array = types.add("x", 0, shape);
    }
    let value = decode(&types, vec![], array, 0x100);
    assert_bounded(&value);
    assert!(matches!(value, Value::Array { total: Some(total), .. } if total == 1 << 60));
}

#[test]
fn a_record_that_holds_itself_ends() {
    let mut types = Types::default();
    let itself = TypeId(0);
    types.record("struct s", 8, vec![member("a", 0, itself), member("b", 0, itself)]);
    assert_bounded(&decode(&types, vec![object(0x100, &[1; 8])], itself, 0x100));
    let mut types = Types::default();
    types.record("struct s", 8, vec![member("a", 0, itself)]);
    let value = decode(&types, vec![object(0x100, &[1; 8])], itself, 0x100);
    assert!(show(&value).contains("limit_nodes"));
    assert_bounded(&value);
}

#[test]
fn long_names_count_against_the_limit() {
    let mut types = Types::default();
    let long_name = "n".repeat(64 * 1024);
    let byte = types.scalar(&long_name, Encoding::Unsigned, 1);
    let array = types.array(byte, 100);
    types.0.types[array.0 as usize].name = "x".to_owned();
    let rows = types.array(array, 100);
    let value = decode(&types, vec![object(0x100, &[1; 10_000])], rows, 0x100);
    assert!(measure(&value).0 < 500);
}

fn random_member(random: &mut Random) -> Member {
    let huge = random.below(20) == 0;
    Member {
        name: (random.below(4) != 0).then(|| "m".to_owned()),
        offset: if huge { random.next() } else { random.below(64) },
        type_id: TypeId(random.below(24) as u32),
        bits: (random.below(8) == 0).then(|| (random.below(140), random.below(140))),
    }
}

fn random_members(random: &mut Random) -> Vec<Member> {
    (0..random.below(5)).map(|_| random_member(random)).collect()
}

fn random_scalar(random: &mut Random) -> Scalar {
    let encodings = [
        Encoding::Signed,
        Encoding::Unsigned,
        Encoding::Bool,
        Encoding::SignedChar,
        Encoding::UnsignedChar,
        Encoding::Utf,
        Encoding::Float,
    ];
    let sizes = [0, 1, 2, 4, 8, 16, 3, 10, 17, 255];
    Scalar { encoding: encodings[random.below(7) as usize], size: sizes[random.below(10) as usize] }
}

fn random_shape(random: &mut Random) -> Shape {
    let id = TypeId(random.below(24) as u32);
    let arm = |random: &mut Random| VariantArm {
        discriminants: (0..random.below(3))
            .map(|_| (u128::from(random.below(9)), u128::from(random.next())))
            .collect(),
        name: None,
        members: random_members(random),
    };
    match random.below(12) {
        0 => Shape::Scalar(random_scalar(random)),
        1 => {
            Shape::Enumeration { scalar: random_scalar(random), names: vec![(1, "one".to_owned())] }
        }
        2 | 3 => Shape::Record(random_members(random)),
        4 => Shape::Union(random_members(random)),
        5 => Shape::Variant {
            discriminant: (random.below(2) == 0).then(|| random_member(random)),
            variants: (0..random.below(3)).map(|_| arm(random)).collect(),
            common: random_members(random),
        },
        6 => {
            let huge = random.below(3) == 0;
            let count = if huge { random.next() } else { random.below(9) };
            Shape::Array { element: id, count: (random.below(9) != 0).then_some(count) }
        }
        7 | 8 => Shape::Pointer(id),
        9 => Shape::TextPointer,
        10 => Shape::Slice {
            element: id,
            pointer_offset: random.below(16),
            length_offset: random.below(16),
            text: random.below(2) == 0,
        },
        _ => Shape::Opaque("why".to_owned()),
    }
}

/// Memory in a few small places, full of pointers to them.
fn random_record(random: &mut Random) -> Record {
    let address = |random: &mut Random| 0x1000 * random.below(6) + 8 * random.below(16);
    let kinds = [ItemKind::Stack, ItemKind::Object, ItemKind::Text, ItemKind::Deref];
    let items = (0..random.below(12))
        .map(|_| {
            let mut bytes = Vec::new();
            for _ in 0..random.below(24) {
                let word = if random.below(5) == 0 { random.next() } else { address(random) };
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            let kind = kinds[random.below(4) as usize];
            let mut item = crate::decode::fake::item(kind, address(random), &bytes);
            item.status = Status::from_u8(random.below(5) as u8).unwrap();
            item.want = if random.below(9) == 0 { random.next() } else { random.below(99) };
            item
        })
        .collect();
    let mut record = record(items);
    record.flags = random.next() as u16;
    record
}

#[test]
fn random_types_over_random_memory_are_bounded() {
    let mut random = Random::new(11);
    for _ in 0..3000 {
        let mut types = Types::default();
        for _ in 0..24 {
            let size = [None, Some(0), Some(8), Some(16), Some(random.next())];
            let size = size[random.below(5) as usize];
            let shape = random_shape(&mut random);
            types.add("t", size, shape);
        }
        let record = random_record(&mut random);
        let limits = Limits {
            depth_max: random.below(65) as u32,
            items_max: random.below(2000) as u32,
            ..Limits::DEFAULT
        };
        let roots = (0..3).map(|_| {
            let at = memory(0x1000 * random.below(6) + random.below(64));
            (TypeId(random.below(26) as u32), at)
        });
        let roots = roots.collect();
        for value in decode_all(&types, &record, &limits, roots) {
            assert_bounded(&value);
        }
    }
}
