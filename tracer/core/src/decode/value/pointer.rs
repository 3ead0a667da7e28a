//! Pointers: what is behind them, once, at the place with the fewest pointers in front of it.

use super::path::{Path, Target};
use super::{Decoder, Object, Place};
use crate::decode::source::Source;
use crate::model::address::Avma;
use crate::model::capture::Provenance;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::types::{Shape, TypeId};
use crate::model::value::{Typed, Value};

/// What becomes of one [`Value::Pointer`] of a fresh tree. Each has exactly one, in tree order.
pub(super) enum Pending {
    /// Its target is in the tree already, and has no pointers itself.
    Known,
    /// Its target is in the tree already.
    Inside,
    /// It is to be followed.
    Follow(Follow),
}

/// A pointer to be followed.
pub(super) struct Follow {
    object: Object,
    /// Pointers followed to come to the pointer.
    depth: u32,
    height: u32,
    /// The pointer's place.
    path: Path,
}

impl Decoder<'_> {
    /// A pointer to a `target`.
    pub(super) fn pointer(&mut self, target: TypeId, place: Place<'_>, path: &Path) -> Value {
        if let Some((to, into)) = place.source.pointed(place.offset) {
            return self.implicit(target, to, into, place, path);
        }
        let address = match self.bits(place, 8) {
            Ok(address) => address as u64,
            Err(reason) => return Value::Unavailable(reason),
        };
        let object = Object { address, type_id: target, count: None };
        match self.world.types.get(target).shape {
            _ if address == 0 => Value::Address(0),
            Shape::Nothing => Value::Address(address),
            Shape::Function => self.function(address),
            _ if self.is_late(place, 0) => self.not_followed(object),
            _ if self.is_unknown_to_hit(object, place, 0) => {
                let value = Value::Unavailable(passed_pointer());
                self.known_pointer(address, Typed { type_name: self.target_name(object), value })
            }
            _ => self.followed(object, place, path),
        }
    }

    /// A pointer that was not kept, with the value that it would point to.
    fn implicit(
        &mut self,
        target: TypeId,
        to: &Source,
        into: i64,
        place: Place<'_>,
        path: &Path,
    ) -> Value {
        self.pending.push(Pending::Inside);
        let object = Object { address: 0, type_id: target, count: None };
        let type_name = self.target_name(object);
        let unavailable = |reason: Reason| Typed {
            type_name: type_name.clone(),
            value: Value::Unavailable(reason),
        };
        let target = match (to, u64::try_from(into)) {
            (Source::Missing(reason), _) => unavailable(reason.clone()),
            (_, Err(_)) => unavailable(Reason::new(
                ReasonCode::UnsupportedLocation,
                "it points in front of the value that is known",
            )),
            _ if place.depth >= self.world.limits.depth_max => {
                unavailable(ReasonCode::LimitDepth.into())
            }
            (_, Ok(offset)) => {
                let height = place.height + 1;
                let depth = place.depth + 1;
                let place = Place { source: to, offset, size: 0, depth, height };
                self.target(object, place, path.clone())
            }
        };
        let provenance = match (&target.value, u64::try_from(into)) {
            (Value::Unavailable(_), _) | (_, Err(_)) => Provenance::None,
            (_, Ok(offset)) => to.provenance(self.world.image, offset, self.bytes_of(object)),
        };
        Value::Pointer { address: None, target: Box::new(target), provenance }
    }

    /// The elements behind a slice, as the target of a pointer.
    pub(super) fn slice(
        &mut self,
        element: TypeId,
        address: u64,
        length: u64,
        place: Place<'_>,
        path: &Path,
    ) -> Value {
        let object = Object { address, type_id: element, count: Some(length) };
        self.followed(object, place, path)
    }

    /// The pointer in the eight bytes at `offset` came from the caller when the function was
    /// entered, so that the hit knew nothing of it, and what is behind it was not copied for
    /// another one.
    pub(super) fn is_unknown_to_hit(&self, to: Object, place: Place<'_>, offset: u64) -> bool {
        let passed = place.part(offset).is_some_and(|part| {
            let provenance = part.source.provenance(self.world.image, part.offset, 8);
            provenance == Provenance::EntryValue
        });
        passed && !self.world.image.any(to.address, self.bytes_of(to).max(1))
    }

    /// The eight bytes at `offset` were read after the hit: what they point to now need not be what
    /// was copied at the hit from there.
    pub(super) fn is_late(&self, place: Place<'_>, offset: u64) -> bool {
        place.part(offset).is_some_and(|part| {
            let provenance = part.source.provenance(self.world.image, part.offset, 8);
            provenance == Provenance::ReadAfterHit
        })
    }

    /// The address and the length in a slice.
    pub(super) fn slice_parts(
        &self,
        place: Place<'_>,
        pointer_offset: u64,
        length_offset: u64,
    ) -> Result<(u64, u64), Reason> {
        let word = |offset| match place.part(offset) {
            Some(part) => self.bits(part, 8).map(|bits| bits as u64),
            None => Err(ReasonCode::Unmapped.into()),
        };
        Ok((word(pointer_offset)?, word(length_offset)?))
    }

    /// A slice of which not both parts are known: where its elements are, if that is.
    pub(super) fn slice_in_part(
        &mut self,
        element: TypeId,
        place: Place<'_>,
        pointer_offset: u64,
        reason: Reason,
    ) -> Value {
        let pointer = place.part(pointer_offset).map(|part| self.bits(part, 8));
        let Some(Ok(address)) = pointer else { return Value::Unavailable(reason) };
        let object = Object { address: address as u64, type_id: element, count: Some(0) };
        let target =
            Typed { type_name: self.target_name(object), value: Value::Unavailable(reason) };
        self.known_pointer(object.address, target)
    }

    pub(super) fn function(&self, address: u64) -> Value {
        Value::Function { address, name: self.world.code.symbol_at(Avma(address)) }
    }

    /// A pointer whose target is worked out later.
    fn followed(&mut self, object: Object, place: Place<'_>, path: &Path) -> Value {
        let (depth, height) = (place.depth, place.height);
        self.spend(path.text().len());
        self.pending.push(Pending::Follow(Follow { object, depth, height, path: path.clone() }));
        let type_name = self.target_name(object);
        // Stands here only until the pointer is followed.
        let value = Value::Unavailable(ReasonCode::NotCaptured.into());
        let target = Box::new(Typed { type_name, value });
        Value::Pointer { address: Some(object.address), target, provenance: Provenance::None }
    }

    /// A pointer that was read after the hit.
    pub(super) fn not_followed(&mut self, object: Object) -> Value {
        let value = Value::Unavailable(late_pointer());
        let target = Typed { type_name: self.target_name(object), value };
        self.known_pointer(object.address, target)
    }

    /// A pointer to something that is known not to be shown.
    pub(super) fn known_pointer(&mut self, address: u64, target: Typed) -> Value {
        self.pending.push(Pending::Known);
        let provenance = Provenance::None;
        Value::Pointer { address: Some(address), target: Box::new(target), provenance }
    }

    pub(super) fn target_name(&self, object: Object) -> String {
        let name = &self.world.types.get(object.type_id).name;
        if object.count.is_some() { format!("[{name}]") } else { name.clone() }
    }

    /// Follows the pointers of fresh trees, and those of what they point to, breadth first.
    pub(super) fn follow_all(&mut self, trees: &mut [Typed]) {
        let mut level = Vec::new();
        let mut pending = std::mem::take(&mut self.pending).into_iter();
        for tree in trees {
            holes(tree, &mut pending, &mut level);
        }
        while !level.is_empty() {
            let mut next = Vec::new();
            for (hole, follow) in level {
                hole.value = self.follow(follow);
                let mut pending = std::mem::take(&mut self.pending).into_iter();
                if let Value::Pointer { target, .. } = &mut hole.value {
                    holes(target, &mut pending, &mut next);
                }
            }
            level = next;
        }
    }

    /// The value of a pointer.
    fn follow(&mut self, follow: Follow) -> Value {
        let Follow { object, depth, height, path } = follow;
        let Object { address, type_id, count } = object;
        if let Some(shown_at) = self.shown_at(object) {
            return Value::Reference { address, shown_at: shown_at.to_owned() };
        }
        let ty = self.world.types.get(type_id);
        let is_known = matches!(ty.shape, Shape::Opaque(_)) || count == Some(0);
        let target = if depth >= self.world.limits.depth_max && !is_known {
            let value = Value::Unavailable(ReasonCode::LimitDepth.into());
            Typed { type_name: self.target_name(object), value }
        } else {
            let source = Source::Memory { address, stack: false };
            let (depth, height) = (depth + 1, height + 1);
            let place = Place { source: &source, offset: 0, size: 0, depth, height };
            self.target(object, place, path)
        };
        let provenance = match target.value {
            Value::Unavailable(_) => Provenance::None,
            _ => self.world.image.provenance(address, self.bytes_of(object)),
        };
        Value::Pointer { address: Some(address), target: Box::new(target), provenance }
    }

    /// The size of an object, as far as it is shown.
    fn bytes_of(&self, object: Object) -> u64 {
        let count = object.count.unwrap_or(1).min(self.world.limits.items_max.into());
        self.world.types.get(object.type_id).size.unwrap_or(0).saturating_mul(count)
    }

    fn target(&mut self, object: Object, place: Place<'_>, path: Path) -> Typed {
        let Some(length) = object.count else {
            let kind = match self.world.types.get(object.type_id).shape {
                Shape::Record(_) | Shape::Union(_) | Shape::Variant { .. } => Target::Members,
                Shape::Array { .. } | Shape::Container(_) => Target::Array,
                _ => Target::Other,
            };
            return self.typed(object.type_id, place, &mut path.target(kind));
        };
        let size = self.world.types.get(object.type_id).size.unwrap_or(0);
        let value = if !self.spend(path.text().len()) {
            Value::Unavailable(super::values_spent())
        } else if size > 0 && length > 0 && !place.source.any(self.world.image, 0, size) {
            Value::Unavailable(place.source.missing(self.world.image, 0))
        } else {
            self.show(object, &path);
            self.elements(object.type_id, length, place, &mut path.target(Target::Elements))
        };
        Typed { type_name: self.target_name(object), value }
    }
}

