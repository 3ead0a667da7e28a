//! Where the types of C and C++ are defined that other units only declare: `struct lua_longjmp *`
//! in a header, `struct lua_longjmp { … }` in one source file.
//!
//! It says only where to look. A name that has definitions of several forms has none here: debug
//! info does not say which one is meant.

use super::dwarf::{DebugInfo, Unit, UnitIndex, Value};
use super::index_file::{IndexFile, Kind, Table};
use super::index_store::Stored;
use super::scan::{self, Read};
use super::sections::Part;
use super::strings;
use gimli::{AttributeValue, UnitOffset};
use std::collections::HashMap;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Types of one unit; a unit of more is hostile, and what it has more is left out.
const TYPES_MAX: usize = 1 << 20;

/// The definitions of a file's types.
#[derive(Debug)]
pub struct TypeIndex {
    /// By name.
    definitions: Table<Definition>,
}

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
struct Definition {
    /// [`key`] of its name.
    key: u64,
    /// What tells it from another one: its tag, size, line, and the names and places of its members.
    form: u64,
    /// Where its DIE is among those of the file (see [`Unit::start`]).
    offset: u64,
}

impl TypeIndex {
    /// Reads all units.
    pub(super) fn read(info: &DebugInfo) -> Self {
        let all: Vec<UnitIndex> = (0..info.unit_count()).collect();
        let read = |found: &mut Vec<Definition>, _, unit: &Unit<'_>| {
            // What follows a malformed entry is lost; what came before it is right.
            let _ended: Result<(), gimli::Error> = scan_unit(info, unit, found);
        };
        let mut found = scan::units(info, &all, Read::Bare, read).concat();
        found.sort_unstable();
        found.dedup_by_key(|definition| (definition.key, definition.form));
        // A name with one form has one definition left.
        let only = found.chunk_by(|a, b| a.key == b.key).filter_map(|same| match same {
            [only] => Some(*only),
            _ => None,
        });
        Self { definitions: Table::Built(only.collect()) }
    }

    /// Where, among the DIEs of the file, is what may be the definition of `name` in namespace or class
    /// `path`.
    pub fn definition(&self, path: Option<&str>, name: &str) -> Option<usize> {
        let around = path.map(|path| key(None, path.as_bytes()));
        let key = key(around, name.as_bytes());
        let found =
            self.definitions.binary_search_by_key(&key, |definition| definition.key).ok()?;
        usize::try_from(self.definitions.get(found)?.offset).ok()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.definitions.bytes()
    }
}

impl Stored for TypeIndex {
    const KIND: Kind = Kind::Types;

    fn tables(&self) -> [&[u8]; 3] {
        [self.definitions.as_bytes(), &[], &[]]
    }

    fn parse(file: &Arc<IndexFile>) -> Option<Self> {
        let definitions = Table::<Definition>::on_disk(file, 0)?;
        let fits = definitions.is_sorted_by_key(|definition| definition.key);
        fits.then_some(Self { definitions })
    }
}

/// The number of a name inside of another one: FNV-1a of `outer::inner`. Two names may share it.
fn key(around: Option<u64>, name: &[u8]) -> u64 {
    also(around.map_or(BASIS, |around| also(around, b"::")), name)
}

/// FNV-1a of nothing, and of more bytes behind those of a number.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn also(number: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(number, |number, byte| (number ^ u64::from(*byte)).wrapping_mul(PRIME))
}

fn is_member(tag: gimli::DwTag) -> bool {
    matches!(tag, gimli::DW_TAG_member | gimli::DW_TAG_inheritance)
}

/// What encloses an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// The unit.
    Unit,
    /// A namespace or class, by its key.
    Named(u64),
    /// A function, or something without a name: nobody outside of it means what is in it.
    Hidden,
}

impl Around {
    fn with(self, name: Option<&[u8]>) -> Self {
        match (self, name) {
            (Self::Unit, Some(name)) => Self::Named(key(None, name)),
            (Self::Named(around), Some(name)) => Self::Named(key(Some(around), name)),
            _ => Self::Hidden,
        }
    }
}

/// What an entry says of itself.
#[derive(Default)]
struct Described<'a> {
    name: Option<Value<'a>>,
    size: Option<u64>,
    line: u64,
    /// Of a member, in bytes or bits.
    place: u64,
    specification: Option<UnitOffset>,
    is_declaration: bool,
}

