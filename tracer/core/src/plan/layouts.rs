//! Types → layouts: how much of an object to copy and where its pointers are.

use crate::model::limits::Limits;
use crate::model::types::{Member, Shape, TypeGraph, TypeId};
use std::collections::{HashMap, VecDeque};
use tracer_common::code::{Edge, Layout, TEXT};

/// Edges of one layout; an array of structs full of pointers stops here.
const EDGES_PER_LAYOUT: usize = 1024;
/// Layouts of one plan.
const LAYOUTS_PER_PLAN: usize = 8192;
/// Members inside members inside members.
const NESTING_MAX: u32 = 64;
/// Members looked at for one layout: debug info can claim types that contain themselves.
const MEMBERS_MAX: u32 = 20_000;

/// What a pointer inside an object points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// One object of this type.
    Object(TypeId),
    /// A NUL-terminated string.
    Text,
    /// Elements of this type; their number is the 8-byte field at this offset.
    Slice { element: TypeId, length_offset: u64, text: bool },
}

/// A pointer inside an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pointer {
    /// Where it is in the object.
    pub(super) offset: u64,
    pub(super) target: Target,
}

/// The pointers of one type, while they are collected.
struct Found {
    pointers: Vec<Pointer>,
    members: u32,
}

/// Layouts under construction. Numbers are handed out at once; edges follow in [`Self::finish`],
/// breadth first, so that a type gets edges only if it can be reached within the depth limit.
pub(super) struct Layouts<'a> {
    types: &'a TypeGraph,
    limits: Limits,
    layouts: Vec<Layout>,
    edges: Vec<Edge>,
    numbers: HashMap<TypeId, u32>,
    raw: HashMap<u32, u32>,
    /// Types whose edges are missing, with the number of pointers followed to come there.
    pending: VecDeque<(TypeId, u32, u32)>,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(types: &'a TypeGraph, limits: Limits) -> Self {
        Self {
            types,
            limits,
            layouts: Vec::new(),
            edges: Vec::new(),
            numbers: HashMap::new(),
            raw: HashMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// The number of a type's layout; `None` where nothing can be copied.
    /// `depth` is the number of pointers followed to an object of it.
    pub(super) fn number(&mut self, id: TypeId, depth: u32) -> Option<u32> {
        if let Some(number) = self.numbers.get(&id) {
            return Some(*number);
        }
        let size = self.size(id)?;
        if size == 0 || self.layouts.len() >= LAYOUTS_PER_PLAN {
            return None;
        }
        let number = self.push(size);
        self.numbers.insert(id, number);
        self.pending.push_back((id, number, depth));
        Some(number)
    }

    /// The number of a layout of `size` bytes without pointers.
    pub(super) fn raw(&mut self, size: u32) -> u32 {
        if let Some(number) = self.raw.get(&size) {
            return *number;
        }
        let number = self.push(size);
        self.raw.insert(size, number);
        number
    }

    fn push(&mut self, size: u32) -> u32 {
        // At most LAYOUTS_PER_PLAN.
        let number = self.layouts.len() as u32;
        self.layouts.push(Layout { size, ..Layout::default() });
        number
    }

    /// Bytes of a type that are worth copying.
    fn size(&self, id: TypeId) -> Option<u32> {
        let of = self.types.get(id);
        let size = match &of.shape {
            Shape::Function | Shape::Nothing | Shape::Opaque(_) => return None,
            Shape::Array { element, count } => {
                let each = self.types.get(*element).size?;
                let shown = u64::from(self.limits.items_max.max(self.limits.text_bytes_max));
                // Of an array only the elements that are shown; text is shown longer.
                let most = if each == 1 { shown } else { u64::from(self.limits.items_max) };
                each.checked_mul((*count)?.min(most))?
            }
            _ => of.size?,
        };
        Some(u32::try_from(size).unwrap_or(u32::MAX))
    }

    /// The pointers inside a type, nested members included.
    pub(super) fn pointers(&self, id: TypeId) -> Vec<Pointer> {
        let mut found = Found { pointers: Vec::new(), members: 0 };
        self.collect(id, 0, 0, &mut found);
        found.pointers
    }

    fn collect(&self, id: TypeId, offset: u64, nesting: u32, found: &mut Found) {
        found.members += 1;
        let full = found.pointers.len() >= EDGES_PER_LAYOUT || found.members > MEMBERS_MAX;
        if nesting > NESTING_MAX || full {
            return;
        }
        match &self.types.get(id).shape {
            Shape::Pointer(target) => {
                found.pointers.push(Pointer { offset, target: Target::Object(*target) });
            }
            Shape::TextPointer => found.pointers.push(Pointer { offset, target: Target::Text }),
            Shape::Slice { element, pointer_offset, length_offset, text } => {
                found.pointers.push(Pointer {
                    offset: offset.saturating_add(*pointer_offset),
                    target: Target::Slice {
                        element: *element,
                        length_offset: offset.saturating_add(*length_offset),
                        text: *text,
                    },
                });
            }
            Shape::Record(members) | Shape::Union(members) => {
                self.collect_members(members, offset, nesting, found);
            }
            Shape::Variant { variants, common, .. } => {
                self.collect_members(common, offset, nesting, found);
                for variant in variants {
                    self.collect_members(&variant.members, offset, nesting, found);
                }
            }
            Shape::Array { element, count } => {
                self.collect_elements(*element, *count, offset, nesting, found);
            }
            Shape::Scalar(_)
            | Shape::Enumeration { .. }
            | Shape::Function
            | Shape::Nothing
            | Shape::Opaque(_) => {}
        }
    }

    fn collect_members(&self, members: &[Member], offset: u64, nesting: u32, found: &mut Found) {
        for member in members.iter().filter(|member| member.bits.is_none()) {
            let offset = offset.saturating_add(member.offset);
            self.collect(member.type_id, offset, nesting + 1, found);
        }
    }

    fn collect_elements(
        &self,
        element: TypeId,
        count: Option<u64>,
        offset: u64,
        nesting: u32,
        found: &mut Found,
    ) {
        let Some(size) = self.types.get(element).size.filter(|size| *size > 0) else { return };
        let first = found.pointers.len();
        self.collect(element, offset, nesting + 1, found);
        if found.pointers.len() == first {
            return;
        }
        for index in 1..count.unwrap_or(0).min(u64::from(self.limits.items_max)) {
            let offset = offset.saturating_add(index.saturating_mul(size));
            self.collect(element, offset, nesting + 1, found);
        }
    }

    /// Fills in the edges of all layouts that were asked for and of those they lead to.
    pub(super) fn finish(mut self) -> (Vec<Layout>, Vec<Edge>) {
        while let Some((id, number, depth)) = self.pending.pop_front() {
            // At the limit itself edges are kept: the kernel program then notes that it met it.
            if depth > self.limits.depth_max {
                continue;
            }
            let first = self.edges.len() as u32;
            for pointer in self.pointers(id) {
                if let Some(edge) = self.edge(pointer, depth + 1) {
                    self.edges.push(edge);
                }
            }
            let count = self.edges.len() as u32 - first;
            if let Some(layout) = self.layouts.get_mut(number as usize) {
                layout.edge_first = first;
                layout.edge_count = count;
            }
        }
        (self.layouts, self.edges)
    }

    fn edge(&mut self, pointer: Pointer, depth: u32) -> Option<Edge> {
        let offset = u32::try_from(pointer.offset).ok()?;
        Some(match pointer.target {
            Target::Object(id) => Edge {
                offset,
                target: self.number(id, depth)?,
                length_offset: Edge::FIXED,
                count: 1,
            },
            Target::Text => Edge { offset, target: TEXT, length_offset: Edge::FIXED, count: 1 },
            Target::Slice { element, length_offset, text } => Edge {
                offset,
                target: self.number(element, depth)?,
                length_offset: u32::try_from(length_offset).ok()?,
                count: u32::from(text),
            },
        })
    }
}
