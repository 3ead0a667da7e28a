//! The subprograms and inlined subroutines of a unit, one after another.

use super::dwarf::{DebugInfo, Reader, Unit, Value};
use gimli::{Reader as _, UnitOffset};
use std::cell::Cell;
use std::ops::Range;

/// Nesting of DIEs that is looked into.
const DEPTH_MAX: isize = 256;
/// Entries of lists of ranges that are read for each byte of a unit; hostile DIEs may share a long
/// list.
const RANGES_PER_BYTE: usize = 2;
/// The same for a small unit.
const RANGES_MIN: usize = 1 << 16;

/// Whether to look at the children of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Walk {
    Into,
    Over,
}

/// An entry of interest while walking a unit.
pub(super) struct Entry<'e, 'a> {
    unit: &'e Unit<'a>,
    pub(super) offset: UnitOffset,
    pub(super) tag: gimli::DwTag,
    /// How many entries that were visited enclose it.
    pub(super) nesting: usize,
    attributes: &'e [gimli::Attribute<Reader<'a>>],
    /// Entries of lists of ranges that may still be read in this walk.
    ranges_left: &'e Cell<usize>,
}

impl<'a> Entry<'_, 'a> {
    pub(super) fn value(&self, name: gimli::DwAt) -> Option<Value<'a>> {
        let attribute = self.attributes.iter().find(|attribute| attribute.name() == name);
        attribute.map(gimli::Attribute::value)
    }

    pub(super) fn udata(&self, name: gimli::DwAt) -> Option<u64> {
        self.attributes.iter().find(|attribute| attribute.name() == name)?.udata_value()
    }

    /// File (index in the unit's line table) and line of the call that was inlined.
    pub(super) fn call_line(&self) -> Option<(u64, u64)> {
        match self.value(gimli::DW_AT_call_file)? {
            gimli::AttributeValue::FileIndex(index) => {
                Some((index, self.udata(gimli::DW_AT_call_line)?))
            }
            _ => None,
        }
    }

    /// The start of the first range of its code.
    pub(super) fn first_address(&self, info: &DebugInfo) -> Option<u64> {
        let (low, high) = (self.value(gimli::DW_AT_low_pc), self.value(gimli::DW_AT_high_pc));
        let list = self.value(gimli::DW_AT_ranges);
        let mut ranges = info.each_pc_range(self.unit, low, high, list, self.ranges_left);
        ranges.next().map(|range| range.start)
    }

    pub(super) fn ranges(&self, info: &DebugInfo) -> Vec<Range<u64>> {
        let (low, high) = (self.value(gimli::DW_AT_low_pc), self.value(gimli::DW_AT_high_pc));
        let list = self.value(gimli::DW_AT_ranges);
        info.each_pc_range(self.unit, low, high, list, self.ranges_left).collect()
    }

    /// DW_AT_entry_pc: an address, or a distance from DW_AT_low_pc (DWARF 5, 2.18).
    pub(super) fn entry_pc(&self) -> Option<u64> {
        let address = |value| self.unit.dwarf().attr_address(self.unit, value).ok().flatten();
        match self.value(gimli::DW_AT_entry_pc)? {
            gimli::AttributeValue::Udata(distance) => {
                let base = self.value(gimli::DW_AT_low_pc).map_or(Some(self.unit.low_pc), address);
                base?.checked_add(distance)
            }
            value => address(value),
        }
    }
}

/// Calls `visit` for the subprograms and inlined subroutines of a unit: for all of them, or for
/// the one at `start` and those inside it.
pub(super) fn walk<'a>(
    unit: &Unit<'a>,
    start: Option<UnitOffset>,
    mut visit: impl FnMut(&Entry<'_, 'a>) -> Walk,
) -> Result<(), gimli::Error> {
    let first = start.unwrap_or(unit.header.root_offset());
    let mut input = unit.header.range_from(first..)?;
    let end = first.0.saturating_add(input.len());
    let mut forms = Forms::of(unit);
    let mut attributes = Vec::new();
    let length = unit.header.length_including_self();
    let ranges_left = Cell::new(length.saturating_mul(RANGES_PER_BYTE).max(RANGES_MIN));
    let ranges_left = &ranges_left;
    // Depths of the visited entries that enclose the next one.
    let mut enclosing: Vec<isize> = Vec::new();
    let mut skip_below = None;
    let mut next_depth = 0;
    while !input.is_empty() {
        let offset = UnitOffset(end - input.len());
        let code = input.read_uleb128()?;
        if code == 0 {
            next_depth -= 1;
            if start.is_some() && next_depth <= 0 {
                break;
            }
            continue;
        }
        let depth = next_depth;
        let form = forms.get(code)?;
        next_depth += isize::from(form.has_children);
        if skip_below.is_some_and(|limit| depth <= limit) {
            skip_below = None;
        }
        while enclosing.last().is_some_and(|outer| *outer >= depth) {
            enclosing.pop();
        }
        if !form.visited || skip_below.is_some() || depth > DEPTH_MAX {
            forms.skip(form, &mut input)?;
        } else {
            let tag = forms.read(code, &mut input, &mut attributes)?;
            let nesting = enclosing.len();
            let entry = Entry { unit, offset, tag, nesting, attributes: &attributes, ranges_left };
            match visit(&entry) {
                Walk::Into => enclosing.push(depth),
                Walk::Over => skip_below = Some(depth),
            }
        }
        if start.is_some() && depth == 0 && !form.has_children {
            break;
        }
    }
    Ok(())
}