fn scan_unit(
    info: &DebugInfo,
    unit: &Unit<'_>,
    found: &mut Vec<Definition>,
) -> Result<(), gimli::Error> {
    let start = unit.start() as u64;
    let end = found.len().saturating_add(TYPES_MAX);
    let mut entries = unit.entries_raw(None)?;
    // What is open around the next entry, with the depth of what opened it.
    let mut open: Vec<(isize, Around)> = Vec::new();
    // The type whose members come, with its depth.
    let mut current: Option<(isize, usize)> = None;
    let mut declared: HashMap<UnitOffset, Around> = HashMap::new();
    while !entries.is_empty() && found.len() < end && declared.len() < TYPES_MAX {
        let (offset, depth) = (entries.next_offset(), entries.next_depth());
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        let (tag, attributes) = (abbreviation.tag(), abbreviation.attributes());
        let (is_type, is_scope) = (is_type(tag), tag == gimli::DW_TAG_namespace);
        let mut own = Described::default();
        current = current.filter(|(outer, _)| *outer < depth);
        let of = current.filter(|(outer, _)| is_member(tag) && *outer + 1 == depth);
        let is_read = is_type || is_scope || of.is_some();
        for spec in attributes.iter().filter(|_| is_read) {
            own.add(&entries.read_attribute(*spec)?);
        }
        if !is_read {
            entries.skip_attributes(attributes)?;
        }
        open.retain(|(outer, _)| *outer < depth);
        let around = open.last().map_or(Around::Unit, |(_, around)| *around);
        let name = strings::of(info, Part::Main, unit, own.name).some();
        let name = name.and_then(|name| strings::read(info, name));
        if let Some(definition) = of.and_then(|(_, index)| found.get_mut(index)) {
            definition.form = also(definition.form, name.unwrap_or_default());
            definition.form = also(definition.form, &own.place.to_le_bytes());
        }
        let path = match own.specification.filter(|_| is_type) {
            Some(declaration) => declared.get(&declaration).copied().unwrap_or(Around::Hidden),
            None => around.with(name.filter(|_| is_type || is_scope)),
        };
        if own.is_declaration {
            declared.insert(offset, path);
        } else if let (true, Around::Named(key), Some(size)) = (is_type, path, own.size) {
            let form = [u64::from(tag.0), size, own.line];
            let form = form.iter().fold(BASIS, |form, part| also(form, &part.to_le_bytes()));
            current = Some((depth, found.len()));
            found.push(Definition { key, form, offset: start + offset.0 as u64 });
        }
        if abbreviation.has_children() && depth > 0 {
            open.push((depth, path));
        }
    }
    Ok(())
}

impl<'a> Described<'a> {
    fn add(&mut self, attribute: &gimli::Attribute<super::dwarf::Reader<'a>>) {
        match attribute.name() {
            gimli::DW_AT_name => self.name = Some(attribute.value()),
            gimli::DW_AT_byte_size => self.size = attribute.udata_value(),
            gimli::DW_AT_decl_line => self.line = attribute.udata_value().unwrap_or(0),
            gimli::DW_AT_data_member_location | gimli::DW_AT_data_bit_offset => {
                self.place = attribute.udata_value().unwrap_or(u64::MAX);
            }
            gimli::DW_AT_declaration => {
                self.is_declaration = attribute.value() == AttributeValue::Flag(true);
            }
            gimli::DW_AT_specification => {
                if let AttributeValue::UnitRef(offset) = attribute.value() {
                    self.specification = Some(offset);
                }
            }
            _ => {}
        }
    }
}

fn is_type(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type
    )
}

#[cfg(test)]
mod tests {
    use crate::binary::fixture::Fixture;

    const DEFINED: &str = "
struct only { long a; };
namespace ns { struct inner { int b; }; }
struct outer { struct hidden; hidden *own; };
struct outer::hidden { int c; };
struct twice { int d; };
struct alike { int a; };
only o; alike a; ns::inner i; outer x; outer::hidden h; twice t;
int used() { struct local { int e; } l = {1}; return l.e; }
";
    const OTHER: &str = "
struct twice { long long d[4]; } other;




struct alike { int b; } a_like;
struct only *pointer;
int main() { return 0; }
";

    #[test]
    fn a_name_with_one_definition_has_it() {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            let fixture = Fixture::new();
            fixture.write("main.cc", DEFINED).write("other.cc", OTHER);
            fixture.run(&format!("g++ -g {version} main.cc other.cc -o main"));
            let module = fixture.module("main");
            let info = module.code().debug_info().unwrap();
            let is_there =
                |path: Option<&str>, name: &str| info.type_index().definition(path, name).is_some();
            assert!(is_there(None, "only"));
            assert!(is_there(Some("ns"), "inner"));
            assert!(is_there(Some("outer"), "hidden"));
            assert!(!is_there(None, "inner"));
            assert!(!is_there(None, "twice"), "which one is meant?");
            assert!(!is_there(None, "alike"), "of the same size, on the same line");
            assert!(!is_there(None, "local") && !is_there(Some("used"), "local"));
        }
    }
}
