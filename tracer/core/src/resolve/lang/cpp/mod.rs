//! C++: what the classes of its libraries mean, by the names of the classes and of their members.
//! libstdc++ and libc++ have their members named apart, so a class is tried as one, then as the
//! other; where neither fits, its members are shown.
//!
//! Adding a class takes a function from [`Class`] to [`Shape`] in one of the files here, and its
//! line in [`CLASSES`].

mod hash;
mod list;
mod name;
mod sequence;
mod smart;
mod string;
mod sum;
mod time;
mod tree;
mod tuple;

pub use self::name::short;
use super::Language;
use super::class::Class;
use crate::model::container::{Container, Content, Number, Walk};
use crate::model::types::{Member, Shape};
use crate::resolve::dies::Die;
use crate::resolve::types::TypeBuilder;

/// Templates that are arguments of one another, on the way to a node.
const ALLOCATORS_DEEP: usize = 3;

/// What a class means; `None` where its members are not those that are known.
type Meaning = fn(&mut Class<'_, '_>) -> Option<Shape>;

/// Templates and classes in namespace std.
const CLASSES: &[(&str, Meaning)] = &[
    ("basic_string", string::owned),
    ("basic_string_view", string::view),
    ("vector", sequence::vector),
    ("array", sequence::array),
    ("span", sequence::span),
    ("deque", sequence::deque),
    ("list", list::list),
    ("forward_list", list::forward_list),
    ("map", tree::map),
    ("multimap", tree::map),
    ("set", tree::set),
    ("multiset", tree::set),
    ("unordered_map", hash::map),
    ("unordered_multimap", hash::map),
    ("unordered_set", hash::set),
    ("unordered_multiset", hash::set),
    ("unique_ptr", smart::unique),
    ("shared_ptr", smart::shared),
    ("weak_ptr", smart::weak),
    ("atomic", smart::atomic),
    ("function", smart::function),
    ("any", smart::any),
    ("optional", sum::optional),
    ("variant", sum::variant),
    ("tuple", tuple::tuple),
    ("chrono::duration", time::duration),
    ("chrono::time_point", time::time_point),
];

/// What a class of the standard library means.
pub fn shape<'a>(builder: &mut TypeBuilder<'a>, die: &Die<'a>) -> Option<Shape> {
    let path = builder.dies().path(die)?;
    let name = die.name()?;
    let name = name.split('<').next().unwrap_or(&name);
    let mut spaces = path.split("::");
    if spaces.next() != Some("std") {
        return None;
    }
    // Inline namespaces are for the linker only: std::__cxx11, std::__1.
    let inner: Vec<&str> = spaces.filter(|space| !space.starts_with('_')).collect();
    let full =
        if inner.is_empty() { name.to_owned() } else { format!("{}::{name}", inner.join("::")) };
    let (_, meaning) = CLASSES.iter().find(|(known, _)| *known == full)?;
    meaning(&mut Class::new(builder, die, Language::Cpp))
}

/// A container of which nothing more is known.
fn container(walk: Walk, content: Content, count: Option<Number>) -> Container {
    Container { walk, content, count, capacity: None, notes: Vec::new() }
}

fn shaped(container: Container) -> Option<Shape> {
    Some(Shape::Container(Box::new(container)))
}

/// What is stored in a node: its first argument.
fn stored<'a>(class: &mut Class<'_, 'a>, node: &Die<'a>, are_pairs: bool) -> Option<Content> {
    let element = class.of(node).argument(0)?;
    // libc++ wraps the pairs of maps.
    let pair = class.of(&element).field("__cc").or_else(|| class.of(&element).field("__cc_"));
    let element = pair.map_or(element, |pair| pair.die);
    content(class, &element, are_pairs)
}

/// Keys and values in pairs, or elements that are no pairs.
fn content<'a>(class: &mut Class<'_, 'a>, element: &Die<'a>, are_pairs: bool) -> Option<Content> {
    if !are_pairs {
        return Some(Content::Elements(class.type_id(element)));
    }
    let mut pair = class.of(element);
    let (size, key, value) = (pair.size()?, pair.member("first")?, pair.member("second")?);
    Some(Content::Pairs { size, key, value })
}

/// The class of a container's nodes: what the allocators among `carriers`, or in those, are for. It
/// has a member of one of these names; where that is comes with it.
fn node<'a>(
    class: &mut Class<'_, 'a>,
    carriers: Vec<Die<'a>>,
    names: &[&str],
) -> Option<(Die<'a>, u64)> {
    let mut level = carriers;
    for _ in 0..ALLOCATORS_DEEP {
        let mut next = Vec::new();
        for carrier in &level {
            let mut carrier = class.of(carrier);
            for argument in carrier.defined_arguments() {
                let offset = names.iter().find_map(|name| carrier.of(&argument).at(name));
                if let Some(offset) = offset {
                    return Some((argument, offset));
                }
                next.push(argument);
            }
        }
        level = next;
    }
    None
}

/// A class with its bases.
fn with_bases<'a>(class: &mut Class<'_, 'a>, die: Die<'a>) -> Vec<Die<'a>> {
    let mut all = vec![die.clone()];
    all.extend(class.of(&die).bases().into_iter().map(|(_, base)| base));
    all
}

/// A member without a name, which is shown as what it is in.
fn unnamed(member: Member) -> Member {
    Member { name: None, ..member }
}