/// How the entries of a unit are stored, by the code of their abbreviation. Most entries are passed
/// over, so how to do that is worked out once for each abbreviation.
struct Forms<'u, 'a> {
    unit: &'u Unit<'a>,
    known: Vec<Option<Form>>,
    /// Of all forms.
    steps: Vec<Step>,
}

/// How an entry is stored.
#[derive(Clone, Copy)]
struct Form {
    visited: bool,
    has_children: bool,
    /// The first of its steps, and their number.
    steps: (u32, u16),
}

/// What to pass over.
#[derive(Clone, Copy)]
enum Step {
    Bytes(usize),
    /// A number in LEB128.
    Number,
    /// A block with its length, in LEB128, before it.
    Block,
    /// A string up to its NUL.
    Text,
    /// An attribute that needs a closer look.
    Other(gimli::AttributeSpecification),
}

impl<'u, 'a> Forms<'u, 'a> {
    fn of(unit: &'u Unit<'a>) -> Self {
        Self { unit, known: Vec::new(), steps: Vec::new() }
    }

    #[inline]
    fn get(&mut self, code: u64) -> Result<Form, gimli::Error> {
        match self.known.get(code as usize) {
            Some(Some(form)) => Ok(*form),
            _ => self.learn(code),
        }
    }

    /// Compilers use a few hundred abbreviations, numbered from 1; a number of more than 16 bits is
    /// taken for damage.
    #[cold]
    fn learn(&mut self, code: u64) -> Result<Form, gimli::Error> {
        let abbreviation = self.abbreviation(code)?;
        let invalid = |_| gimli::Error::InvalidAbbreviationCode(code);
        let index = u16::try_from(code).map(usize::from).map_err(invalid)?;
        let tag = abbreviation.tag();
        let first = self.steps.len();
        for spec in abbreviation.attributes() {
            let step = self.step(spec);
            match (self.steps.get_mut(first..).and_then(<[Step]>::last_mut), step) {
                (Some(Step::Bytes(before)), Step::Bytes(more)) => *before += more,
                _ => self.steps.push(step),
            }
        }
        let form = Form {
            visited: [gimli::DW_TAG_subprogram, gimli::DW_TAG_inlined_subroutine].contains(&tag),
            has_children: abbreviation.has_children(),
            steps: (
                u32::try_from(first).map_err(invalid)?,
                u16::try_from(self.steps.len() - first).map_err(invalid)?,
            ),
        };
        self.known.resize(self.known.len().max(index + 1), None);
        self.known.get_mut(index).into_iter().for_each(|known| *known = Some(form));
        Ok(form)
    }

    fn step(&self, spec: &gimli::AttributeSpecification) -> Step {
        if let Some(bytes) = spec.size(&self.unit.header) {
            return Step::Bytes(bytes);
        }
        match spec.form() {
            gimli::DW_FORM_udata
            | gimli::DW_FORM_sdata
            | gimli::DW_FORM_ref_udata
            | gimli::DW_FORM_strx
            | gimli::DW_FORM_addrx
            | gimli::DW_FORM_loclistx
            | gimli::DW_FORM_rnglistx => Step::Number,
            gimli::DW_FORM_exprloc | gimli::DW_FORM_block => Step::Block,
            gimli::DW_FORM_string => Step::Text,
            _ => Step::Other(*spec),
        }
    }

    fn abbreviation(&self, code: u64) -> Result<&'u gimli::Abbreviation, gimli::Error> {
        let unit = self.unit;
        unit.abbreviations.get(code).ok_or(gimli::Error::InvalidAbbreviationCode(code))
    }

    /// Passes over the attributes of an entry.
    #[inline]
    fn skip(&self, form: Form, input: &mut Reader<'a>) -> Result<(), gimli::Error> {
        let (first, count) = (form.steps.0 as usize, usize::from(form.steps.1));
        for step in self.steps.get(first..first + count).unwrap_or_default() {
            match step {
                Step::Bytes(bytes) => input.skip(*bytes)?,
                Step::Number => input.skip_leb128()?,
                Step::Block => {
                    let bytes = input.read_uleb128()?;
                    let bytes = usize::try_from(bytes);
                    input.skip(bytes.map_err(|_large| gimli::Error::UnsupportedOffset)?)?;
                }
                Step::Text => drop(input.read_null_terminated_slice()?),
                Step::Other(spec) => {
                    self.consume(input, |entries| entries.skip_attributes(&[*spec]))?;
                }
            }
        }
        Ok(())
    }

    /// Reads the attributes of an entry.
    fn read(
        &self,
        code: u64,
        input: &mut Reader<'a>,
        attributes: &mut Vec<gimli::Attribute<Reader<'a>>>,
    ) -> Result<gimli::DwTag, gimli::Error> {
        let abbreviation = self.abbreviation(code)?;
        let specs = abbreviation.attributes();
        self.consume(input, |entries| entries.read_attributes(specs, attributes))?;
        Ok(abbreviation.tag())
    }

    fn consume(
        &self,
        input: &mut Reader<'a>,
        read: impl FnOnce(&mut gimli::EntriesRaw<'_, Reader<'a>>) -> Result<(), gimli::Error>,
    ) -> Result<(), gimli::Error> {
        let (encoding, abbreviations) = (self.unit.encoding(), &self.unit.abbreviations);
        let mut entries = gimli::EntriesRaw::new(*input, encoding, abbreviations, UnitOffset(0));
        read(&mut entries)?;
        input.skip(entries.next_offset().0)
    }
}
