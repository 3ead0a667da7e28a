//! From the declaration of a type to its definition, where the file says which one it is.

use crate::binary::namespaces::ANONYMOUS;
use crate::resolve::dies::{self, Die, DieError, Dies, SourceUnit};
use crate::resolve::lang::Language;
use gimli::{AttributeValue, UnitOffset};
use std::collections::HashMap;

/// Definitions of the units that were asked for.
#[derive(Default)]
pub(super) struct Definitions {
    units: HashMap<dies::DieId, UnitDefinitions>,
}

/// What a unit defines.
#[derive(Default)]
struct UnitDefinitions {
    /// Declaration (of a member type of a class) → definition that names it as its specification.
    specified: HashMap<UnitOffset, UnitOffset>,
    /// Types at the top level by tag and name; `None` where there are several.
    named: HashMap<(u16, String), Option<UnitOffset>>,
}

impl Definitions {
    /// The definition of a type that is only declared, or the declaration again.
    pub(super) fn complete<'a>(
        &mut self,
        dies: &Dies<'a>,
        die: Die<'a>,
        language: Language,
    ) -> Die<'a> {
        if !dies::flag(&die.entry, gimli::DW_AT_declaration) {
            return die;
        }
        self.in_unit(dies, &die, language).or_else(|| elsewhere(dies, &die)).unwrap_or(die)
    }

    fn in_unit<'a>(
        &mut self,
        dies: &Dies<'a>,
        die: &Die<'a>,
        language: Language,
    ) -> Option<Die<'a>> {
        let root = dies.at(&die.unit, die.unit.unit.header.root_offset()).ok()?;
        let found = self.units.entry(root.id()).or_insert_with(|| {
            // Where the unit can't be read to its end, what comes before still serves.
            let mut found = UnitDefinitions::default();
            let _partial = found.scan(&die.unit);
            found
        });
        let offset = match found.specified.get(&die.entry.offset()) {
            Some(offset) => *offset,
            // Only C has one namespace for all types of a unit.
            None if language == Language::C => {
                found.named.get(&(die.tag().0, die.name()?)).copied().flatten()?
            }
            None => return None,
        };
        dies.at(&die.unit, offset).ok()
    }
}

/// The definition in another unit of the file. The same name is the same type in all units of a
/// program (C++, one definition rule; C, as far as they use one object of it), but not what
/// belongs to one unit only: what is in a namespace without a name.
fn elsewhere<'a>(dies: &Dies<'a>, die: &Die<'a>) -> Option<Die<'a>> {
    let (path, name) = (dies.path(die), die.name()?);
    let is_local = |text: &str| text.contains(ANONYMOUS);
    if path.as_deref().is_some_and(is_local) || is_local(&name) || !has_paths(die) {
        return None;
    }
    let found = dies.definition(path.as_deref(), &name)?;
    let declared = dies.origins(&found).ok()?.pop()?;
    let is_union = |die: &Die<'_>| die.tag() == gimli::DW_TAG_union_type;
    let is_it = !dies::flag(&found.entry, gimli::DW_AT_declaration)
        && has_paths(&found)
        && is_union(&found) == is_union(die)
        && declared.name().as_ref() == Some(&name)
        && dies.path(&declared) == path;
    is_it.then_some(found)
}

/// Whether what a type is in is known of it, if it is in something.
fn has_paths(die: &Die<'_>) -> bool {
    matches!(die.unit.language, Some(Language::C | Language::Cpp))
}

impl UnitDefinitions {
    fn scan(&mut self, unit: &SourceUnit<'_>) -> Result<(), DieError> {
        let mut entries = unit.unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let is_type = matches!(
                entry.tag(),
                gimli::DW_TAG_structure_type
                    | gimli::DW_TAG_class_type
                    | gimli::DW_TAG_union_type
                    | gimli::DW_TAG_enumeration_type
            );
            if !is_type || dies::flag(entry, gimli::DW_AT_declaration) {
                continue;
            }
            if let Some(AttributeValue::UnitRef(declaration)) =
                entry.attr_value(gimli::DW_AT_specification)
            {
                self.specified.insert(declaration, entry.offset());
            }
            if entry.depth() == 1
                && let Some(name) = dies::name(unit, entry)
            {
                let offset = Some(entry.offset());
                let only = self.named.entry((entry.tag().0, name)).or_insert(offset);
                if *only != offset {
                    *only = None;
                }
            }
        }
        Ok(())
    }
}
