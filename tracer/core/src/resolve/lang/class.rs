//! A class or struct as the languages' shapes look at it: members by their names, wherever they are.

use super::super::dies::{Attribute, Die, Entry};
use super::super::types::TypeBuilder;
use super::Language;
use crate::binary::namespaces::ANONYMOUS;
use crate::model::container::Number;
use crate::model::types::{Encoding, Member, Scalar, Shape, Type, TypeId};
use std::rc::Rc;

/// Bases inside bases, and classes looked at for one member.
const CLASSES_MAX: usize = 256;

/// A type with a name for each of its members.
pub struct Class<'b, 'a> {
    builder: &'b mut TypeBuilder<'a>,
    die: Die<'a>,
    language: Language,
}

/// A member that was found.
pub struct Field<'a> {
    /// Where it is.
    pub offset: u64,
    /// Its type, without qualifiers.
    pub die: Die<'a>,
    /// Its type as it is written.
    value: (Rc<super::super::dies::SourceUnit<'a>>, Attribute<'a>),
}

impl<'b, 'a> Class<'b, 'a> {
    /// The class that `die` defines.
    pub fn new(builder: &'b mut TypeBuilder<'a>, die: &Die<'a>, language: Language) -> Self {
        Self { builder, die: die.clone(), language }
    }

    /// Another class of the same file.
    pub fn of(&mut self, die: &Die<'a>) -> Class<'_, 'a> {
        Class { builder: &mut *self.builder, die: die.clone(), language: self.language }
    }

