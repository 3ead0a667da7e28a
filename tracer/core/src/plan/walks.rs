//! Containers → the edges by which the kernel program finds their elements. What can't be told it
//! exactly is copied as far as it may be shown: decode takes of that what is meant.

use super::layouts::{Layouts, What};
use super::pointers::{Found, Place};
use crate::model::container::{Arithmetic, BTree, Container, Content, Note, Number, Says, Walk};
use crate::model::types::{Shape, TypeId};
use tracer_common::code::Edge;

/// Nodes below one another in a B-tree; more elements than that hold no memory.
const HEIGHT_MAX: u32 = 8;
/// Nodes that are copied beyond those that are shown: of a tree some are on the way to others.
const NODES_ON_THE_WAY: u32 = 32;
/// Bytes of a pointer.
const WORD: u64 = 8;

fn container<'a>(layouts: &Layouts<'a>, id: TypeId) -> Option<&'a Container> {
    match &layouts.types.get(id).shape {
        Shape::Container(container) => Some(container),
        _ => None,
    }
}

/// Bytes of an element or of a node.
pub(super) fn size(layouts: &Layouts<'_>, what: What) -> Option<u32> {
    let size = match what {
        What::Element(id) => element_size(layouts, container(layouts, id)?)?,
        What::Node(id, height) => {
            let container = container(layouts, id)?;
            let size = element_size(layouts, container);
            match &container.walk {
                Walk::Blocks { .. } => WORD,
                Walk::Chain { next, previous, element, .. } => {
                    let links = next.max(previous.as_ref().unwrap_or(next)).checked_add(WORD)?;
                    element.checked_add(size?)?.max(links)
                }
                Walk::Tree { left, right, parent, element, .. } => {
                    let links = left.max(right).max(parent).checked_add(WORD)?;
                    element.checked_add(size?)?.max(links)
                }
                Walk::BTree(tree) if height == 0 => tree.leaf_size,
                Walk::BTree(tree) => tree.inner_size,
                _ => return None,
            }
        }
        What::Value(_) | What::Raw(_) | What::Text => return None,
    };
    u32::try_from(size).ok()
}

fn element_size(layouts: &Layouts<'_>, container: &Container) -> Option<u64> {
    match &container.content {
        Content::Elements(id) => layouts.types.get(*id).size,
        Content::Text => Some(1),
        Content::Pairs { size, .. } => Some(*size),
    }
}

/// The pointers of a container itself.
pub(super) fn begin(found: &mut Found<'_, '_>, id: TypeId, of: &Container, place: Place) {
    noted(found, &of.notes, place);
    let content = match of.content {
        Content::Elements(element) => What::Value(element),
        Content::Pairs { .. } => What::Element(id),
        Content::Text => What::Raw(1),
    };
    let bytes = if of.content == Content::Text { Edge::BYTES } else { 0 };
    let limits = found.layouts.limits;
    let most = if of.content == Content::Text { limits.text_bytes_max } else { limits.items_max };
    let counted = |count: Option<&Number>, pointer: u64, flags: u32, most: u32| Edge {
        most,
        ..counted(count, place, pointer, flags)
    };
    let edge = |pointer: u64, flags| counted(of.count.as_ref(), pointer, flags, most);
    let nodes = |pointer: u64| {
        counted(of.count.as_ref(), pointer, Edge::NODES, most.saturating_add(NODES_ON_THE_WAY))
    };
    match &of.walk {
        Walk::Inside { offset } => {
            if let Content::Elements(element) = of.content {
                found.value(element, place.part(*offset));
            }
        }
        Walk::Run { pointer } => found.push(place, content, edge(*pointer, bytes)),
        Walk::Headed { pointer, header } => headed(found, of, place, *pointer, *header),
        Walk::Ring { pointer, head, .. } => {
            let size = element_size(found.layouts, of).and_then(|size| u32::try_from(size).ok());
            if let (Number::Field { offset, size: 8 }, Some(factor)) = (head, size) {
                let first = place.field(*offset);
                found.push(place, content, Edge { first, factor, ..edge(*pointer, 0) });
            }
            found.push(place, content, edge(*pointer, 0));
        }
        Walk::Bits { pointer, .. } => {
            // The first one may be anywhere in the first word.
            let plus = limits.items_max / 8 + 2 * WORD as u32;
            found.push(place, What::Raw(1), Edge { plus, ..Edge::one(place.field(*pointer), 0) });
        }
        Walk::Blocks { pointer, blocks, copied, .. } => {
            let whole = u64::from(most) / (*copied).max(1) + 2;
            let most = u32::try_from(whole).unwrap_or(most);
            let edge = counted(Some(blocks), *pointer, Edge::LEVEL, most);
            found.push(place, What::Node(id, 0), edge);
        }
        Walk::Chain { pointer, .. } | Walk::Tree { pointer, .. } => {
            found.push(place, What::Node(id, 0), nodes(*pointer));
        }
        Walk::BTree(tree) => {
            for height in 0..HEIGHT_MAX {
                let place = at_height(place, tree, height);
                found.push(place, What::Node(id, height), nodes(tree.pointer));
            }
        }
        Walk::Table { pointer, mask } => {
            let slots = Number::word(*mask).with(Arithmetic::Add, Number::Fixed(1));
            found.push(
                place,
                content,
                counted(Some(&slots), *pointer, Edge::SLOTS, most.saturating_mul(2)),
            );
        }
    }
}

