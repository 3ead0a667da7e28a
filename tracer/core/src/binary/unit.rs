//! A unit of debug info, with the sections that its forms refer to.
//!
//! A unit may be split (DWARF 5, 3.1.2): a skeleton is in the file itself, and the unit with its DIEs
//! in another one. It is then read as one unit, with the DIEs of the one, and the addresses and the
//! line table of the other.

use super::dwarf::{Dwarf, Reader, UnitIndex};
use gimli::{DebugInfoOffset, UnitOffset};
use std::ops::Deref;

/// Marks where split units start; no section is as large.
const SPLIT: usize = 1 << 62;
/// Offsets in a unit are kept in 32 bits.
const INDEX_SHIFT: u32 = 32;

/// A unit with its abbreviations and line program.
#[derive(Debug)]
pub struct Unit<'a> {
    unit: gimli::Unit<Reader<'a>, usize>,
    dwarf: &'a Dwarf<'a>,
    line_strings: &'a Dwarf<'a>,
    start: usize,
}

impl<'a> Unit<'a> {
    /// A unit that is in `dwarf` with all that it has.
    pub fn whole(dwarf: &'a Dwarf<'a>, unit: gimli::Unit<Reader<'a>, usize>) -> Self {
        let start = unit.header.offset().0;
        Self { unit, dwarf, line_strings: dwarf, start }
    }

    /// The split unit of a skeleton, which is the unit `index` of the file.
    pub(super) fn split(
        dwarf: &'a Dwarf<'a>,
        mut unit: gimli::Unit<Reader<'a>, usize>,
        skeleton: Self,
        index: UnitIndex,
    ) -> Self {
        unit.copy_relocated_attributes(&skeleton.unit);
        let Self { unit: skeleton, line_strings, .. } = skeleton;
        unit.name = skeleton.name;
        unit.comp_dir = skeleton.comp_dir;
        unit.line_program = skeleton.line_program;
        Self { unit, dwarf, line_strings, start: SPLIT | index << INDEX_SHIFT }
    }

    /// The sections that its forms refer to.
    pub fn dwarf(&self) -> &'a Dwarf<'a> {
        self.dwarf
    }

    /// The sections that its line table refers to.
    pub(super) fn line_strings(&self) -> &'a Dwarf<'a> {
        self.line_strings
    }

    /// From where on its DIEs are counted among those of the file: where it starts in its section,
    /// or, if it is split, a number that no section is as large as.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The index of its skeleton.
    pub fn split_index(&self) -> Option<UnitIndex> {
        split_index(self.start)
    }

    /// The DIE of another unit, among those of the file, that a reference leads to. Split units
    /// refer to none.
    pub(super) fn place_of(&self, offset: DebugInfoOffset) -> Option<usize> {
        self.split_index().is_none().then_some(offset.0)
    }
}

/// The index of the skeleton of the split unit that a DIE is in.
pub(super) fn split_index(place: usize) -> Option<UnitIndex> {
    split_place(place).map(|(index, _)| index)
}

/// The same, with where the DIE is in the unit.
pub fn split_place(place: usize) -> Option<(UnitIndex, UnitOffset)> {
    let offset = UnitOffset(place & ((1 << INDEX_SHIFT) - 1));
    (place & SPLIT != 0).then_some(((place & !SPLIT) >> INDEX_SHIFT, offset))
}

impl<'a> Deref for Unit<'a> {
    type Target = gimli::Unit<Reader<'a>, usize>;

    fn deref(&self) -> &Self::Target {
        &self.unit
    }
}
