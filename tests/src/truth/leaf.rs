//! What two views of the same hit have in common: leaves, scalars by the path to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tracer_core::model::resolved::OtherPc;

/// A scalar, or that there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leaf {
    /// An integer, character, truth value, enumerator or address.
    Number(i128),
    /// The bits of a floating-point number, as a double.
    Double(u64),
    /// A number of a wider format, in decimal.
    Decimal(String),
    /// Bytes of a string, up to the limit of the comparison.
    Text(Vec<u8>),
    /// Not available, and why.
    Missing(String),
}

/// The leaves of one hit by path.
///
/// A path is `#FRAME NAME` (frame 0 is the innermost inlined call at the pc; `~2` behind the name
/// for one that is hidden by another, `@entry` for what a parameter held at the entry, `@moved` for
/// what a variable holds at another pc), then `.member`, `[index]` and `.*` for what a pointer
/// points to. `.$text` is the text behind a pointer or in an array, `.$length` the number of elements,
/// `$rip` a register, `$stack[1]` the pc of the caller.
pub type Leaves = BTreeMap<String, Leaf>;

/// One view of a hit.
#[derive(Clone, Default, Debug)]
pub struct View {
    /// What it shows of the variables.
    pub leaves: Leaves,
    /// Registers and stack.
    pub context: Leaves,
    /// The paths of the variables in scope, whether it shows a value of them or not.
    pub variables: BTreeSet<String>,
    /// Of these, the paths of those that are declared on a line that was not reached yet: they are
    /// not in scope by the rules of the language.
    pub undeclared: BTreeSet<String>,
    /// Why it shows nothing of a variable, in words.
    pub reasons: BTreeMap<String, String>,
    /// The paths of the variables that it shows as they are at another pc, and which that is.
    pub moved: BTreeMap<String, OtherPc>,
    /// The paths of what was not read at the hit but after it, as it says itself.
    pub late: BTreeSet<String>,
}

impl View {
    /// Whether it shows a value of a variable, or of a part of it.
    pub fn shows(&self, variable: &str) -> bool {
        self.shows_any(variable, |_| true)
    }

    /// The same, leaving out what a variable holds at another pc.
    pub fn shows_itself(&self, variable: &str) -> bool {
        self.shows_any(variable, |part| !part.starts_with("@moved"))
    }

    fn shows_any(&self, variable: &str, counts: impl Fn(&str) -> bool) -> bool {
        let parts = self.leaves.range(variable.to_owned()..);
        let mut parts = parts.take_while(|(path, _)| path.starts_with(variable));
        // The length of an array in a type is known though its elements are not.
        parts.any(|(path, leaf)| {
            let is_counted = path.get(variable.len()..).is_some_and(&counts);
            is_part(path, variable) && is_counted && leaf.is_there() && !path.ends_with(".$length")
        })
    }
}

impl FromIterator<(String, Leaf)> for View {
    /// Without variables.
    fn from_iter<T: IntoIterator<Item = (String, Leaf)>>(leaves: T) -> Self {
        let (context, leaves) = leaves.into_iter().partition(|(path, _)| path.starts_with('$'));
        Self { leaves, context, ..Self::default() }
    }
}

/// Whether a path is that of a value or of a part of it, now, at the entry of its function or at
/// another pc.
pub fn is_part(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '@']))
}

impl Leaf {
    /// There is a value.
    pub fn is_there(&self) -> bool {
        !matches!(self, Self::Missing(_))
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number} ({number:#x})"),
            Self::Double(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::Decimal(text) => f.write_str(text),
            Self::Text(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Missing(why) => write!(f, "<{why}>"),
        }
    }
}

/// The path of the value that this one is a part of; `None` for a variable.
pub fn parent(path: &str) -> Option<&str> {
    let cut = path.rfind(['.', '['])?;
    // Names of variables in Rust's debug info may have dots; those of frames have none.
    path.get(..cut).filter(|parent| parent.contains(' '))
}