/// Elements behind a header are copied with it, as some more of them; their pointers are followed
/// where the header is as large as a number of elements.
fn headed(found: &mut Found<'_, '_>, of: &Container, place: Place, pointer: u64, header: u64) {
    let size = element_size(found.layouts, of).filter(|size| *size > 0);
    let Some((size, count)) = size.zip(of.count.clone()) else { return };
    let count = count.with(Arithmetic::Add, Number::Fixed(header.div_ceil(size)));
    let (content, flags) = match of.content {
        Content::Elements(element) if header.is_multiple_of(size) => (What::Value(element), 0),
        Content::Text => (What::Raw(1), Edge::BYTES),
        _ => (What::Raw(u32::try_from(size).unwrap_or(u32::MAX)), 0),
    };
    found.push(place, content, counted(Some(&count), place, pointer, flags));
}

/// What notes say of is behind pointers.
pub(super) fn noted(found: &mut Found<'_, '_>, notes: &[Note], place: Place) {
    for note in notes {
        if let Says::Number(number, _) | Says::Symbol(number) = &note.says {
            behind(found, number, place);
        }
    }
}

/// What a number is read of is behind a pointer.
pub(super) fn behind(found: &mut Found<'_, '_>, number: &Number, place: Place) {
    match number {
        Number::Behind { pointer, number } => {
            if let Some(size) = extent(number) {
                found.push(place, What::Raw(size), Edge::one(place.field(*pointer), 0));
            }
        }
        Number::Of(_, both) | Number::IfInside { then_or_else: both, .. } => {
            both.iter().for_each(|number| behind(found, number, place));
        }
        Number::Fixed(_) | Number::Field { .. } => {}
    }
}

/// Bytes of what a number is in.
fn extent(number: &Number) -> Option<u32> {
    match number {
        Number::Field { offset, size } => u32::try_from(offset.checked_add((*size).into())?).ok(),
        Number::Of(_, both) | Number::IfInside { then_or_else: both, .. } => {
            both.iter().filter_map(extent).max()
        }
        Number::Fixed(_) | Number::Behind { .. } => None,
    }
}

fn at_height(place: Place, tree: &BTree, height: u32) -> Place {
    match tree.height {
        Number::Field { offset, size } => place.only_if(offset, size, height.into(), 0, false),
        _ => place,
    }
}

/// A pointer to as many elements as a number says, if the kernel program can tell; else to as many
/// as are shown.
fn counted(count: Option<&Number>, place: Place, pointer: u64, flags: u32) -> Edge {
    let all = Edge { plus: u32::MAX, ..Edge::one(place.field(pointer), 0) };
    let none = Edge { plus: 0, ..all };
    let edge = count.and_then(|number| number_of(number, place, none)).unwrap_or(all);
    Edge { flags, ..edge }
}

