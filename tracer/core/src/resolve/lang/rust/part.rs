//! Parts of a value, found by the names of members: how many bytes into the value they are, whatever
//! wraps them in this version of the library.

use crate::model::container::Number;
use crate::model::types::{Member, TypeId};
use crate::resolve::dies::{self, Die, Dies};
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;
use std::rc::Rc;

/// Wrappers around one another.
const WRAPPERS_MAX: usize = 16;

/// A part of a value, or the whole of it.
#[derive(Clone)]
pub(super) struct Part<'a> {
    /// Its type.
    pub(super) die: Die<'a>,
    /// Bytes into the value.
    pub(super) offset: u64,
}

impl<'a> Part<'a> {
    /// A whole value.
    pub(super) fn whole(die: &Die<'a>) -> Self {
        Self { die: die.clone(), offset: 0 }
    }

    /// Its members that take bytes, with their names.
    pub(super) fn members(
        &self,
        builder: &TypeBuilder<'a>,
    ) -> Option<Vec<(Option<String>, Die<'a>)>> {
        let children = builder.dies().children(&self.die).ok()?;
        let members = children.into_iter().filter(|child| child.tag() == gimli::DW_TAG_member);
        let unit = &self.die.unit;
        let named = |entry| (dies::name(unit, &entry), Die { unit: Rc::clone(unit), entry });
        Some(members.map(named).collect())
    }

    /// The part that a DW_TAG_member of this one is.
    fn part(&self, dies: &Dies<'a>, member: &Die<'a>) -> Option<Self> {
        let offset = dies::number(&member.entry, gimli::DW_AT_data_member_location).unwrap_or(0);
        let die = dies.reference(member, gimli::DW_AT_type).ok()??;
        Some(Self { die, offset: self.offset.checked_add(offset)? })
    }

    /// The member of this name.
    pub(super) fn member(&self, builder: &TypeBuilder<'a>, name: &str) -> Option<Self> {
        let members = self.members(builder)?;
        let (_, member) = members.iter().find(|(own, _)| own.as_deref() == Some(name))?;
        self.part(&builder.dies(), member)
    }

    /// The member at the end of a path of names.
    pub(super) fn at(&self, builder: &TypeBuilder<'a>, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |part, name| part.member(builder, name))
    }

    /// What is left without the wrappers: records and unions of which only one member takes bytes,
    /// such as `NonNull`, `UnsafeCell` and `MaybeUninit`.
    pub(super) fn bare(&self, builder: &TypeBuilder<'a>) -> Self {
        let mut part = self.clone();
        for _ in 0..WRAPPERS_MAX {
            match part.inside(builder) {
                Some(inside) => part = inside,
                None => break,
            }
        }
        part
    }

    /// What is in it without one wrapper: its only member that takes bytes.
    pub(super) fn inside(&self, builder: &TypeBuilder<'a>) -> Option<Self> {
        if !matches!(self.die.tag(), gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type) {
            return None;
        }
        let members = self.members(builder)?;
        let mut sized = members.iter().filter(|(_, die)| builder.size_at(die) != Some(0));
        let (_, only) = sized.next()?;
        if sized.next().is_some() {
            return None;
        }
        self.part(&builder.dies(), only)
    }

    /// The integer that it wraps.
    pub(super) fn number(&self, builder: &TypeBuilder<'a>) -> Option<Number> {
        let bare = self.bare(builder);
        if bare.die.tag() != gimli::DW_TAG_base_type {
            return None;
        }
        let size = bare.size(builder)?;
        let size = u8::try_from(size).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
        Some(Number::Field { offset: bare.offset, size })
    }

    /// The plain pointer that it wraps, with what it points to.
    pub(super) fn pointer(&self, builder: &TypeBuilder<'a>) -> Option<(u64, Die<'a>)> {
        let bare = self.bare(builder);
        if bare.die.tag() != gimli::DW_TAG_pointer_type {
            return None;
        }
        let target = builder.dies().reference(&bare.die, gimli::DW_AT_type).ok()??;
        Some((bare.offset, target))
    }

    /// Its bytes.
    pub(super) fn size(&self, builder: &TypeBuilder<'a>) -> Option<u64> {
        builder.size_of(&self.die)
    }

    /// Its type's number.
    pub(super) fn type_id(&self, builder: &mut TypeBuilder<'a>) -> TypeId {
        builder.type_of_die(self.die.clone(), Language::Rust)
    }

    /// It as a member of the value.
    pub(super) fn as_member(&self, builder: &mut TypeBuilder<'a>) -> Member {
        let type_id = self.type_id(builder);
        Member { name: None, offset: self.offset, type_id, bits: None }
    }

    /// The type that stands for a parameter such as `T`.
    pub(super) fn parameter(&self, builder: &TypeBuilder<'a>, name: &str) -> Option<Die<'a>> {
        let children = builder.dies().children(&self.die).ok()?;
        let unit = &self.die.unit;
        let entry = children.into_iter().find(|child| {
            child.tag() == gimli::DW_TAG_template_type_parameter
                && dies::name(unit, child).as_deref() == Some(name)
        })?;
        builder.dies().reference(&Die { unit: Rc::clone(unit), entry }, gimli::DW_AT_type).ok()?
    }

    /// The name of its type without parameters.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.die.name().is_some_and(|own| base_name(&own) == name)
    }
}

/// The name of a type without its parameters.
pub(super) fn base_name(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}
