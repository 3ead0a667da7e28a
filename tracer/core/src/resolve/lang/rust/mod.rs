//! Rust: names as the compiler writes them, and what the types of its library mean, found by their
//! path and by the names of their members. One family of types has one file; a layout that it does
//! not know stays a record.

mod btree;
mod cell;
mod coroutine;
mod counted;
mod dynamic;
mod hash;
mod part;
mod slice;
mod text;
mod time;
mod variant;
mod vec;

use self::part::Part;
use super::{Language, c};
use crate::model::types::Shape;
use crate::resolve::dies::{self, Die, Dies, Entry};
use crate::resolve::types::{TypeBuilder, array};

pub use self::coroutine::{capture_name, is_closure};
pub use self::variant::variant;

/// What understands a type of the library, if its layout is known.
type Family = for<'a> fn(&mut TypeBuilder<'a>, &Part<'a>) -> Option<Shape>;

/// The crates that these types are from.
const CRATES: [&str; 5] = ["alloc", "bytes", "core", "hashbrown", "std"];

/// Types by their name without parameters. In which module of its crate a type is changes between
/// versions.
const FAMILIES: &[(&str, Family)] = &[
    ("ArcInner", counted::counted),
    ("Arc", counted::strong),
    ("AtomicBool", cell::atomic_bool),
    ("BTreeMap", btree::map),
    ("BTreeSet", btree::set),
    ("BinaryHeap", vec::heap),
    ("Bytes", vec::bytes),
    ("BytesMut", vec::bytes),
    ("CString", text::c_string),
    ("Cell", cell::transparent),
    ("Duration", time::time),
    ("GenFuture", cell::transparent),
    ("HashMap", hash::map),
    ("HashSet", hash::set),
    ("Instant", time::time),
    ("LinkedList", vec::list),
    ("ManuallyDrop", cell::transparent),
    ("Mutex", cell::mutex),
    ("NonNull", cell::transparent),
    ("OnceCell", cell::transparent),
    ("OsString", text::owned),
    ("PathBuf", text::owned),
    ("Pin", cell::transparent),
    ("Rc", counted::strong),
    ("RcBox", counted::counted),
    ("RcInner", counted::counted),
    ("RefCell", cell::ref_cell),
    ("RwLock", cell::rw_lock),
    ("String", text::owned),
    ("SystemTime", time::time),
    ("UnsafeCell", cell::transparent),
    ("Vec", vec::vec),
    ("VecDeque", vec::deque),
    ("Weak", counted::weak),
];

/// Families of types whose names begin alike.
const PREFIXES: &[(&str, Family)] =
    &[("Atomic", cell::transparent), ("NonZero", cell::transparent)];

/// What a record means beyond its members.
pub fn shape<'a>(
    builder: &mut TypeBuilder<'a>,
    die: &Die<'a>,
    children: &[Entry<'a>],
) -> Option<Shape> {
    if let Some(slice) = slice::slice(builder, die, children) {
        return Some(slice);
    }
    if builder.is_raw() {
        return None;
    }
    if let Some(object) = dynamic::fat(builder, &Part::whole(die)) {
        return Some(object);
    }
    let family = family(die).filter(|_| is_of_library(builder, die))?;
    family(builder, &Part::whole(die))
}

/// What understands a type of this name.
fn family(die: &Die<'_>) -> Option<Family> {
    let name = die.name()?;
    let name = part::base_name(&name);
    let exact = FAMILIES.iter().find(|(known, _)| *known == name);
    let found = exact.or_else(|| PREFIXES.iter().find(|(start, _)| name.starts_with(start)))?;
    Some(found.1)
}

/// Whether a type is of one of the library's crates.
fn is_of_library<'a>(builder: &TypeBuilder<'a>, die: &Die<'a>) -> bool {
    let path = builder.dies().path(die);
    path.and_then(|path| Some(CRATES.contains(&path.split("::").next()?))).unwrap_or(false)
}

/// DW_AT_name where the compiler gives one; only arrays, and pointers of old compilers, have none.
pub fn type_name<'a>(dies: &Dies<'a>, die: Option<&Die<'a>>) -> String {
    let mut brackets = String::new();
    let mut current = die.cloned();
    let mut tails = Vec::new();
    for _ in 0..dies::WALK_MAX {
        let Some(die) = &current else { break };
        if die.name().is_some() || die.tag() != gimli::DW_TAG_array_type {
            break;
        }
        let counts = array::dimensions(dies, die).unwrap_or_else(|_| vec![None]);
        for count in counts {
            brackets.push('[');
            tails.push(count.map_or("]".to_owned(), |count| format!("; {count}]")));
        }
        current = dies.reference(die, gimli::DW_AT_type).ok().flatten();
    }
    let element = match &current {
        Some(die) => die.name().unwrap_or_else(|| c::type_name(dies, Some(die), Language::Rust)),
        None => "()".to_owned(),
    };
    tails.reverse();
    c::cut(format!("{brackets}{element}{}", tails.concat()))
}
