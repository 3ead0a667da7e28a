//! Types by their DIEs → [`TypeGraph`]: each entry once, cycles by id, breadth first, so that what
//! is near a variable is there when a limit is met.

pub mod array;
mod definition;
mod members;
mod scalar;

#[cfg(test)]
pub(crate) mod tests;

use self::definition::Definitions;
use super::dies::{self, Attribute, Die, DieError, DieId, Dies, SourceUnit};
use super::lang::{self, Language};
use crate::binary::dwarf::{DebugInfo, Dwarf};
use crate::model::types::{Scalar, Shape, Type, TypeGraph, TypeId};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// Types of one graph.
const TYPES_MAX: usize = 20_000;
/// Bytes that the members and enumerators of one graph may take.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a member takes beside its name.
const MEMBER_BYTES: usize = 80;

/// Types that are read before the pages that their names are on are given back.
const TYPES_AT_ONCE: usize = 512;

/// Builds the types of one file into a graph.
///
/// Types that are asked for get their id at once and their content in [`TypeBuilder::finish`].
pub struct TypeBuilder<'a> {
    dies: Rc<Dies<'a>>,
    graph: TypeGraph,
    known: HashMap<(DieId, usize), TypeId>,
    queue: VecDeque<Pending<'a>>,
    definitions: Definitions,
    /// Types that have their content.
    described: usize,
    bias: Option<u64>,
    void: Option<TypeId>,
    overflow: Option<TypeId>,
    bytes_left: usize,
}

/// A type that has an id and no content yet.
struct Pending<'a> {
    id: TypeId,
    die: Die<'a>,
    /// For the arrays in an array: how many dimensions are left out.
    dimension: usize,
    language: Language,
}

impl<'a> TypeBuilder<'a> {
    /// Types of `dwarf` are added to `graph`, which may hold those of other files.
    pub fn new(dwarf: &'a Dwarf<'a>, graph: TypeGraph) -> Self {
        Self::with(Dies::new(dwarf), graph)
    }

    /// The same for a file whose units were listed.
    pub fn of(info: &'a DebugInfo, graph: TypeGraph) -> Self {
        Self::with(Dies::of(info), graph)
    }

    fn with(dies: Dies<'a>, graph: TypeGraph) -> Self {
        Self {
            dies: Rc::new(dies),
            graph,
            known: HashMap::new(),
            queue: VecDeque::new(),
            definitions: Definitions::default(),
            described: 0,
            bias: None,
            void: None,
            overflow: None,
            bytes_left: BYTES_MAX,
        }
    }

    /// The same for a module of a process: what to add to an address of the file to get its own.
    /// Types that are told by addresses are known then.
    pub fn loaded_at(self, bias: u64) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// See [`Self::loaded_at`].
    pub(super) fn bias(&self) -> Option<u64> {
        self.bias
    }

