//! Types → layouts: how much of an object to copy and where its pointers are.

use super::pointers::{self, Pointer};
use super::walks;
use crate::model::limits::Limits;
use crate::model::types::{Shape, TypeGraph, TypeId};
use std::collections::{HashMap, VecDeque};
use tracer_common::code::{Edge, Layout, TEXT};

/// Layouts of one plan.
const LAYOUTS_PER_PLAN: usize = 8192;
/// Edges of one plan.
const EDGES_PER_PLAN: usize = 64 * 1024;

/// What an object that is copied is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum What {
    /// A value of a type.
    Value(TypeId),
    /// An element of a container of this type.
    Element(TypeId),
    /// A node of a container of this type, with so many nodes below one another.
    Node(TypeId, u32),
    /// Bytes without pointers.
    Raw(u32),
    /// A NUL-terminated string.
    Text,
}

/// Layouts under construction. Numbers are handed out at once; edges follow in [`Self::finish`],
/// breadth first, so that a type gets edges only if it can be reached within the depth limit.
pub(super) struct Layouts<'a> {
    pub(super) types: &'a TypeGraph,
    pub(super) limits: Limits,
    layouts: Vec<Layout>,
    edges: Vec<Edge>,
    numbers: HashMap<What, u32>,
    /// Layouts whose edges are missing, with the number of pointers followed to come there.
    pending: VecDeque<(What, u32, u32)>,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(types: &'a TypeGraph, limits: Limits) -> Self {
        Self {
            types,
            limits,
            layouts: Vec::new(),
            edges: Vec::new(),
            numbers: HashMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// The number of a layout; `None` where nothing can be copied. `depth` is the number of pointers
    /// followed to an object of it.
    pub(super) fn number(&mut self, what: What, depth: u32) -> Option<u32> {
        if what == What::Text {
            return Some(TEXT);
        }
        if let Some(number) = self.numbers.get(&what) {
            return Some(*number);
        }
        let size = match what {
            What::Value(id) => self.size(id)?,
            What::Raw(size) => size,
            What::Element(_) | What::Node(..) | What::Text => walks::size(self, what)?,
        };
        if size == 0 || self.layouts.len() >= LAYOUTS_PER_PLAN {
            return None;
        }
        // At most LAYOUTS_PER_PLAN.
        let number = self.layouts.len() as u32;
        self.layouts.push(Layout { size, ..Layout::default() });
        self.numbers.insert(what, number);
        self.pending.push_back((what, number, depth));
        Some(number)
    }

    /// Bytes of a type that are worth copying.
    pub(super) fn size(&self, id: TypeId) -> Option<u32> {
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

    /// The pointers inside a value of a type, nested members included.
    pub(super) fn pointers(&self, id: TypeId) -> Vec<Pointer> {
        pointers::of(self, What::Value(id))
    }

    /// Fills in the edges of all layouts that were asked for and of those they lead to.
    pub(super) fn finish(mut self) -> (Vec<Layout>, Vec<Edge>) {
        while let Some((what, number, depth)) = self.pending.pop_front() {
            // At the limit itself edges are kept: the kernel program then notes that it met it.
            if depth > self.limits.depth_max {
                continue;
            }
            let first = self.edges.len() as u32;
            for Pointer { to, edge } in pointers::of(&self, what) {
                let same = edge.flags & (Edge::LINK | Edge::LEVEL) != 0;
                let depth = if same { depth } else { depth + 1 };
                if self.edges.len() < EDGES_PER_PLAN
                    && let Some(target) = self.number(to, depth)
                {
                    self.edges.push(Edge { target, ..edge });
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
}
