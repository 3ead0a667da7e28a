//! The bits of numbers, characters, truth values and enumerators.

use super::float;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::types::{Encoding, Scalar};
use crate::model::value::Value;

/// The most bytes that a scalar has.
pub(super) const SCALAR_BYTES_MAX: u64 = 16;

/// Little-endian bytes, at most 16 of them, as a number.
pub(super) fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u128::from(byte))
}

/// The lowest `width` bits.
pub(super) fn low_bits(bits: u128, width: u32) -> u128 {
    match 1u128.checked_shl(width) {
        Some(above) => bits & above.wrapping_sub(1),
        None => bits,
    }
}

/// The lowest `width` bits as a two's complement number.
pub(super) fn sign_extend(bits: u128, width: u32) -> i128 {
    let unused = 128u32.saturating_sub(width.max(1));
    ((bits << unused) as i128) >> unused
}

/// The value of `width` bits: all of a scalar's, or fewer in a bit-field.
pub(super) fn value(scalar: Scalar, bits: u128, width: u32) -> Value {
    let bits = low_bits(bits, width);
    match scalar.encoding {
        Encoding::Signed => Value::Signed(sign_extend(bits, width)),
        Encoding::Unsigned => Value::Unsigned(bits),
        Encoding::Bool => match bits {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            other => Value::Unsigned(other),
        },
        Encoding::SignedChar => {
            let code = sign_extend(bits, width) as i64;
            Value::Char { code, character: ascii(code) }
        }
        Encoding::UnsignedChar => {
            let code = bits as i64;
            Value::Char { code, character: ascii(code) }
        }
        Encoding::Utf => {
            let character = u32::try_from(bits).ok().and_then(char::from_u32);
            Value::Char { code: bits as i64, character }
        }
        Encoding::Float => match width {
            32 => Value::Float32(f32::from_bits(bits as u32)),
            64 => Value::Float64(f64::from_bits(bits as u64)),
            // psABI x86-64, 3.1.2: 10 bytes are the number, the others are padding.
            128 => match float::x87(bits) {
                Some(text) => Value::FloatText(text),
                None => unsupported("bits that are no x87 number"),
            },
            _ => unsupported("a floating-point size that no format has"),
        },
    }
}

/// A byte's character: a program's character set is known for ASCII alone.
fn ascii(code: i64) -> Option<char> {
    u8::try_from(code).ok().filter(u8::is_ascii).map(char::from)
}

/// An enumerator; the name is that of exactly this value.
pub(super) fn enumerator(
    scalar: Scalar,
    names: &[(i128, String)],
    bits: u128,
    width: u32,
) -> Value {
    let bits = low_bits(bits, width);
    let number = match scalar.encoding {
        Encoding::Signed | Encoding::SignedChar => sign_extend(bits, width),
        _ => bits as i128,
    };
    // Producers differ in the sign of an enumerator's constant: the stored bits decide.
    let stored = u32::from(scalar.size) * 8;
    let same =
        |constant: i128| low_bits(constant as u128, stored) == low_bits(number as u128, stored);
    let name = names.iter().find(|(constant, _)| same(*constant)).map(|(_, name)| name.clone());
    Value::Enumerator { name, number }
}

pub(super) fn unsupported(detail: &str) -> Value {
    Value::Unavailable(Reason::new(ReasonCode::UnsupportedType, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: Encoding, bytes: &[u8], expected: Value) {
        let scalar = Scalar { encoding, size: bytes.len() as u8 };
        let width = bytes.len() as u32 * 8;
        assert_eq!(value(scalar, number(bytes), width), expected);
    }

    #[test]
    fn integers_of_every_size_are_exact() {
        for size in [1usize, 2, 4, 8, 16] {
            let ones = vec![0xff; size];
            check(Encoding::Signed, &ones, Value::Signed(-1));
            let max = if size == 16 { u128::MAX } else { (1 << (size * 8)) - 1 };
            check(Encoding::Unsigned, &ones, Value::Unsigned(max));
            let mut least = vec![0; size];
            least[size - 1] = 0x80;
            check(Encoding::Signed, &least, Value::Signed(i128::MIN >> (128 - size * 8)));
        }
        let value = 170_141_183_460_469_231_731_687_303_715_884_105_727i128;
        check(Encoding::Signed, &value.to_le_bytes(), Value::Signed(value));
    }

    #[test]
    fn truth_values_other_than_0_and_1_are_numbers() {
        check(Encoding::Bool, &[0], Value::Bool(false));
        check(Encoding::Bool, &[1], Value::Bool(true));
        check(Encoding::Bool, &[2], Value::Unsigned(2));
    }

    #[test]
    fn characters_keep_their_code() {
        check(Encoding::SignedChar, b"A", Value::Char { code: 65, character: Some('A') });
        check(Encoding::SignedChar, &[0xff], Value::Char { code: -1, character: None });
        check(Encoding::UnsignedChar, &[0xff], Value::Char { code: 255, character: None });
        let snowman = Value::Char { code: 0x2603, character: Some('☃') };
        check(Encoding::Utf, &[0x03, 0x26, 0, 0], snowman);
        check(Encoding::Utf, &[0, 0xd8], Value::Char { code: 0xd800, character: None });
    }

    #[test]
    fn floats_keep_their_bits() {
        check(Encoding::Float, &1.5f32.to_le_bytes(), Value::Float32(1.5));
        check(Encoding::Float, &0.1f64.to_le_bytes(), Value::Float64(0.1));
        let mut tenth = [0u8; 16];
        tenth[..10].copy_from_slice(&[0xcd, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xfb, 0x3f]);
        // Padding holds whatever was there before.
        tenth[10..].fill(0xaa);
        check(Encoding::Float, &tenth, Value::FloatText("0.1".to_owned()));
    }

    #[test]
    fn enumerators_are_named_by_exact_value_only() {
        let scalar = Scalar { encoding: Encoding::Unsigned, size: 4 };
        let names = [(1, "READ".to_owned()), (2, "WRITE".to_owned()), (-1, "ALL".to_owned())];
        let name = |bits| match enumerator(scalar, &names, bits, 32) {
            Value::Enumerator { name, .. } => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(2).as_deref(), Some("WRITE"));
        assert_eq!(name(3), None);
        assert_eq!(name(0xffff_ffff).as_deref(), Some("ALL"));
    }
}