    /// Its entry.
    pub fn die(&self) -> &Die<'a> {
        &self.die
    }

    /// The member at `path`: names with dots between them. A name is looked for among the members,
    /// those of anonymous members, then those of bases, nearest first.
    pub fn field(&mut self, path: &str) -> Option<Field<'a>> {
        let mut die = self.die.clone();
        let mut offset = 0u64;
        let mut found = None;
        for name in path.split('.') {
            let field = self.named(&die, name)?;
            offset = offset.checked_add(field.offset)?;
            die = field.die.clone();
            found = Some(field);
        }
        Some(Field { offset, ..found? })
    }

    /// Where the member at `path` is.
    pub fn at(&mut self, path: &str) -> Option<u64> {
        self.field(path).map(|field| field.offset)
    }

    /// Where the member at `path` is, which is a plain pointer: those of some allocators are classes.
    pub fn pointer(&mut self, path: &str) -> Option<u64> {
        let field = self.field(path)?;
        (field.die.tag() == gimli::DW_TAG_pointer_type).then_some(field.offset)
    }

    /// A member that is a number of 1 to 8 bytes.
    pub fn number(&mut self, path: &str) -> Option<Number> {
        let field = self.field(path)?;
        let size = self.builder.size_of(&field.die)?;
        let size = u8::try_from(size).ok().filter(|size| (1..=8).contains(size))?;
        Some(Number::Field { offset: field.offset, size })
    }

    /// The class that the pointer at `path` points to.
    pub fn behind(&mut self, path: &str) -> Option<Die<'a>> {
        let field = self.field(path)?;
        self.pointed(&field.die)
    }

    /// The class that a pointer points to.
    pub fn pointed(&mut self, pointer: &Die<'a>) -> Option<Die<'a>> {
        let target = self.builder.dies().reference(pointer, gimli::DW_AT_type).ok().flatten()?;
        self.builder.defined(target, self.language)
    }

    /// Bytes of a value of a type.
    pub fn size_of(&self, die: &Die<'a>) -> Option<u64> {
        self.builder.size_of(die)
    }

    /// Bytes of a value of this class.
    pub fn size(&self) -> Option<u64> {
        self.builder.size_of(&self.die)
    }

    /// The member at `path` as one that shapes show.
    pub fn member(&mut self, path: &str) -> Option<Member> {
        let field = self.field(path)?;
        Some(Member {
            name: path.rsplit('.').next().map(str::to_owned),
            offset: field.offset,
            type_id: self.type_of(&field),
            bits: None,
        })
    }

    /// The type of a field.
    pub fn type_of(&mut self, field: &Field<'a>) -> TypeId {
        let (unit, value) = &field.value;
        self.builder.type_of(unit, *value, self.language)
    }

    /// The type that an entry is.
    pub fn type_id(&mut self, die: &Die<'a>) -> TypeId {
        let value = gimli::AttributeValue::UnitRef(die.entry.offset());
        self.builder.type_of(&die.unit, value, self.language)
    }

    /// A type that debug info does not have.
    pub fn made(&mut self, name: &str, size: u64, shape: Shape) -> TypeId {
        self.builder.made(Type { name: name.to_owned(), size: Some(size), shape })
    }

    /// An unsigned number.
    pub fn unsigned(&mut self, size: u8) -> TypeId {
        let shape = Shape::Scalar(Scalar { encoding: Encoding::Unsigned, size });
        self.made("unsigned", size.into(), shape)
    }

    /// The types that a template was given, in order, those of a pack one by one; up to the first one
    /// that can't be read, for all have their place.
    pub fn arguments(&mut self) -> Vec<Die<'a>> {
        let dies = self.builder.dies();
        let mut arguments = Vec::new();
        for child in dies.children(&self.die).unwrap_or_default() {
            let child = self.child(child);
            let pack = match child.tag() {
                gimli::DW_TAG_GNU_template_parameter_pack => {
                    let inner = dies.children(&child).unwrap_or_default();
                    inner.into_iter().map(|entry| self.child(entry)).collect()
                }
                _ => vec![child],
            };
            for parameter in pack {
                if parameter.tag() != gimli::DW_TAG_template_type_parameter {
                    continue;
                }
                match dies.reference(&parameter, gimli::DW_AT_type) {
                    Ok(Some(target)) => arguments.push(target),
                    _ => return arguments,
                }
            }
        }
        arguments
    }

    /// The definitions of what a template was given; where its entry does not say that (as GCC leaves
    /// it out for what it had declared before), of the first one by its name.
    pub fn defined_arguments(&mut self) -> Vec<Die<'a>> {
        let mut arguments = self.arguments();
        if arguments.is_empty() {
            let name = self.die.name();
            let first = name.as_deref().and_then(first_argument);
            arguments.extend(first.and_then(|first| self.defined_as(first)));
        }
        let defined = |argument| self.builder.defined(argument, self.language);
        arguments.into_iter().map_while(defined).collect()
    }

    /// The definition of a class by its whole name, wherever in the file it is. A name with something
    /// in it that only one unit knows may be another unit's too.
    fn defined_as(&self, name: &str) -> Option<Die<'a>> {
        if name.contains(ANONYMOUS) {
            return None;
        }
        let dies = self.builder.dies();
        let (path, name) = at_top(name, "::")
            .last()
            .copied()
            .map_or((None, name), |at| (name.get(..at), name.get(at + 2..).unwrap_or_default()));
        let found = dies.definition(path, name)?;
        let is_it = found.name().as_deref() == Some(name) && dies.path(&found).as_deref() == path;
        is_it.then_some(found)
    }

    /// The type that a template was given at `index`, defined.
    pub fn argument(&mut self, index: usize) -> Option<Die<'a>> {
        self.defined_arguments().into_iter().nth(index)
    }

    /// A type as a programmer writes it.
    pub fn name_of(&self, die: &Die<'a>) -> String {
        super::type_name(&self.builder.dies(), Some(die), self.language)
    }

    /// The base whose name starts so.
    pub fn base(&mut self, start: &str) -> Option<(u64, Die<'a>)> {
        let is_it = |(_, die): &(u64, Die<'a>)| die.name().is_some_and(|n| n.starts_with(start));
        self.bases().into_iter().find(is_it)
    }

    /// The bases of this class, each with its offset.
    pub fn bases(&mut self) -> Vec<(u64, Die<'a>)> {
        let die = self.die.clone();
        self.bases_of(&die)
    }

    fn bases_of(&mut self, die: &Die<'a>) -> Vec<(u64, Die<'a>)> {
        let dies = self.builder.dies();
        let mut bases = Vec::new();
        for child in dies.children(die).unwrap_or_default() {
            if child.tag() != gimli::DW_TAG_inheritance {
                continue;
            }
            let base = Die { unit: Rc::clone(&die.unit), entry: child };
            // Where a virtual base is only its object tells.
            let place = base.entry.attr_value(gimli::DW_AT_data_member_location);
            let offset = base.number(gimli::DW_AT_data_member_location);
            if base.entry.has_attr(gimli::DW_AT_virtuality) || offset.is_none() && place.is_some() {
                continue;
            }
            if let Ok(Some(target)) = dies.reference(&base, gimli::DW_AT_type)
                && let Some(target) = self.builder.defined(target, self.language)
            {
                bases.push((offset.unwrap_or(0), target));
            }
        }
        bases
    }

    fn child(&self, entry: Entry<'a>) -> Die<'a> {
        Die { unit: Rc::clone(&self.die.unit), entry }
    }

    /// A member by its name, breadth first.
    fn named(&mut self, die: &Die<'a>, name: &str) -> Option<Field<'a>> {
        let mut level = vec![(0u64, die.clone())];
        let mut left = CLASSES_MAX;
        while !level.is_empty() {
            let mut next = Vec::new();
            for (at, class) in &level {
                left = left.checked_sub(1)?;
                let dies = self.builder.dies();
                for child in dies.children(class).ok()? {
                    if child.tag() != gimli::DW_TAG_member {
                        continue;
                    }
                    let member = Die { unit: Rc::clone(&class.unit), entry: child };
                    let own = member.name();
                    if own.is_some() && own.as_deref() != Some(name) {
                        continue;
                    }
                    let Some(field) = self.member_field(&member) else { continue };
                    let offset = at.checked_add(field.offset)?;
                    if own.is_some() {
                        return Some(Field { offset, ..field });
                    }
                    next.push((offset, field.die));
                }
                for (offset, base) in self.bases_of(class) {
                    next.push((at.checked_add(offset)?, base));
                }
            }
            level = next;
        }
        None
    }

    fn member_field(&mut self, member: &Die<'a>) -> Option<Field<'a>> {
        let is_static = member.entry.has_attr(gimli::DW_AT_external)
            || member.entry.has_attr(gimli::DW_AT_declaration);
        if is_static || member.entry.has_attr(gimli::DW_AT_bit_size) {
            return None;
        }
        let offset = match member.entry.attr(gimli::DW_AT_data_member_location) {
            Some(offset) => offset.udata_value()?,
            None => 0,
        };
        let value = member.entry.attr_value(gimli::DW_AT_type)?;
        let target = self.builder.dies().reference(member, gimli::DW_AT_type).ok().flatten()?;
        let die = self.builder.defined(target, self.language)?;
        Some(Field { offset, die, value: (Rc::clone(&member.unit), value) })
    }
}

/// The first argument in the name of a template.
fn first_argument(name: &str) -> Option<&str> {
    let inner = name.get(name.find('<')? + 1..)?.strip_suffix('>')?;
    let end = at_top(inner, ",").first().copied().unwrap_or(inner.len());
    Some(inner.get(..end)?.trim_end())
}

/// Where `mark` stands in a name outside of all brackets.
fn at_top(name: &str, mark: &str) -> Vec<usize> {
    let mut depth = 0i32;
    let mut found = Vec::new();
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'<' | b'(' => depth += 1,
            b'>' | b')' => depth -= 1,
            _ if depth == 0 && name.get(at..).is_some_and(|rest| rest.starts_with(mark)) => {
                found.push(at);
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{at_top, first_argument};

    #[test]
    fn the_first_argument_of_a_template_is_found_in_its_name() {
        let name = "allocator<std::_Tree_node<std::pair<int const, long> > >";
        assert_eq!(first_argument(name), Some("std::_Tree_node<std::pair<int const, long> >"));
        assert_eq!(first_argument("pair<int, long>"), Some("int"));
        assert_eq!(first_argument("int"), None);
        assert_eq!(at_top("std::a<b::c>::d", "::"), [3, 12]);
    }
}
