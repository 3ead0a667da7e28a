//! Where the elements of a container are, as far as its own data agree (SEM-8).

use super::number::contradiction;
use super::pointer::late_pointer;
use super::{Decoder, Place};
use crate::decode::source::Source;
use crate::model::capture::Provenance;
use crate::model::container::{BTree, Container, Content, Number, Walk};
use crate::model::reason::{Reason, ReasonCode};
use std::collections::HashSet;

/// No object is larger than what a process can address.
const BYTES_MAX: u64 = 1 << 47;
/// Nodes below one another; more have no room in memory.
const HEIGHT_MAX: u64 = 128;
/// Bytes of a pointer.
const WORD: u64 = 8;

/// Where an element is.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// At this address.
    At(u64),
    /// A key and its value, at these.
    Two(u64, u64),
    /// In the container itself.
    Inside(u64),
    /// It is a bit.
    Bit(bool),
}

/// The elements of a container that are to be shown.
pub(super) struct Walked {
    pub(super) slots: Vec<Slot>,
    /// How many there are.
    pub(super) total: Option<u64>,
    /// Why there are fewer slots.
    pub(super) cut: Option<Reason>,
}

/// A walk under way.
struct Walker<'w, 'a> {
    decoder: &'w Decoder<'a>,
    of: &'w Container,
    place: Place<'w>,
    /// What the container says, or else so many that they are never reached.
    count: u64,
    /// Bytes of an element.
    size: u64,
    slots: Vec<Slot>,
    seen: HashSet<u64>,
}

/// Whether a walk goes on.
type Step = Result<(), Reason>;

impl Decoder<'_> {
    /// Finds elements up to the limit of those that are shown.
    pub(super) fn walk(&self, of: &Container, count: Option<u64>, place: Place<'_>) -> Walked {
        let mut walker = Walker {
            decoder: self,
            of,
            place,
            count: count.unwrap_or(u64::MAX),
            size: self.element_size(of),
            slots: Vec::new(),
            seen: HashSet::new(),
        };
        let shown = u64::from(self.world.limits.items_max);
        let is_over = walker.count > shown && count.is_some();
        let cut = walker.run().err().map(|reason| match reason.code {
            // The kernel program goes no further than that.
            ReasonCode::NotCaptured if is_over => ReasonCode::LimitItems.into(),
            _ => reason,
        });
        let slots = walker.slots;
        let total = count.or(cut.is_none().then_some(slots.len() as u64));
        Walked { slots, total, cut }
    }
}

impl Walker<'_, '_> {
    fn run(&mut self) -> Step {
        let bytes = self.count.checked_mul(self.size).filter(|bytes| *bytes <= BYTES_MAX);
        if self.of.count.is_some() && bytes.is_none() {
            return Err(contradiction(format!("{} elements", self.count)));
        }
        match &self.of.walk {
            Walk::Inside { offset } => {
                let bytes = bytes.unwrap_or(u64::MAX);
                if offset.saturating_add(bytes) > self.place.size {
                    return Err(contradiction(format!("{} elements in itself", self.count)));
                }
                self.each(|walker, index| Ok(Slot::Inside(offset + index * walker.size)))
            }
            Walk::Run { pointer } => {
                let first = self.first(*pointer)?;
                self.each(|walker, index| Ok(Slot::At(add(first, index * walker.size)?)))
            }
            Walk::Headed { pointer, header } => {
                let first = add(self.first(*pointer)?, *header)?;
                self.each(|walker, index| Ok(Slot::At(add(first, index * walker.size)?)))
            }
            Walk::Ring { pointer, room, head } => {
                let first = self.first(*pointer)?;
                let (room, head) = (self.number(room)?, self.number(head)?);
                if self.count > room || head >= room {
                    let detail = format!("{} elements from {head} on, room for {room}", self.count);
                    return Err(contradiction(detail));
                }
                self.each(|walker, index| {
                    let index =
                        if index < room - head { head + index } else { index - (room - head) };
                    Ok(Slot::At(add(first, index.checked_mul(walker.size).ok_or_else(far)?)?))
                })
            }
            Walk::Bits { pointer, skip } => {
                let (first, skip) = (self.first(*pointer)?, self.number(skip)?);
                self.each(|walker, index| {
                    let bit = skip.checked_add(index).ok_or_else(far)?;
                    let byte = walker.read(add(first, bit / 8)?, 1)?;
                    Ok(Slot::Bit(byte >> (bit % 8) & 1 == 1))
                })
            }
            Walk::Blocks { pointer, blocks, room, skip, .. } => {
                let (first, blocks) = (self.first(*pointer)?, self.number(blocks)?);
                let (room, skip) = (self.number(room)?, self.number(skip)?);
                let all = skip.checked_add(self.count).zip(blocks.checked_mul(room));
                if room == 0 || all.is_none_or(|(used, room)| used > room) {
                    let detail = format!("{} elements in {blocks} blocks", self.count);
                    return Err(contradiction(detail));
                }
                self.each(|walker, index| {
                    let index = skip + index;
                    let block = walker.node_word(first, index / room * WORD)?;
                    Ok(Slot::At(add(block, index % room * walker.size)?))
                })
            }
            Walk::Chain { pointer, next, previous, element } => {
                self.chain(*pointer, *next, *previous, *element)
            }
            Walk::Tree { .. } => self.tree(),
            Walk::BTree(tree) => self.b_tree(tree),
            Walk::Table { pointer, mask } => self.table(*pointer, *mask),
        }
    }

