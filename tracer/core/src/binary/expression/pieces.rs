//! The pieces of a location: of whole bytes, or of bits.

use super::unsupported;
use crate::model::location::{BitPiece, Expression, Location, Piece, Step};
use crate::model::reason::{Reason, ReasonCode};
use tracer_common::code::{Code, Op};

/// Bits of a value that has pieces which are not of whole bytes.
const BITS_MAX: u64 = 1 << 16;
/// Bits of a register or of a computed value.
const WORD_BITS: u64 = 64;

/// What DW_OP_piece and DW_OP_bit_piece end, in bits.
pub(super) struct Described {
    pub(super) width: u64,
    pub(super) shift: u64,
    pub(super) location: Option<Location>,
}

/// The location that pieces make up.
pub(super) fn joined(pieces: Vec<Described>) -> Result<Location, Reason> {
    if pieces.iter().all(|piece| piece.location.is_none()) {
        return Err(ReasonCode::OptimizedOut.into());
    }
    let whole = |piece: &Described| piece.width.is_multiple_of(8) && piece.shift.is_multiple_of(8);
    if pieces.iter().all(whole) {
        return Ok(Location::Pieces(pieces.into_iter().map(bytes).collect::<Result<_, _>>()?));
    }
    if pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.width)) > Some(BITS_MAX) {
        return Err(unsupported("more than 8 KiB in pieces of bits"));
    }
    Ok(Location::Bits(pieces.into_iter().map(bits).collect::<Result<_, _>>()?))
}

fn bytes(piece: Described) -> Result<Piece, Reason> {
    let size = u32::try_from(piece.width / 8).map_err(|_| unsupported("a piece above 4 GiB"))?;
    let location = piece.location.map(|location| part(location, size, piece.shift / 8));
    Ok(Piece { size, location: location.transpose()? })
}

fn bits(piece: Described) -> Result<BitPiece, Reason> {
    let Described { width, shift, location } = piece;
    let end = width.checked_add(shift).ok_or_else(|| unsupported("a piece too far"))?;
    let Some(location) = location else {
        let width = u32::try_from(width).map_err(|_| unsupported("a piece above 4 GiB"))?;
        return Ok(BitPiece { width, shift: 0, location: None });
    };
    if end > WORD_BITS {
        return Err(unsupported("a piece wider than its register or value"));
    }
    let location = match location {
        Location::Memory(mut address) => {
            address.push(Op::new(Code::Deref, end.div_ceil(8) as u8, 0));
            Location::Value(address)
        }
        Location::Bytes(bytes) if bytes.len() as u64 * 8 < end => {
            return Err(unsupported("a piece longer than its value"));
        }
        Location::Points { .. } => return Err(unsupported("a part of a pointer")),
        location => location,
    };
    Ok(BitPiece { width: width as u32, shift: shift as u32, location: Some(location) })
}

/// The `size` bytes of a location that start at byte `offset` of it.
fn part(location: Location, size: u32, offset: u64) -> Result<Location, Reason> {
    let end = offset.checked_add(u64::from(size)).ok_or_else(|| unsupported("a piece too far"))?;
    let shift = |mut expression: Expression| {
        if offset > 0 {
            expression.push(Op::new(Code::Const, 0, offset * 8));
            expression.push(Op::new(Code::Shr, 0, 0));
        }
        expression
    };
    match location {
        Location::Memory(mut expression) => {
            if offset > 0 {
                expression.push(Op::new(Code::AddConst, 0, offset));
            }
            Ok(Location::Memory(expression))
        }
        Location::Register(_) | Location::Value(_) | Location::Derived(_) if end > 8 => {
            Err(unsupported("a piece wider than its register or value"))
        }
        Location::Register(number) if offset == 0 => Ok(Location::Register(number)),
        Location::Register(number) => {
            Ok(Location::Value(shift(vec![Op::new(Code::Register, number, 0)])))
        }
        Location::Value(expression) => Ok(Location::Value(shift(expression))),
        Location::Derived(mut steps) => {
            steps.extend(shift(Vec::new()).into_iter().map(Step::Op));
            Ok(Location::Derived(steps))
        }
        Location::Bytes(bytes) => {
            let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
            let bytes = range.and_then(|(start, end)| bytes.get(start..end));
            let bytes = bytes.ok_or_else(|| unsupported("a piece longer than its value"))?;
            Ok(Location::Bytes(bytes.to_vec()))
        }
        Location::Points { .. } if offset == 0 && size == 8 => Ok(location),
        Location::Points { .. } => Err(unsupported("a part of a pointer")),
        Location::Pieces(_) | Location::Bits(_) => Err(unsupported("a piece of pieces")),
    }
}