fn number_of(number: &Number, place: Place, edge: Edge) -> Option<Edge> {
    let edge = match number {
        Number::Fixed(number) => Edge { plus: (*number).try_into().unwrap_or(u32::MAX), ..edge },
        Number::Field { offset, size: 8 } => Edge { count_to: place.field(*offset), ..edge },
        Number::Of(arithmetic, both) => match (arithmetic, both.as_ref()) {
            (Arithmetic::Sub, [to, Number::Field { offset, size: 8 }]) => {
                let edge = number_of(to, place, edge)?;
                if edge.count_from != Edge::NONE || edge.divisor != 1 || edge.plus != 0 {
                    return None;
                }
                Edge { count_from: place.field(*offset), ..edge }
            }
            (Arithmetic::Div, [number, Number::Fixed(by)]) => {
                divided(number_of(number, place, edge)?, u32::try_from(*by).ok()?)?
            }
            (Arithmetic::Shr, [number, Number::Fixed(by @ 0..32)]) => {
                divided(number_of(number, place, edge)?, 1 << by)?
            }
            (Arithmetic::Add, [number, Number::Fixed(plus)]) => {
                let edge = number_of(number, place, edge)?;
                Edge { plus: edge.plus.checked_add(u32::try_from(*plus).ok()?)?, ..edge }
            }
            _ => return None,
        },
        Number::Field { .. } | Number::Behind { .. } | Number::IfInside { .. } => return None,
    };
    Some(edge)
}

fn divided(edge: Edge, by: u32) -> Option<Edge> {
    (edge.divisor == 1 && edge.plus == 0 && by > 0).then_some(Edge { divisor: by, ..edge })
}

/// The pointers in an element or in a node.
pub(super) fn inside(found: &mut Found<'_, '_>, what: What) {
    let (What::Element(id) | What::Node(id, _)) = what else { return };
    let Some(of) = container(found.layouts, id) else { return };
    let start = Place::START;
    let (height, element) = match (what, &of.walk) {
        (What::Element(_), _) => return content(found, of, start, 0),
        (What::Node(_, height), walk) => match walk {
            Walk::Chain { element, .. } | Walk::Tree { element, .. } => (height, *element),
            _ => (height, 0),
        },
        _ => return,
    };
    let link = |offset: u64| Edge { flags: Edge::LINK, ..Edge::one(start.field(offset), 0) };
    match &of.walk {
        Walk::Blocks { copied, .. } => {
            let to = match of.content {
                Content::Elements(element) => What::Value(element),
                _ => What::Element(id),
            };
            let plus = u32::try_from(*copied).unwrap_or(u32::MAX);
            found.push(start, to, Edge { plus, ..Edge::one(0, 0) });
        }
        Walk::Chain { next, .. } => {
            content(found, of, start.part(element), 0);
            found.push(start, what, link(*next));
        }
        Walk::Tree { left, right, parent, .. } => {
            content(found, of, start.part(element), 0);
            // The one that comes last is followed first: what is in order comes first.
            for offset in [parent, right, left] {
                found.push(start, what, link(*offset));
            }
        }
        Walk::BTree(tree) => {
            let longer = |than: u64| match tree.length {
                Number::Field { offset, size } => {
                    start.only_if(offset, size, than, u32::from(u16::MAX), false)
                }
                _ => start,
            };
            for index in 0..tree.room {
                let first =
                    if matches!(of.content, Content::Pairs { .. }) { 0 } else { tree.elements };
                content(found, of, longer(index + 1).part(first), index);
            }
            if height > 0 {
                for index in (0..=tree.room).rev() {
                    let below = tree.below.saturating_add(index.saturating_mul(WORD));
                    found.push(longer(index), What::Node(id, height - 1), link(below));
                }
            }
        }
        _ => {}
    }
}

/// The pointers in an element; `index` counts where keys and values are arrays.
fn content(found: &mut Found<'_, '_>, of: &Container, place: Place, index: u64) {
    match &of.content {
        Content::Elements(id) => {
            let size = found.layouts.types.get(*id).size.unwrap_or(0);
            found.value(*id, place.part(index.saturating_mul(size)));
        }
        Content::Pairs { key, value, .. } => {
            for member in [key, value] {
                let size = found.layouts.types.get(member.type_id).size.unwrap_or(0);
                let offset = member.offset.saturating_add(index.saturating_mul(size));
                found.value(member.type_id, place.part(offset));
            }
        }
        Content::Text => {}
    }
}
