//! Containers: text, lists and maps. One is shown only as far as its own data agree (SEM-8).

use super::number::{contradiction, origin_note};
use super::path::Path;
use super::pointer::late_pointer;
use super::walk::{Slot, Walked};
use super::{Decoder, Place, values_spent};
use crate::decode::source::Source;
use crate::model::capture::Provenance;
use crate::model::container::{Container, Content, Walk, Wrapper};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::types::{Member, Type, TypeId};
use crate::model::value::{Said, Typed, Value};

impl Decoder<'_> {
    /// A value that shows another one.
    pub(super) fn wrapper(&mut self, of: &Wrapper, place: Place<'_>, path: &mut Path) -> Value {
        let Some(part) = place.part(of.inner.offset) else {
            return Value::Unavailable(ReasonCode::Unmapped.into());
        };
        let notes = self.notes(&of.notes, place);
        // Null is alive as itself.
        let alive = of.alive.as_ref().filter(|alive| !self.leads_nowhere(alive, place));
        let inner = match alive.map(|alive| self.number(alive, place)) {
            Some(Ok(0)) => self.unavailable(of.inner.type_id, ReasonCode::Dropped.into()),
            Some(Err(reason)) => self.unavailable(of.inner.type_id, reason),
            Some(Ok(_)) | None => self.typed(of.inner.type_id, part, path),
        };
        self.noted(inner, notes)
    }

    /// A container of the type `ty`.
    pub(super) fn container(
        &mut self,
        ty: &Type,
        of: &Container,
        place: Place<'_>,
        path: &mut Path,
    ) -> Value {
        let size = ty.size.unwrap_or(0);
        let place = Place { size, ..place };
        let count = match of.count.as_ref().map(|count| self.number(count, place)).transpose() {
            Ok(count) => count,
            Err(reason) => return Value::Unavailable(reason),
        };
        let capacity = of.capacity.as_ref().map(|capacity| self.number(capacity, place));
        let capacity = match capacity.transpose() {
            Ok(capacity) => capacity,
            // What is not in memory does not tell whether its text is in itself.
            Err(reason) if reason.code == ReasonCode::NotCaptured => None,
            Err(reason) => return Value::Unavailable(reason),
        };
        let mut notes = self.notes(&of.notes, place);
        // Of text that has room in the value itself it says nothing.
        let inner = of.content == Content::Text && capacity.is_some_and(|it| it < size);
        let capacity_said = capacity.filter(|_| !inner);
        notes.extend(capacity_said.map(|it| ("capacity".to_owned(), Said::Number(it.into()))));
        let value = match (count, capacity) {
            (Some(count), Some(capacity)) if count > capacity => {
                Value::Unavailable(contradiction(format!("{count} elements, room for {capacity}")))
            }
            _ if of.content == Content::Text => self.owned_text(of, count, place),
            _ => self.walked(of, count, place, path, &mut notes),
        };
        self.noted(Typed { type_name: ty.name.clone(), value }, notes)
    }

    /// Text that a value owns.
    fn owned_text(&mut self, of: &Container, count: Option<u64>, place: Place<'_>) -> Value {
        let Some(length) = count else { return Value::Unavailable(no_length()) };
        match of.walk {
            Walk::Run { pointer } => match self.pointer_at(place, pointer) {
                Ok(0) if length > 0 => Value::Unavailable(contradiction("its pointer is null")),
                Ok(address) => self.text_slice(address, length, place.depth),
                Err(reason) => Value::Unavailable(reason),
            },
            Walk::Headed { pointer, header } => match self.pointer_at(place, pointer) {
                Ok(0) => Value::Unavailable(contradiction("its pointer is null")),
                Ok(address) => self.text_slice(address.saturating_add(header), length, place.depth),
                Err(reason) => Value::Unavailable(reason),
            },
            Walk::Inside { offset } => match place.part(offset) {
                Some(part) if offset.saturating_add(length) <= place.size => {
                    self.inner_text(length, part)
                }
                _ => Value::Unavailable(contradiction(format!("{length} bytes in itself"))),
            },
            _ => Value::Unavailable(no_length()),
        }
    }

    fn inner_text(&mut self, length: u64, place: Place<'_>) -> Value {
        match place.source.read(self.world.image, place.offset, length as usize) {
            Ok(_) if !self.spend(length as usize) => Value::Unavailable(values_spent()),
            Ok(bytes) => Value::Text {
                address: None,
                bytes: bytes.to_vec(),
                total: None,
                at_least: false,
                cut: None,
                provenance: Provenance::Live,
            },
            Err(reason) => Value::Unavailable(reason),
        }
    }

    /// The elements of a container.
    fn walked(
        &mut self,
        of: &Container,
        count: Option<u64>,
        place: Place<'_>,
        path: &mut Path,
        notes: &mut Vec<(String, Said)>,
    ) -> Value {
        let inside = matches!(of.walk, Walk::Inside { .. });
        let Walked { slots, total, mut cut } = match count {
            Some(0) => Walked { slots: Vec::new(), total: Some(0), cut: None },
            count if place.depth >= self.world.limits.depth_max && !inside => {
                Walked { slots: Vec::new(), total: count, cut: Some(ReasonCode::LimitDepth.into()) }
            }
            _ => self.walk(of, count, place),
        };
        let (mut items, mut entries) = (Vec::new(), Vec::new());
        let mut origin = Provenance::Live;
        for (index, slot) in (0..).zip(slots) {
            if self.values_left == 0 {
                cut = Some(values_spent());
                break;
            }
            let mark = path.enter_element(index);
            let shown = match (&of.content, slot) {
                (Content::Elements(id), slot) => {
                    self.element(*id, slot, place, path).map(|item| items.push(item))
                }
                (Content::Pairs { key, value, .. }, slot) => {
                    let pair = self.pair(key, value, slot, place, path);
                    pair.map(|entry| entries.push(entry))
                }
                (Content::Text, _) => Ok(()),
            };
            path.leave(mark);
            if let Err(reason) = shown {
                cut = Some(reason);
                break;
            }
            origin = origin.max(self.provenance_of(of, slot));
        }
        notes.extend(origin_note(origin));
        match of.content {
            Content::Pairs { .. } => Value::Map { entries, total, cut },
            _ => Value::Array { items, total, cut },
        }
    }

    /// How the bytes of an element came that is not in the container itself.
    fn provenance_of(&self, of: &Container, slot: Slot) -> Provenance {
        let from = |address, bytes| self.world.image.provenance(address, bytes);
        let size = |member: &Member| self.world.types.get(member.type_id).size.unwrap_or(0);
        match (slot, &of.content) {
            (Slot::At(address), _) => from(address, self.element_size(of)),
            (Slot::Two(first, second), Content::Pairs { key, value, .. }) => {
                from(first, size(key)).max(from(second, size(value)))
            }
            _ => Provenance::Live,
        }
    }

    /// An element, or why the elements end here.
    fn element(
        &mut self,
        id: TypeId,
        slot: Slot,
        place: Place<'_>,
        path: &mut Path,
    ) -> Result<Typed, Reason> {
        let type_name = || self.world.types.get(id).name.clone();
        match slot {
            Slot::Bit(bit) => Ok(Typed { type_name: type_name(), value: Value::Bool(bit) }),
            Slot::Inside(offset) => {
                let part = place.part(offset).ok_or(ReasonCode::Unmapped)?;
                Ok(self.typed(id, part, path))
            }
            Slot::At(address) | Slot::Two(address, _) => self.outside(id, address, place, path),
        }
    }

    fn pair(
        &mut self,
        key: &Member,
        value: &Member,
        slot: Slot,
        place: Place<'_>,
        path: &mut Path,
    ) -> Result<(Typed, Typed), Reason> {
        let at = |address: u64, member: &Member| address.checked_add(member.offset);
        let (key_at, value_at) = match slot {
            Slot::At(address) => (at(address, key), at(address, value)),
            Slot::Two(key, value) => (Some(key), Some(value)),
            Slot::Bit(_) | Slot::Inside(_) => (None, None),
        };
        let (key_at, value_at) = key_at.zip(value_at).ok_or(ReasonCode::Unmapped)?;
        let mark = path.enter_member(key.name.as_deref());
        let first = self.outside(key.type_id, key_at, place, path);
        path.leave(mark);
        let mark = path.enter_member(value.name.as_deref());
        let second = self.outside(value.type_id, value_at, place, path);
        path.leave(mark);
        Ok((first?, second?))
    }

    /// A value that the container at `place` owns elsewhere.
    fn outside(
        &mut self,
        id: TypeId,
        address: u64,
        place: Place<'_>,
        path: &mut Path,
    ) -> Result<Typed, Reason> {
        let size = self.world.types.get(id).size.ok_or(ReasonCode::IncompleteType)?;
        let source = Source::Memory { address, stack: false };
        if size > 0 && !source.any(self.world.image, 0, size) {
            return Err(source.missing(self.world.image, 0));
        }
        let (depth, height) = (place.depth + 1, place.height + 1);
        let place = Place { source: &source, offset: 0, size: 0, depth, height };
        Ok(self.typed(id, place, path))
    }

    /// A pointer of a container, which was copied at the hit.
    pub(super) fn pointer_at(&self, place: Place<'_>, offset: u64) -> Result<u64, Reason> {
        if self.is_late(place, offset) {
            return Err(late_pointer());
        }
        let part = place.part(offset).ok_or(ReasonCode::Unmapped)?;
        Ok(self.bits(part, 8)? as u64)
    }

    pub(super) fn element_size(&self, of: &Container) -> u64 {
        match &of.content {
            Content::Elements(id) => self.world.types.get(*id).size.unwrap_or(0),
            Content::Text => 1,
            Content::Pairs { size, .. } => *size,
        }
    }
}

fn no_length() -> Reason {
    Reason::new(ReasonCode::UnsupportedType, "text without a length")
}
