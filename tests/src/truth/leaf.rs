//! What two views of the same hit have in common: leaves, scalars by the path to them.

use std::collections::BTreeMap;
use std::fmt;

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
/// for one that is hidden by another), then `.member`, `[index]` and `.*` for what a pointer points
/// to. `.$text` is the text behind a pointer or in an array, `.$length` the number of elements,
/// `$rip` a register, `$stack[1]` the pc of the caller.
pub type Leaves = BTreeMap<String, Leaf>;

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
