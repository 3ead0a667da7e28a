//! Locations → the operations that find a variable's bytes and the pointers in them.

use super::layouts::{Layouts, Pointer, Target};
use crate::model::location::{Expression, Location, Piece};
use crate::model::resolved::Site;
use crate::model::types::TypeId;
use tracer_common::code::{Code, Op};

/// Bytes of a register or of a computed value.
const WORD: u64 = 8;

/// Appends the roots of a variable.
pub(super) fn compile(
    ops: &mut Vec<Op>,
    layouts: &mut Layouts<'_>,
    id: TypeId,
    location: &Location,
) {
    match location {
        Location::Memory(address) => {
            if let Some(layout) = layouts.number(id, 0) {
                let mut body = address.clone();
                body.push(Op::on(Code::Copy, layout, 1));
                root(ops, body);
            }
        }
        Location::Register(_) | Location::Value(_) => {
            copy_reads(ops, location);
            let whole = Piece { size: WORD as u32, location: Some(location.clone()) };
            chase_pieces(ops, layouts, id, &[whole]);
        }
        Location::Pieces(pieces) => {
            for piece in pieces {
                copy_piece(ops, layouts, piece);
                if let Some(location) = &piece.location {
                    copy_reads(ops, location);
                }
            }
            chase_pieces(ops, layouts, id, pieces);
        }
        Location::Bytes(_) | Location::Derived(_) => {}
    }
}

/// Puts what was kept at the function's entry into the record: the roots that use it come behind.
pub(super) fn keep_entry(ops: &mut Vec<Op>, site: &Site) {
    if let (Some(_), Some(cfa)) = (&site.entry, &site.cfa) {
        let mut body = cfa.clone();
        body.push(Op::new(Code::Entry, 0, 0));
        root(ops, body);
    }
}

fn root(ops: &mut Vec<Op>, body: Vec<Op>) {
    // A body is an expression, which is bounded, and one operation more.
    ops.push(Op::on(Code::Root, body.len() as u32, 0));
    ops.extend(body);
}

/// Copies the memory that a computed value is made of; the decoder computes it over the record.
fn copy_reads(ops: &mut Vec<Op>, location: &Location) {
    if let Location::Value(expression) = location
        && expression.iter().any(|op| op.code() == Some(Code::Deref))
    {
        root(ops, expression.clone());
    }
}

/// Copies the bytes of a piece that is in memory.
fn copy_piece(ops: &mut Vec<Op>, layouts: &mut Layouts<'_>, piece: &Piece) {
    if let Some(Location::Memory(address)) = &piece.location {
        let mut body = address.clone();
        body.push(Op::on(Code::Copy, layouts.raw(piece.size), 1));
        root(ops, body);
    }
}

/// Follows the pointers of a value that is not in memory as a whole.
fn chase_pieces(ops: &mut Vec<Op>, layouts: &mut Layouts<'_>, id: TypeId, pieces: &[Piece]) {
    for Pointer { offset, target } in layouts.pointers(id) {
        let Some(mut body) = word_at(pieces, offset) else { continue };
        match target {
            Target::Text => body.push(Op::new(Code::ChaseText, 0, 0)),
            Target::Object(object) => {
                let Some(layout) = layouts.number(object, 1) else { continue };
                body.push(Op::on(Code::Chase, layout, 1));
            }
            Target::Slice { element, length_offset, text } => {
                let Some(length) = word_at(pieces, length_offset) else { continue };
                let Some(layout) = layouts.number(element, 1) else { continue };
                body.extend(length);
                body.push(Op::on(Code::ChaseSlice, layout, u64::from(text)));
            }
        }
        root(ops, body);
    }
}

/// The operations that give the 8 bytes at `offset` of a value; `None` where they are not in one
/// piece.
fn word_at(pieces: &[Piece], offset: u64) -> Option<Expression> {
    let mut start = 0;
    for piece in pieces {
        let end = start + u64::from(piece.size);
        if offset >= start && offset.checked_add(WORD).is_some_and(|word_end| word_end <= end) {
            return word_in(piece.location.as_ref()?, offset - start);
        }
        start = end;
    }
    None
}

fn word_in(location: &Location, offset: u64) -> Option<Expression> {
    match location {
        Location::Register(number) if offset == 0 => {
            Some(vec![Op::new(Code::Register, *number, 0)])
        }
        Location::Value(expression) if offset == 0 => Some(expression.clone()),
        Location::Memory(address) => {
            let mut ops = address.clone();
            ops.push(Op::new(Code::AddConst, 0, offset));
            ops.push(Op::new(Code::Deref, WORD as u8, 0));
            Some(ops)
        }
        _ => None,
    }
}