    /// Takes the elements by their index.
    fn each(&mut self, slot: impl Fn(&Self, u64) -> Result<Slot, Reason>) -> Step {
        for index in 0..self.count {
            let slot = slot(self, index)?;
            self.take(slot)?;
        }
        Ok(())
    }

    /// Takes an element, if it is one of those that are shown.
    fn take(&mut self, slot: Slot) -> Step {
        self.has_room()?;
        self.slots.push(slot);
        Ok(())
    }

    /// Whether one element more is shown. Asked before a node is read: no more are copied.
    fn has_room(&self) -> Step {
        if self.slots.len() as u64 >= u64::from(self.decoder.world.limits.items_max) {
            return Err(ReasonCode::LimitItems.into());
        }
        Ok(())
    }

    /// Checks, before one more is taken, that the container says that there is one.
    fn expects_more(&self) -> Step {
        if self.slots.len() as u64 >= self.count {
            return Err(contradiction(format!("it says {} elements and has more", self.count)));
        }
        self.has_room()
    }

    /// Checks at the end of all elements that there are as many as the container says.
    fn complete(&self) -> Step {
        let found = self.slots.len() as u64;
        if self.of.count.is_some() && found != self.count {
            return Err(contradiction(format!("it says {} elements and has {found}", self.count)));
        }
        Ok(())
    }

    fn number(&self, number: &Number) -> Result<u64, Reason> {
        self.decoder.number(number, self.place)
    }

    /// A pointer in the container to something that is there.
    fn first(&self, pointer: u64) -> Result<u64, Reason> {
        match self.decoder.pointer_at(self.place, pointer)? {
            0 => {
                Err(contradiction(format!("it says {} elements, its pointer is null", self.count)))
            }
            address => Ok(address),
        }
    }

    /// Whether a pointer ends a walk: it is null or leads back into the container.
    fn is_end(&self, address: u64) -> bool {
        let own = self.place.source.address(self.place.offset);
        address == 0 || own.is_some_and(|own| address.wrapping_sub(own) < self.place.size)
    }

    fn read(&self, address: u64, size: usize) -> Result<u64, Reason> {
        // What was read after the hit says nothing of what was an element at it.
        let image = self.decoder.world.image;
        if image.provenance(address, size as u64) == Provenance::ReadAfterHit {
            return Err(late_pointer());
        }
        let source = Source::Memory { address, stack: false };
        let bytes = source.read(image, 0, size)?;
        Ok(super::scalar::number(&bytes) as u64)
    }

    /// A pointer in a node.
    fn node_word(&self, node: u64, offset: u64) -> Result<u64, Reason> {
        self.read(add(node, offset)?, WORD as usize)
    }

    /// Notes that a node was met; one that is met again is a cycle.
    fn meet(&mut self, node: u64) -> Step {
        if self.seen.insert(node) {
            return Ok(());
        }
        Err(contradiction(format!("its nodes are a cycle, at {node:#x}")))
    }

    fn chain(&mut self, pointer: u64, next: u64, previous: Option<u64>, element: u64) -> Step {
        let mut node = self.decoder.pointer_at(self.place, pointer)?;
        let mut before = None;
        while !self.is_end(node) {
            self.expects_more()?;
            self.meet(node)?;
            let after = self.node_word(node, next)?;
            if let Some(previous) = previous {
                let back = self.node_word(node, previous)?;
                let agrees = before.map_or_else(|| self.is_end(back), |before| back == before);
                if !agrees {
                    let detail = format!("the node at {node:#x} does not lead back");
                    return Err(contradiction(detail));
                }
            }
            self.take(Slot::At(add(node, element)?))?;
            before = Some(node);
            node = after;
        }
        self.complete()
    }

    fn tree(&mut self) -> Step {
        let Walk::Tree { pointer, left, right, parent, element } = self.of.walk else {
            return Ok(());
        };
        let mut node = self.decoder.pointer_at(self.place, pointer)?;
        if !self.is_end(node) && self.node_word(node, left)? != 0 {
            return Err(contradiction("its first node is not the first"));
        }
        while !self.is_end(node) {
            self.expects_more()?;
            self.meet(node)?;
            self.take(Slot::At(add(node, element)?))?;
            if (self.slots.len() as u64) < self.count {
                self.has_room()?;
            }
            let below = self.node_word(node, right)?;
            node = if below == 0 {
                self.climb(node, left, right, parent)?
            } else {
                self.descend(node, below, left, parent)?
            };
        }
        self.complete()
    }

