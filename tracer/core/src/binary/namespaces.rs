//! Which namespaces and classes the functions and types of a C++ unit are in: debug info says so only
//! by what their DIEs are inside of (DWARF 5, 3.2.2). Mangled names say it too, but types have none,
//! and neither have functions that only their file knows. Of a Rust unit the types count: its
//! functions without mangled names are known by those alone.

use super::dwarf::{DebugInfo, Unit, Value};
use super::sections::Part;
use super::strings;
use gimli::{AttributeValue, UnitOffset};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a path; what is nested deeper goes without.
const PATH_BYTES_MAX: usize = 1024;
/// Functions and types of one unit.
const DIES_MAX: usize = 1 << 20;
/// How demanglers write a namespace without a name.
pub const ANONYMOUS: &str = "(anonymous namespace)";

/// The paths of a unit's functions and types.
#[derive(Debug, Default)]
pub struct Namespaces {
    paths: HashMap<UnitOffset, Arc<str>>,
}

impl Namespaces {
    pub(super) fn read(info: &DebugInfo, unit: &Unit<'_>) -> Self {
        let mut found = Self::default();
        if let Some(named) = named_in(unit) {
            // What follows a malformed entry is lost; what came before it is right.
            let _ended: Result<(), gimli::Error> = found.scan(info, unit, named);
        }
        found
    }

    /// What a function or type of the unit is in: `ns::Class`.
    pub fn path(&self, offset: UnitOffset) -> Option<&Arc<str>> {
        self.paths.get(&offset)
    }

    pub(super) fn bytes(&self) -> usize {
        self.paths.capacity() * size_of::<(UnitOffset, Arc<str>)>()
    }

    fn scan(
        &mut self,
        info: &DebugInfo,
        unit: &Unit<'_>,
        is_named: fn(gimli::DwTag) -> bool,
    ) -> Result<(), gimli::Error> {
        let mut entries = unit.entries_raw(None)?;
        // The paths around the next entry, with the depth of what opened them; in a function: none.
        let mut open: Vec<(isize, Option<Arc<str>>)> = Vec::new();
        while !entries.is_empty() && self.paths.len() < DIES_MAX {
            let (offset, depth) = (entries.next_offset(), entries.next_depth());
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            let attributes = abbreviation.attributes();
            let tag = abbreviation.tag();
            let opens = abbreviation.has_children() && is_scope(tag);
            if !opens && !is_named(tag) {
                entries.skip_attributes(attributes)?;
                continue;
            }
            let mut name = None;
            for spec in attributes {
                let attribute = entries.read_attribute(*spec)?;
                if attribute.name() == gimli::DW_AT_name {
                    name = Some(attribute.value());
                }
            }
            open.retain(|(outer, _)| *outer < depth);
            let around = open.last().and_then(|(_, path)| path.clone());
            if let (true, Some(path)) = (is_named(tag), &around) {
                self.paths.insert(offset, Arc::clone(path));
            }
            if opens {
                let is_in_function = open.last().is_some_and(|(_, path)| path.is_none());
                let own = text(info, unit, name).filter(|_| !is_in_function);
                let own = match tag {
                    gimli::DW_TAG_subprogram => None,
                    gimli::DW_TAG_namespace => own.or_else(|| Some(ANONYMOUS.to_owned())),
                    _ => own,
                };
                open.push((depth, own.and_then(|own| join(around.as_deref(), &own))));
            }
        }
        Ok(())
    }
}

/// A path with one more part.
fn join(around: Option<&str>, own: &str) -> Option<Arc<str>> {
    let path = around.map_or_else(|| own.to_owned(), |around| format!("{around}::{own}"));
    (path.len() <= PATH_BYTES_MAX).then(|| path.into())
}

fn text(info: &DebugInfo, unit: &Unit<'_>, value: Option<Value<'_>>) -> Option<String> {
    let text = strings::read(info, strings::of(info, Part::Main, unit, value).some()?)?;
    Some(String::from_utf8_lossy(text.get(..PATH_BYTES_MAX).unwrap_or(text)).into_owned())
}

/// Which entries of a unit have a path; none if its language has no namespaces.
fn named_in(unit: &Unit<'_>) -> Option<fn(gimli::DwTag) -> bool> {
    let root = unit.entry(unit.header.root_offset()).ok()?;
    match root.attr_value(gimli::DW_AT_language)? {
        AttributeValue::Language(gimli::DW_LANG_Rust) => Some(is_type),
        AttributeValue::Language(language) if is_cpp(language) => {
            Some(|tag| tag == gimli::DW_TAG_subprogram || is_type(tag))
        }
        _ => None,
    }
}

fn is_cpp(language: gimli::DwLang) -> bool {
    matches!(
        language,
        gimli::DW_LANG_C_plus_plus
            | gimli::DW_LANG_C_plus_plus_03
            | gimli::DW_LANG_C_plus_plus_11
            | gimli::DW_LANG_C_plus_plus_14
            | gimli::DW_LANG_C_plus_plus_17
            | gimli::DW_LANG_C_plus_plus_20
            // C++23 has a code that is younger than DWARF 5.
            | gimli::DwLang(0x3a)
    )
}

fn is_type(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_typedef
    )
}

fn is_scope(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_subprogram
    )
}
