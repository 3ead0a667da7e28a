//! Locations → the operations that find a variable's bytes and the pointers in them.

use super::layouts::{Layouts, What};
use super::pointers::Pointer;
use crate::model::location::{Expression, Location, Piece, Step};
use crate::model::resolved::Site;
use crate::model::types::TypeId;
use std::borrow::Cow;
use tracer_common::code::{Code, Edge, Op};
use tracer_common::limits::STACK_DEPTH;
use tracer_common::wire::RSP;

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
            if let Some(layout) = layouts.number(What::Value(id), 0) {
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
            pointed_by_pieces(ops, layouts, id, pieces);
        }
        Location::Bits(pieces) => {
            pieces.iter().flat_map(|piece| &piece.location).for_each(|it| copy_reads(ops, it));
        }
        Location::Derived(_) => copy_reads(ops, location),
        Location::Points { .. } => {
            let whole = Piece { size: WORD as u32, location: Some(location.clone()) };
            pointed_by_pieces(ops, layouts, id, &[whole]);
        }
        Location::Bytes(_) => {}
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

/// What the decoder derives from the registers at the function's entry, for the kernel program where
/// it has them.
pub(super) fn by_entry<'l>(location: &'l Location, site: &Site) -> Cow<'l, Location> {
    match location {
        Location::Derived(steps) if site.entry.is_some() => steps_by_entry(steps)
            .map_or(Cow::Borrowed(location), |expression| Cow::Owned(Location::Value(expression))),
        Location::Pieces(pieces) => {
            let piece = |piece: &Piece| Piece {
                size: piece.size,
                location: piece.location.as_ref().map(|it| by_entry(it, site).into_owned()),
            };
            Cow::Owned(Location::Pieces(pieces.iter().map(piece).collect()))
        }
        other => Cow::Borrowed(other),
    }
}

/// `None` where it may take more values than the kernel program holds at a time, or what only the
/// decoder can compute.
fn steps_by_entry(steps: &[Step]) -> Option<Expression> {
    let by_entry = |step: &Step| match *step {
        Step::Op(op) => Some(op),
        Step::Entry(number) if usize::from(number) != RSP => {
            Some(Op::new(Code::EntryRegister, number, 0))
        }
        _ => None,
    };
    let fits = steps.len() <= STACK_DEPTH as usize;
    fits.then(|| steps.iter().map(by_entry).collect())?
}

fn root(ops: &mut Vec<Op>, body: Vec<Op>) {
    // A body is an expression, which is bounded, and one operation more.
    ops.push(Op::on(Code::Root, body.len() as u32, 0));
    ops.extend(body);
}

/// Copies the memory that a computed value is made of; the decoder computes it over the record. Of
/// what only the decoder can compute, as far as the kernel program comes.
fn copy_reads(ops: &mut Vec<Op>, location: &Location) {
    let is_read = |op: &Op| op.code() == Some(Code::Deref);
    match location {
        Location::Value(expression) if expression.iter().any(is_read) => {
            root(ops, expression.clone());
        }
        Location::Derived(steps) => {
            let op = |step: &Step| match step {
                Step::Op(op) => Some(*op),
                _ => None,
            };
            let mut start: Expression = steps.iter().map_while(op).collect();
            let last_read = start.iter().rposition(is_read);
            start.truncate(last_read.map_or(0, |last| last + 1));
            if !start.is_empty() {
                root(ops, start);
            }
        }
        _ => {}
    }
}

/// Copies what pointers point to that were not kept.
fn pointed_by_pieces(ops: &mut Vec<Op>, layouts: &mut Layouts<'_>, id: TypeId, pieces: &[Piece]) {
    let pointers = layouts.pointers(id);
    let mut start = 0;
    for piece in pieces {
        let here = pointers.iter().find(|pointer| u64::from(pointer.edge.offset) == start);
        if let (Some(Location::Points { to: Ok(to), .. }), Some(pointer)) = (&piece.location, here)
            && let What::Value(object) = pointer.to
        {
            compile(ops, layouts, object, to);
        }
        start += u64::from(piece.size);
    }
}

/// Copies the bytes of a piece that is in memory.
fn copy_piece(ops: &mut Vec<Op>, layouts: &mut Layouts<'_>, piece: &Piece) {
    if let Some(Location::Memory(address)) = &piece.location
        && let Some(layout) = layouts.number(What::Raw(piece.size), 0)
    {
        let mut body = address.clone();
        body.push(Op::on(Code::Copy, layout, 1));
        root(ops, body);
    }
}

/// Follows the pointers of a value that is not in memory as a whole; not those to nodes.
fn chase_pieces(ops: &mut Vec<Op>, layouts: &mut Layouts<'_>, id: TypeId, pieces: &[Piece]) {
    for Pointer { to, edge } in layouts.pointers(id) {
        let plain = edge.first == Edge::NONE && edge.flags & !(Edge::BYTES | Edge::UNLESS) == 0;
        let Some(mut body) = word_at(pieces, edge.offset.into()).filter(|_| plain) else {
            continue;
        };
        let Some(layout) = layouts.number(to, 1) else { continue };
        if to == What::Text {
            body.push(Op::new(Code::ChaseText, 0, 0));
        } else if edge.count_to == Edge::NONE {
            body.push(Op::on(Code::Chase, layout, edge.plus.into()));
        } else if edge.count_from == Edge::NONE && edge.divisor == 1 && edge.plus == 0 {
            let Some(length) = word_at(pieces, edge.count_to.into()) else { continue };
            body.extend(length);
            let bytes = u64::from(edge.flags & Edge::BYTES != 0);
            body.push(Op::on(Code::ChaseSlice, layout, bytes));
        } else {
            // Roots don't compute numbers of elements: as many as are shown.
            body.push(Op::on(Code::Chase, layout, u32::MAX.into()));
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