    /// The leftmost node of the tree at `below`.
    fn descend(&self, from: u64, below: u64, left: u64, parent: u64) -> Result<u64, Reason> {
        let (mut above, mut node) = (from, below);
        for _ in 0..HEIGHT_MAX {
            if self.node_word(node, parent)? != above {
                return Err(contradiction(format!("the node at {node:#x} does not lead back")));
            }
            match self.node_word(node, left)? {
                0 => return Ok(node),
                below => (above, node) = (node, below),
            }
        }
        Err(contradiction("its nodes are too deep"))
    }

    /// The first node above `from` that is not to the left of it.
    fn climb(&self, from: u64, left: u64, right: u64, parent: u64) -> Result<u64, Reason> {
        let mut node = from;
        for _ in 0..HEIGHT_MAX {
            let above = self.node_word(node, parent)?;
            if self.is_end(above) || self.node_word(above, left)? == node {
                return Ok(above);
            }
            if self.node_word(above, right)? != node {
                let detail = format!("the node at {above:#x} does not lead to {node:#x}");
                return Err(contradiction(detail));
            }
            node = above;
        }
        Err(contradiction("its nodes are too deep"))
    }

    fn b_tree(&mut self, tree: &BTree) -> Step {
        let root = self.first(tree.pointer)?;
        let height = self.number(&tree.height)?;
        if height > HEIGHT_MAX {
            return Err(contradiction(format!("nodes {height} deep")));
        }
        self.b_tree_node(tree, root, height)?;
        self.complete()
    }

    fn b_tree_node(&mut self, tree: &BTree, node: u64, height: u64) -> Step {
        let source = Source::Memory { address: node, stack: false };
        let place = Place { source: &source, offset: 0, size: 0, ..self.place };
        self.meet(node)?;
        let length = self.decoder.number(&tree.length, place)?;
        if length > tree.room {
            return Err(contradiction(format!("{length} elements in the node at {node:#x}")));
        }
        for index in 0..=length {
            if (self.slots.len() as u64) < self.count {
                self.has_room()?;
            }
            if height > 0 {
                let below = self.node_word(node, tree.below.saturating_add(index * WORD))?;
                let source = Source::Memory { address: below, stack: false };
                let place = Place { source: &source, offset: 0, size: 0, ..self.place };
                let back = self.node_word(below, tree.parent)?;
                if back != node || self.decoder.number(&tree.index, place)? != index {
                    let detail = format!("the node at {below:#x} does not lead back");
                    return Err(contradiction(detail));
                }
                self.b_tree_node(tree, below, height - 1)?;
            }
            if index < length {
                self.expects_more()?;
                self.take(self.b_tree_slot(node, index)?)?;
            }
        }
        Ok(())
    }

    fn b_tree_slot(&self, node: u64, index: u64) -> Result<Slot, Reason> {
        let size = |id| self.decoder.world.types.get(id).size.unwrap_or(0);
        let at = |offset: u64, size: u64| {
            add(
                node,
                index.checked_mul(size).and_then(|it| it.checked_add(offset)).ok_or_else(far)?,
            )
        };
        match &self.of.content {
            Content::Pairs { key, value, .. } => Ok(Slot::Two(
                at(key.offset, size(key.type_id))?,
                at(value.offset, size(value.type_id))?,
            )),
            _ => {
                let Walk::BTree(tree) = &self.of.walk else { return Err(far()) };
                Ok(Slot::At(at(tree.elements, self.size)?))
            }
        }
    }

    fn table(&mut self, pointer: u64, mask: u64) -> Step {
        let (bytes, mask) = (self.first(pointer)?, self.decoder.pointer_at(self.place, mask)?);
        let room = mask.wrapping_add(1);
        if !room.is_power_of_two() || self.count > room {
            return Err(contradiction(format!("{} elements, room for {room}", self.count)));
        }
        let shown = 2 * u64::from(self.decoder.world.limits.items_max);
        for index in 0..room {
            if index >= shown {
                return Err(ReasonCode::LimitItems.into());
            }
            match self.read(add(bytes, index)?, 1)? {
                0..0x80 => {
                    self.expects_more()?;
                    let slot = (index + 1).checked_mul(self.size);
                    let slot = slot.and_then(|offset| bytes.checked_sub(offset));
                    self.take(Slot::At(slot.ok_or_else(far)?))?;
                }
                0xff | 0x80 => {}
                other => {
                    return Err(contradiction(format!("{other:#x} is no control byte")));
                }
            }
        }
        self.complete()
    }
}

fn add(address: u64, offset: u64) -> Result<u64, Reason> {
    address.checked_add(offset).ok_or_else(far)
}

fn far() -> Reason {
    Reason::new(ReasonCode::Unmapped, "beyond the address space")
}
