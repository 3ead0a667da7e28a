//! The pointers in a type, nested members included.

use super::layouts::{Layouts, What};
use super::walks;
use crate::model::types::{Member, Shape, TypeId, VariantArm};
use tracer_common::code::Edge;

/// Edges of one layout; an array of structs full of pointers stops here.
const EDGES_PER_LAYOUT: usize = 1024;
/// Members inside members inside members.
const NESTING_MAX: u32 = 64;
/// Members looked at for one layout: debug info can claim types that contain themselves.
const MEMBERS_MAX: u32 = 20_000;

/// A pointer inside an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pointer {
    /// What it points to.
    pub(super) to: What,
    /// Where it is and how much is behind it; the target is still missing.
    pub(super) edge: Edge,
}

/// The pointers of one layout, while they are collected.
pub(super) struct Found<'l, 'a> {
    pub(super) layouts: &'l Layouts<'a>,
    pointers: Vec<Pointer>,
    members: u32,
}

/// Where a value is in the object.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) nesting: u32,
    /// Says whether the value is there at all; an edge of which only this counts.
    pub(super) guard: Edge,
}

impl Place {
    pub(super) const START: Self = Self { offset: 0, nesting: 0, guard: Edge::one(0, 0) };

    pub(super) fn part(self, offset: u64) -> Self {
        let offset = self.offset.saturating_add(offset);
        Self { offset, nesting: self.nesting + 1, ..self }
    }

    /// The place in the object of a field of the value; [`Edge::NONE`] where it is too far away.
    pub(super) fn field(self, offset: u64) -> u32 {
        u32::try_from(self.offset.saturating_add(offset)).unwrap_or(Edge::NONE)
    }

    /// The same value, there only if the bits of a field are in a range.
    pub(super) fn only_if(self, offset: u64, size: u8, low: u64, span: u32, unless: bool) -> Self {
        let guard = Edge {
            guard: self.field(offset),
            guard_size: size.into(),
            guard_low: low,
            guard_span: span,
            flags: if unless { Edge::UNLESS } else { 0 },
            ..Edge::one(0, 0)
        };
        Self { guard, ..self }
    }
}

/// All pointers of an object.
pub(super) fn of(layouts: &Layouts<'_>, what: What) -> Vec<Pointer> {
    let mut found = Found { layouts, pointers: Vec::new(), members: 0 };
    match what {
        What::Value(id) => found.value(id, Place::START),
        What::Element(_) | What::Node(..) => walks::inside(&mut found, what),
        What::Raw(_) | What::Text => {}
    }
    found.pointers
}

impl Found<'_, '_> {
    /// Adds a pointer. Of guards inside one another the innermost counts.
    pub(super) fn push(&mut self, place: Place, to: What, edge: Edge) {
        if edge.offset == Edge::NONE || self.pointers.len() >= EDGES_PER_LAYOUT {
            return;
        }
        let edge = match place.guard {
            guard if guard.guard != Edge::NONE && edge.guard == Edge::NONE => Edge {
                guard: guard.guard,
                guard_size: guard.guard_size,
                guard_low: guard.guard_low,
                guard_span: guard.guard_span,
                flags: edge.flags | guard.flags,
                ..edge
            },
            _ => edge,
        };
        self.pointers.push(Pointer { to, edge });
    }

    pub(super) fn value(&mut self, id: TypeId, place: Place) {
        self.members += 1;
        let full = self.pointers.len() >= EDGES_PER_LAYOUT || self.members > MEMBERS_MAX;
        if place.nesting > NESTING_MAX || full {
            return;
        }
        let one = Edge::one(place.field(0), 0);
        let layouts = self.layouts;
        match &layouts.types.get(id).shape {
            Shape::Pointer(target) => self.push(place, What::Value(*target), one),
            Shape::TextPointer => self.push(place, What::Text, one),
            Shape::Slice { element, pointer_offset, length_offset, text } => {
                let pointer = place.field(*pointer_offset);
                let limits = &layouts.limits;
                let most = if *text { limits.text_bytes_max } else { limits.items_max };
                let mut edge = Edge::many(pointer, 0, place.field(*length_offset), most);
                edge.flags |= if *text { Edge::BYTES } else { 0 };
                self.push(place, What::Value(*element), edge);
            }
            Shape::Container(container) => walks::begin(self, id, container, place),
            Shape::Wrapper(wrapper) => {
                self.members(std::slice::from_ref(&wrapper.inner), place);
                walks::noted(self, &wrapper.notes, place);
                wrapper.alive.iter().for_each(|number| walks::behind(self, number, place));
            }
            Shape::Record(members) | Shape::Union(members) => self.members(members, place),
            Shape::Variant { discriminant, variants, common } => {
                self.members(common, place);
                for arm in variants {
                    let place = self.selected(discriminant.as_ref(), variants, arm, place);
                    self.members(&arm.members, place);
                }
            }
            Shape::Array { element, count } => self.elements(*element, *count, place),
            Shape::Scalar(_)
            | Shape::Enumeration { .. }
            | Shape::Function
            | Shape::Nothing
            | Shape::Opaque(_) => {}
        }
    }

    fn members(&mut self, members: &[Member], place: Place) {
        for member in members.iter().filter(|member| member.bits.is_none()) {
            self.value(member.type_id, place.part(member.offset));
        }
    }

    fn elements(&mut self, element: TypeId, count: Option<u64>, place: Place) {
        let size = self.layouts.types.get(element).size.filter(|size| *size > 0);
        let Some(size) = size else { return };
        let first = self.pointers.len();
        self.value(element, place.part(0));
        if self.pointers.len() == first {
            return;
        }
        for index in 1..count.unwrap_or(0).min(u64::from(self.layouts.limits.items_max)) {
            self.value(element, place.part(index.saturating_mul(size)));
        }
    }

    /// A variant's place: it is there only if the discriminant selects it, as far as one range of
    /// numbers tells that.
    fn selected(
        &self,
        discriminant: Option<&Member>,
        variants: &[VariantArm],
        arm: &VariantArm,
        place: Place,
    ) -> Place {
        let Some(discriminant) = discriminant.filter(|member| member.bits.is_none()) else {
            return place;
        };
        let size = self.layouts.types.get(discriminant.type_id).size;
        let Some(size @ 1..=8) = size else { return place };
        let others: Vec<(u128, u128)> = match arm.discriminants.as_slice() {
            [] => variants.iter().flat_map(|arm| arm.discriminants.iter().copied()).collect(),
            ranges => ranges.to_vec(),
        };
        let Some((low, span)) = one_range(others, size) else { return place };
        let unless = arm.discriminants.is_empty();
        place.only_if(discriminant.offset, size as u8, low, span, unless)
    }
}

/// The start and the width of ranges that are one, of numbers of `size` bytes.
fn one_range(ranges: Vec<(u128, u128)>, size: u64) -> Option<(u64, u32)> {
    let stored = |bits: u128| bits as u64 & (u64::MAX >> (64 - size * 8));
    let mut ranges: Vec<(u64, u64)> =
        ranges.into_iter().map(|(low, high)| (stored(low), stored(high))).collect();
    ranges.sort_unstable();
    let (low, mut end) = *ranges.first()?;
    for (start, high) in &ranges {
        if high < start || *start > end.saturating_add(1) {
            return None;
        }
        end = end.max(*high);
    }
    Some((low, u32::try_from(end - low).ok()?))
}
