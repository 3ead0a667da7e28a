//! A variable without a location at a pc, where registers still hold what it is made of at another pc
//! that the code has come from.
//!
//! Location lists end with the last use of a variable, but registers keep its value until they are
//! written to. This is what it was at that other pc: it may have been assigned since to something
//! that the compiler did not keep.
//!
//! Only variables of the function itself are looked for. Those of a block or of an inlined call are
//! others each time that it begins, and loops that the compiler has unrolled have several beginnings in
//! one run of code.

use super::declaration::comes_later;
use super::fitted;
use super::location::{Frame, listed_location};
use super::scopes::Found;
use super::stated;
use crate::model::address::{Avma, Svma};
use crate::model::location::{Location, Step};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::{Moved, OtherPc};
use crate::resolve::site::{Lives, MEMORY, Paths};
use crate::resolve::types::TypeBuilder;
use std::ops::Range;
use tracer_common::code::{Code, Op};
use tracer_common::wire::{FS_BASE, RIP};

/// Entries of one list that are looked at.
const ENTRIES_MAX: usize = 256;
/// Places of one variable whose way to the pc is looked for.
const PLACES_MAX: usize = 16;

/// An entry of a location list with the place that it names, if that is understood.
type Listed = (Range<u64>, Option<Location>);

/// What `found`, a variable of the function itself, held at another pc, by what registers hold here.
pub(super) fn moved<'a>(
    builder: &TypeBuilder<'a>,
    found: &Found<'a>,
    frame: &Frame<'_>,
    reason: &Reason,
) -> Option<Moved> {
    let paths = frame.at.paths?;
    let is_gone = matches!(reason.code, ReasonCode::NotLiveHere | ReasonCode::OptimizedOut);
    let here = frame.at.lines.last();
    if !is_gone || here.is_some_and(|here| comes_later(found, here)) {
        return None;
    }
    let listed = listed(builder, found, frame)?;
    // Debug info says what it is here, though that can't be had.
    if at(&listed, frame.at.pc).is_some() {
        return None;
    }
    let (location, pc) = behind(paths, frame.at.pc, &listed)?;
    let pc = Avma(pc.0.wrapping_add(frame.at.bias));
    Some(Moved { location: location.clone(), other: OtherPc { pc, line: None } })
}

/// The list of a variable, without the entries that say that it is nowhere.
fn listed<'a>(
    builder: &TypeBuilder<'a>,
    found: &Found<'a>,
    frame: &Frame<'_>,
) -> Option<Vec<Listed>> {
    let (ranges, unit) = stated::ranges(found).ok()??;
    let is_everywhere = |range: &Range<u64>| range.start == 0 && range.end == u64::MAX;
    if ranges.len() > ENTRIES_MAX || ranges.iter().any(|(range, _)| is_everywhere(range)) {
        return None;
    }
    let typed = found.chain.iter().find(|die| die.entry.has_attr(gimli::DW_AT_type));
    let size = typed.and_then(|die| builder.size_at(die));
    let place = |expression| {
        let location = listed_location(builder, found, frame, unit, expression);
        location.and_then(|location| fitted(location, size)).ok()
    };
    let ranges = ranges.into_iter().filter(|(_, expression)| !expression.0.slice().is_empty());
    Some(ranges.map(|(range, expression)| (range, place(expression))).collect())
}

/// Where it was last.
fn behind<'l>(paths: &Paths, pc: Svma, listed: &'l [Listed]) -> Option<(&'l Location, Svma)> {
    let mut places: Vec<&Location> = Vec::new();
    for place in listed.iter().filter_map(|(_, place)| place.as_ref()) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.into_iter().take(PLACES_MAX).find_map(|place| {
        let lives = |svma: Svma| match at(listed, svma) {
            None => Lives::Nowhere,
            Some(Some(other)) if other == place => Lives::Here,
            Some(_) => Lives::Otherwise,
        };
        let last = paths.behind(pc, registers(place)?, &lives)?;
        let mut last = last.into_iter();
        let only = last.next().filter(|_| last.next().is_none());
        only.map(|svma| (place, svma))
    })
}

/// The place that a list has at an address; `None` where it has none there.
fn at(listed: &[Listed], svma: Svma) -> Option<Option<&Location>> {
    let mut here = listed.iter().filter(|(range, _)| range.contains(&svma.0)).peekable();
    here.peek()?;
    Some(here.find_map(|(_, place)| place.as_ref()))
}

/// What a place is made of: registers as bits by DWARF number, and [`MEMORY`]; `None` if that is not
/// known. What a pointer that was not kept leads to is that of the hit.
fn registers(location: &Location) -> Option<u32> {
    let of_op = |op: &Op| match op.code()? {
        Code::Deref => Some(MEMORY),
        Code::Register => register(op.arg),
        _ => Some(0),
    };
    let sum = |bits: u32, more: Option<u32>| Some(bits | more?);
    match location {
        Location::Register(number) => register(*number),
        Location::Value(expression) => expression.iter().map(of_op).try_fold(0, sum),
        Location::Bytes(_) => Some(0),
        Location::Derived(steps) => {
            let of_step = |step: &Step| match step {
                Step::Op(op) => of_op(op),
                _ => Some(0),
            };
            steps.iter().map(of_step).try_fold(0, sum)
        }
        Location::Pieces(pieces) => {
            let pieces = pieces.iter().filter_map(|piece| piece.location.as_ref());
            pieces.map(registers).try_fold(0, sum)
        }
        Location::Bits(pieces) => {
            let pieces = pieces.iter().filter_map(|piece| piece.location.as_ref());
            pieces.map(registers).try_fold(0, sum)
        }
        Location::Memory(address) => address.iter().map(of_op).try_fold(MEMORY, sum),
        Location::Points { to, .. } => to.is_ok().then_some(0),
    }
}

fn register(number: u8) -> Option<u32> {
    match usize::from(number) {
        FS_BASE => Some(0),
        general if general < RIP => Some(1 << general),
        _ => None,
    }
}
