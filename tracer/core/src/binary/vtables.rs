//! Where the tables of methods of Rust's trait objects are, and of which types they are: the compiler
//! describes each one as a variable, whose type says for which other type it was made
//! (DW_AT_containing_type).

use super::dwarf::{DebugInfo, Unit, UnitIndex, Value};
use super::scan::{self, Read};
use super::sections::Part;
use super::strings;
use gimli::{AttributeValue, Reader as _, UnitOffset};
use std::collections::HashMap;

/// Tables of one unit.
const TABLES_MAX: usize = 1 << 18;
/// How the name of a table ends.
const NAME_END: &str = ">::{vtable}";

/// All tables of a file.
#[derive(Debug, Default)]
pub struct Vtables {
    /// By the path of their trait, in the order of their addresses.
    tables: HashMap<Box<str>, Vec<Vtable>>,
}

/// A table of the methods of a trait.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Vtable {
    /// Where it is, as stated in the file.
    pub svma: u64,
    /// The type, as the compiler names it in the table's name.
    pub type_name: Box<str>,
    /// Where the type's DIE is among those of the file.
    pub place: usize,
}

impl Vtables {
    /// Reads all units.
    pub(super) fn read(info: &DebugInfo) -> Self {
        let all: Vec<UnitIndex> = (0..info.unit_count()).collect();
        let read = |found: &mut Vec<(Box<str>, Vtable)>, _, unit: &Unit<'_>| {
            // What follows a malformed entry is lost; what came before it is right.
            let _ended: Result<(), gimli::Error> = scan_unit(info, unit, found);
        };
        let mut found = Self::default();
        for (of_trait, table) in scan::units(info, &all, Read::Bare, read).concat() {
            found.tables.entry(of_trait).or_default().push(table);
        }
        for tables in found.tables.values_mut() {
            tables.sort_unstable();
            // A table that was merged with that of another type tells nothing. Border: a linker that is
            // told to merge data too (`--ignore-data-address-equality`) says nothing of it.
            let known = tables.chunk_by(|a, b| a.svma == b.svma).filter_map(|same| {
                let (first, rest) = same.split_first()?;
                rest.iter().all(|other| other.type_name == first.type_name).then(|| first.clone())
            });
            *tables = known.collect();
        }
        found
    }

    /// The tables of a trait, by its path without parameters.
    pub fn of(&self, path: &str) -> &[Vtable] {
        self.tables.get(path).map_or(&[], Vec::as_slice)
    }

    pub(super) fn bytes(&self) -> usize {
        let table = |table: &Vtable| size_of::<Vtable>() + table.type_name.len();
        self.tables.values().flatten().map(table).sum()
    }
}

fn scan_unit(
    info: &DebugInfo,
    unit: &Unit<'_>,
    found: &mut Vec<(Box<str>, Vtable)>,
) -> Result<(), gimli::Error> {
    let mut entries = unit.entries_raw(None)?;
    let mut variables = Vec::new();
    // The type for which each type of a table was made.
    let mut made_for: HashMap<UnitOffset, Value<'_>> = HashMap::new();
    while !entries.is_empty() && variables.len() < TABLES_MAX && made_for.len() < TABLES_MAX {
        let offset = entries.next_offset();
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        let attributes = abbreviation.attributes();
        let has = |wanted| attributes.iter().any(|spec| spec.name() == wanted);
        let is_variable =
            abbreviation.tag() == gimli::DW_TAG_variable && has(gimli::DW_AT_location);
        if !is_variable && !has(gimli::DW_AT_containing_type) {
            entries.skip_attributes(attributes)?;
            continue;
        }
        let (mut name, mut ty, mut location) = (None, None, None);
        for spec in attributes {
            let attribute = entries.read_attribute(*spec)?;
            match attribute.name() {
                gimli::DW_AT_name => name = Some(attribute.value()),
                gimli::DW_AT_type => ty = Some(attribute.value()),
                gimli::DW_AT_location => location = Some(attribute.value()),
                gimli::DW_AT_containing_type => drop(made_for.insert(offset, attribute.value())),
                _ => {}
            }
        }
        if let (true, Some(AttributeValue::UnitRef(ty))) = (is_variable, ty) {
            let svma = location.and_then(|location| address(unit, location));
            let name = strings::of(info, Part::Main, unit, name).some();
            let name = name.and_then(|name| strings::read(info, name));
            let named = name.and_then(|name| parts(std::str::from_utf8(name).ok()?));
            variables.extend(svma.zip(named).map(|(svma, named)| (svma, named, ty)));
        }
    }
    for (svma, (type_name, of_trait), ty) in variables {
        let place = match made_for.get(&ty) {
            Some(AttributeValue::UnitRef(offset)) => unit.start() + offset.0,
            Some(AttributeValue::DebugInfoRef(offset)) => offset.0,
            _ => continue,
        };
        found.push((of_trait.into(), Vtable { svma, type_name: type_name.into(), place }));
    }
    Ok(())
}

/// The address that a location consists of.
fn address(unit: &Unit<'_>, location: Value<'_>) -> Option<u64> {
    let AttributeValue::Exprloc(expression) = location else { return None };
    let mut bytes = expression.0;
    let operation = super::expression::next_operation(&mut bytes, unit.encoding()).ok()?;
    match operation {
        gimli::Operation::Address { address } if bytes.is_empty() => Some(address),
        gimli::Operation::AddressIndex { index } if bytes.is_empty() => {
            unit.dwarf().address(unit, index).ok()
        }
        _ => None,
    }
}

/// The type and the trait's path in the name of a table: `<Type as path::Trait<..>>::{vtable}`.
fn parts(name: &str) -> Option<(&str, &str)> {
    let inside = name.strip_prefix('<')?.strip_suffix(NAME_END)?;
    let (mut depth, mut before) = (0u32, b' ');
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' if before == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b' ' if depth == 0 => {
                if let Some(path) = inside.get(at..)?.strip_prefix(" as ") {
                    return Some((inside.get(..at)?, path.split('<').next()?));
                }
            }
            _ => {}
        }
        before = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_table_names_its_type_and_its_trait() {
        let cases = [
            ("<a::B as c::D>::{vtable}", Some(("a::B", "c::D"))),
            ("<<a as b>::C as c::D<(u8, u8)>>::{vtable}", Some(("<a as b>::C", "c::D"))),
            ("<fn(u8) -> u8 as c::D>::{vtable}", Some(("fn(u8) -> u8", "c::D"))),
            ("<a::B as _>::{vtable}", Some(("a::B", "_"))),
            ("<a::B>::{vtable}", None),
            ("a::B", None),
            ("<a>> as b>::{vtable}", None),
        ];
        for (name, expected) in cases {
            assert_eq!(parts(name), expected, "{name}");
        }
    }
}