/// Why a pointer that was read after the hit is not followed.
pub(super) fn late_pointer() -> Reason {
    Reason::new(ReasonCode::NotCaptured, "the pointer was read after the hit")
}

/// Why what an entry value points to is not there.
pub(super) fn passed_pointer() -> Reason {
    Reason::new(ReasonCode::NotCaptured, "the pointer is known from the caller only")
}

/// Pairs the pointers of a fresh tree with what is to become of them.
fn holes<'t>(
    tree: &'t mut Typed,
    pending: &mut std::vec::IntoIter<Pending>,
    out: &mut Vec<(&'t mut Typed, Follow)>,
) {
    if let Value::Pointer { .. } = tree.value {
        match pending.next() {
            Some(Pending::Follow(follow)) => out.push((tree, follow)),
            Some(Pending::Inside) => {
                if let Value::Pointer { target, .. } = &mut tree.value {
                    holes(target, pending, out);
                }
            }
            Some(Pending::Known) | None => {}
        }
        return;
    }
    match &mut tree.value {
        Value::Record(fields) | Value::Union(fields) | Value::Variant { fields, .. } => {
            for field in fields {
                holes(&mut field.value, pending, out);
            }
        }
        Value::Array { items, .. } => {
            for item in items {
                holes(item, pending, out);
            }
        }
        Value::Map { entries, .. } => {
            for (key, value) in entries {
                holes(key, pending, out);
                holes(value, pending, out);
            }
        }
        Value::Noted { of, .. } => holes(of, pending, out),
        _ => {}
    }
}
