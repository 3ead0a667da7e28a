//! Values that are made of pieces of bits → pieces of bytes.

use super::source::{Piece, Source};
use crate::model::reason::{Reason, ReasonCode};

/// Some bits, from the least significant one.
pub(super) struct Bits {
    /// How many.
    pub(super) width: u32,
    /// They, and whether the caller passed them; or why they are missing.
    pub(super) value: Result<(u64, bool), Reason>,
}

/// A byte while its bits are put together.
#[derive(Clone, Default)]
struct Byte {
    value: u8,
    passed: bool,
    missing: Option<Reason>,
}

/// The bytes that bits make up, one piece behind another. A byte is missing where any of its bits
/// is; the bits behind the last piece are not known.
pub(super) fn joined(pieces: impl Iterator<Item = Bits>) -> Source {
    let mut bytes: Vec<Byte> = Vec::new();
    let mut at = 0usize;
    for Bits { width, value } in pieces {
        for bit in 0..width {
            if at.is_multiple_of(8) {
                bytes.push(Byte::default());
            }
            if let Some(byte) = bytes.last_mut() {
                match &value {
                    Ok((word, passed)) => {
                        let set = word.checked_shr(bit).unwrap_or(0) & 1;
                        byte.value |= (set as u8) << (at % 8);
                        byte.passed |= passed;
                    }
                    Err(reason) => byte.missing = Some(reason.clone()),
                }
            }
            at += 1;
        }
    }
    if !at.is_multiple_of(8)
        && let Some(last) = bytes.last_mut()
    {
        last.missing.get_or_insert_with(|| ReasonCode::OptimizedOut.into());
    }
    let piece = |(start, byte): (usize, Byte)| {
        let source = match byte {
            Byte { missing: Some(reason), .. } => Source::Missing(reason),
            Byte { value, passed: true, .. } => Source::Passed(vec![value]),
            Byte { value, .. } => Source::Bytes(vec![value]),
        };
        Piece { start: start as u64, size: 1, source }
    };
    Source::Pieces(bytes.into_iter().enumerate().map(piece).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(width: u32, value: u64) -> Bits {
        Bits { width, value: Ok((value, false)) }
    }

    fn bytes(pieces: Vec<Bits>) -> Vec<Option<u8>> {
        let Source::Pieces(pieces) = joined(pieces.into_iter()) else { panic!("no pieces") };
        let byte = |piece: &Piece| match &piece.source {
            Source::Bytes(bytes) | Source::Passed(bytes) => bytes.first().copied(),
            _ => None,
        };
        pieces.iter().map(byte).collect()
    }

    #[test]
    fn bits_follow_one_another_from_the_lowest() {
        assert_eq!(bytes(vec![bits(3, 0b101), bits(5, 0b10001)]), [Some(0b1000_1101)]);
        // Bits above the width do not count.
        let wide = vec![bits(4, 0xff), bits(12, 0x123)];
        assert_eq!(bytes(wide), [Some(0x3f), Some(0x12)]);
        assert_eq!(bytes(vec![bits(64, u64::MAX), bits(8, 1)])[8], Some(1));
    }

    #[test]
    fn a_byte_is_missing_where_any_of_its_bits_is() {
        let gone = || Bits { width: 9, value: Err(ReasonCode::OptimizedOut.into()) };
        assert_eq!(bytes(vec![bits(8, 7), gone(), bits(7, 1)]), [Some(7), None, None]);
        assert_eq!(bytes(vec![bits(8, 7), bits(3, 7)]), [Some(7), None]);
    }

    #[test]
    fn what_the_caller_passed_is_known_as_such() {
        let passed = Bits { width: 4, value: Ok((5, true)) };
        let Source::Pieces(pieces) = joined([bits(4, 1), passed].into_iter()) else { panic!() };
        assert_eq!(pieces[0].source, Source::Passed(vec![0x51]));
    }
}