    /// The entries of the file.
    pub fn dies(&self) -> Rc<Dies<'a>> {
        Rc::clone(&self.dies)
    }

    /// The type that an attribute's value in `unit` refers to. `language` counts where the unit
    /// that it leads to has none.
    pub fn type_of(
        &mut self,
        unit: &Rc<SourceUnit<'a>>,
        value: Attribute<'a>,
        language: Language,
    ) -> TypeId {
        match self.dies.follow(unit, value) {
            Ok(die) => self.id(die, 0, language),
            Err(error) => self.opaque(String::new(), error.to_string()),
        }
    }

    /// The type of DW_AT_type, or `void` where there is none.
    pub fn type_at(&mut self, die: &Die<'a>, language: Language) -> TypeId {
        match die.entry.attr_value(gimli::DW_AT_type) {
            Some(value) => self.type_of(&die.unit, value, language),
            None => self.void(),
        }
    }

    /// Bytes of a value of DW_AT_type.
    pub fn size_at(&self, die: &Die<'a>) -> Option<u64> {
        let target = self.dies.reference(die, gimli::DW_AT_type).ok().flatten()?;
        self.size(&target, 0)
    }

    /// Reads all types that were asked for and those that they mention. The graph is complete
    /// after this.
    pub fn finish(&mut self) {
        while let Some(pending) = self.queue.pop_front() {
            if self.described.is_multiple_of(TYPES_AT_ONCE) {
                self.dies.release();
            }
            self.described += 1;
            let content = self.describe(&pending);
            if let Some(slot) = self.graph.types.get_mut(pending.id.0 as usize) {
                *slot = content;
            }
        }
    }

    /// The graph, complete.
    pub fn into_graph(mut self) -> TypeGraph {
        self.finish();
        self.graph
    }

    /// The type of an entry.
    pub(super) fn type_of_die(&mut self, die: Die<'a>, language: Language) -> TypeId {
        self.id(die, 0, language)
    }

    /// How the integer type of DW_AT_type is stored; `None` for any other type.
    pub(super) fn scalar_of(&self, die: &Die<'a>) -> Option<Scalar> {
        let target = self.dies.reference(die, gimli::DW_AT_type).ok().flatten()?;
        let target = self.strip(target).ok().flatten()?;
        scalar::integer(self, &target)
    }

    /// Whether types are what their members are, whatever they mean.
    pub(super) fn is_raw(&self) -> bool {
        self.graph.raw
    }

    /// Bytes of a value of a type.
    pub(super) fn size_of(&self, die: &Die<'a>) -> Option<u64> {
        self.size(die, 0)
    }

    /// The definition of a type, behind typedefs and qualifiers.
    pub(super) fn defined(&mut self, die: Die<'a>, language: Language) -> Option<Die<'a>> {
        let base = self.strip(die).ok().flatten()?;
        Some(self.definitions.complete(&self.dies, base, language))
    }

    /// A type that no entry describes.
    pub(super) fn made(&mut self, content: Type) -> TypeId {
        if self.graph.types.len() >= TYPES_MAX { self.overflow() } else { self.push(content) }
    }

    /// Takes `members` with `name_bytes` of names from what the graph may hold.
    pub(super) fn spend(&mut self, name_bytes: usize) -> Result<(), String> {
        let left = self.bytes_left.checked_sub(MEMBER_BYTES + name_bytes);
        self.bytes_left = left.ok_or("the types have too many members")?;
        Ok(())
    }

    /// A type of which no more than its name is known.
    pub(super) fn opaque(&mut self, name: String, reason: String) -> TypeId {
        if self.graph.types.len() >= TYPES_MAX {
            return self.overflow();
        }
        self.push(Type { name, size: None, shape: Shape::Opaque(reason) })
    }

    fn id(&mut self, die: Die<'a>, dimension: usize, language: Language) -> TypeId {
        let key = (die.id(), dimension);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        if self.graph.types.len() >= TYPES_MAX {
            return self.overflow();
        }
        let unread = Shape::Opaque("not read yet".to_owned());
        let id = self.push(Type { name: String::new(), size: None, shape: unread });
        self.known.insert(key, id);
        let language = die.unit.language.unwrap_or(language);
        self.queue.push_back(Pending { id, die, dimension, language });
        id
    }

    fn void(&mut self) -> TypeId {
        let id = self.void.unwrap_or_else(|| {
            self.push(Type { name: "void".to_owned(), size: None, shape: Shape::Nothing })
        });
        *self.void.insert(id)
    }

    fn overflow(&mut self) -> TypeId {
        let id = self.overflow.unwrap_or_else(|| {
            let shape = Shape::Opaque(format!("more than {TYPES_MAX} types"));
            self.push(Type { name: "?".to_owned(), size: None, shape })
        });
        *self.overflow.insert(id)
    }

    fn push(&mut self, content: Type) -> TypeId {
        let id = TypeId(u32::try_from(self.graph.types.len()).unwrap_or(u32::MAX));
        self.graph.types.push(content);
        id
    }

    fn describe(&mut self, pending: &Pending<'a>) -> Type {
        let Pending { die, dimension, language, .. } = pending;
        let name = match dimension {
            0 => lang::type_name(&self.dies, Some(die), *language),
            _ => lang::c::inner_array_name(&self.dies, die, *dimension, *language),
        };
        match self.strip(die.clone()) {
            Ok(Some(base)) => {
                let base = self.definitions.complete(&self.dies, base, *language);
                let size = self.size(&base, *dimension);
                let shape = self.shape(&base, *dimension, *language);
                let shape = shape.unwrap_or_else(Shape::Opaque);
                let shape = language.meaning(&name, shape);
                Type { name, size, shape }
            }
            Ok(None) => Type { name, size: None, shape: Shape::Nothing },
            Err(error) => Type { name, size: None, shape: Shape::Opaque(error.to_string()) },
        }
    }

    /// What the bytes mean, or why that is not known.
    fn shape(
        &mut self,
        die: &Die<'a>,
        dimension: usize,
        language: Language,
    ) -> Result<Shape, String> {
        let changed = [gimli::DW_AT_data_location, gimli::DW_AT_allocated, gimli::DW_AT_associated];
        if changed.iter().any(|attribute| die.entry.has_attr(*attribute)) {
            return Err("a type with a descriptor (DW_AT_data_location)".to_owned());
        }
        if dies::flag(&die.entry, gimli::DW_AT_declaration)
            && die.tag() != gimli::DW_TAG_enumeration_type
        {
            return Err(Shape::INCOMPLETE.to_owned());
        }
        match die.tag() {
            gimli::DW_TAG_base_type => scalar::base(die),
            gimli::DW_TAG_enumeration_type => scalar::enumeration(self, die),
            gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_interface_type => members::record(self, die, language),
            gimli::DW_TAG_union_type => members::union(self, die, language),
            gimli::DW_TAG_array_type => self.array(die, dimension, language),
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => self.pointer(die, language),
            gimli::DW_TAG_subroutine_type => Ok(Shape::Function),
            gimli::DW_TAG_unspecified_type => Ok(Shape::Nothing),
            tag => Err(tag.static_string().unwrap_or("an unknown kind of type").to_owned()),
        }
    }

    fn array(
        &mut self,
        die: &Die<'a>,
        dimension: usize,
        language: Language,
    ) -> Result<Shape, String> {
        let counts = array::dimensions(&self.dies, die)?;
        array::contiguous(self, die, &counts)?;
        let count = counts.get(dimension).copied().flatten();
        let element = if dimension + 1 < counts.len() {
            self.id(die.clone(), dimension + 1, language)
        } else {
            self.type_at(die, language)
        };
        Ok(Shape::Array { element, count })
    }

    fn pointer(&mut self, die: &Die<'a>, language: Language) -> Result<Shape, String> {
        if die.number(gimli::DW_AT_byte_size).is_some_and(|size| size != 8) {
            return Err("a pointer that is not 8 bytes wide".to_owned());
        }
        match die.entry.attr_value(gimli::DW_AT_address_class) {
            None | Some(gimli::AttributeValue::AddressClass(gimli::DW_ADDR_none)) => {}
            Some(_) => return Err("a pointer into another address space".to_owned()),
        }
        let target = self.dies.reference(die, gimli::DW_AT_type).map_err(|e| e.to_string())?;
        if die.tag() == gimli::DW_TAG_pointer_type
            && let Some(target) = target
            && let Ok(Some(base)) = self.strip(target)
            && base.tag() == gimli::DW_TAG_base_type
            && base.number(gimli::DW_AT_byte_size) == Some(1)
            && base.name().is_some_and(|name| language.is_text(&name))
        {
            return Ok(Shape::TextPointer);
        }
        Ok(Shape::Pointer(self.type_at(die, language)))
    }

    /// The type behind typedefs and qualifiers; `None` is `void`.
    fn strip(&self, die: Die<'a>) -> Result<Option<Die<'a>>, DieError> {
        let mut die = die;
        for _ in 0..dies::WALK_MAX {
            match die.tag() {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type
                | gimli::DW_TAG_immutable_type
                | gimli::DW_TAG_packed_type
                | gimli::DW_TAG_shared_type
                | gimli::DW_TAG_template_alias => {
                    match self.dies.reference(&die, gimli::DW_AT_type)? {
                        Some(target) => die = target,
                        None => return Ok(None),
                    }
                }
                // The stub of a type in a type unit (DWARF 5, 5.7.1).
                _ => match self.dies.reference(&die, gimli::DW_AT_signature)? {
                    Some(definition) => die = definition,
                    None => return Ok(Some(die)),
                },
            }
        }
        Err(DieError::TooDeep)
    }

    /// Bytes of a value; `None` where debug info does not say.
    fn size(&self, die: &Die<'a>, dimension: usize) -> Option<u64> {
        let mut factor = 1u64;
        let mut dimension = dimension;
        let mut die = self.strip(die.clone()).ok().flatten()?;
        for _ in 0..dies::WALK_MAX {
            if dimension == 0
                && let Some(size) = die.number(gimli::DW_AT_byte_size)
            {
                return factor.checked_mul(size);
            }
            match die.tag() {
                gimli::DW_TAG_pointer_type
                | gimli::DW_TAG_reference_type
                | gimli::DW_TAG_rvalue_reference_type => return factor.checked_mul(8),
                gimli::DW_TAG_array_type => {
                    for count in array::dimensions(&self.dies, &die).ok()?.iter().skip(dimension) {
                        factor = factor.checked_mul((*count)?)?;
                    }
                }
                gimli::DW_TAG_enumeration_type => {}
                _ => return None,
            }
            dimension = 0;
            let target = self.dies.reference(&die, gimli::DW_AT_type).ok().flatten()?;
            die = self.strip(target).ok().flatten()?;
        }
        None
    }
}
