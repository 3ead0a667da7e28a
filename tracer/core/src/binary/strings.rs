//! Where a string of debug info is, so that it can be kept without its bytes.

use super::dwarf::{DebugInfo, Dwarf, Reader, Unit, Value};
use super::sections::Part;
use gimli::{AttributeValue, Reader as _, ReaderOffsetId, Section};
use std::ffi::CStr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longer names are left out: many entries may share one name of megabytes.
const NAME_BYTES_MAX: usize = 1 << 16;

/// Bits for the offset in its section.
const OFFSET_BITS: u32 = 60;

/// Where a string is: a section and an offset.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
#[repr(transparent)]
pub(super) struct Text(u64);

impl Text {
    /// There is no string.
    pub(super) const NONE: Self = Self(u64::MAX);

    fn new(section: u64, offset: usize) -> Self {
        let offset = offset as u64;
        if offset >> OFFSET_BITS == 0 { Self(section << OFFSET_BITS | offset) } else { Self::NONE }
    }

    /// `None` where there is no string.
    pub(super) fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }

    /// This one, or another where there is none.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::NONE { other } else { self }
    }
}

/// The sections that hold strings, of the file itself.
fn sections<'a>(dwarf: &Dwarf<'a>) -> [Reader<'a>; 3] {
    [*dwarf.debug_str.reader(), *dwarf.debug_info.reader(), *dwarf.debug_line_str.reader()]
}

/// Where the string of an attribute is.
pub(super) fn of(info: &DebugInfo, part: Part, unit: &Unit<'_>, value: Option<Value<'_>>) -> Text {
    let first = match part {
        Part::Main => 0,
        Part::Supplementary => 3,
    };
    match value {
        // Nearly all of them, and found without a look at the string.
        Some(AttributeValue::DebugStrRef(offset)) => Text::new(first, offset.0),
        Some(AttributeValue::DebugStrRefSup(offset)) => Text::new(3, offset.0),
        Some(value) => {
            let dwarf = match part {
                Part::Main => Some(info.dwarf()),
                Part::Supplementary => info.dwarf().sup(),
            };
            let text = dwarf.and_then(|dwarf| dwarf.attr_string(unit, value).ok());
            text.map_or(Text::NONE, |text| find(info, text.offset_id()))
        }
        None => Text::NONE,
    }
}

fn find(info: &DebugInfo, id: ReaderOffsetId) -> Text {
    let all = [Some(info.dwarf()), info.dwarf().sup()];
    let all = all.into_iter().zip([0, 3]).filter_map(|(dwarf, first)| Some((dwarf?, first)));
    for (dwarf, first) in all {
        for (number, section) in (first..).zip(sections(dwarf)) {
            if let Some(offset) = section.lookup_offset_id(id) {
                return Text::new(number, offset);
            }
        }
    }
    Text::NONE
}

/// The string; `None` where there is none, and for one that is too long.
pub(super) fn read(info: &DebugInfo, text: Text) -> Option<&[u8]> {
    let (section, offset) = (text.0 >> OFFSET_BITS, text.0 & ((1 << OFFSET_BITS) - 1));
    let (dwarf, section) = match section {
        0..3 => (info.dwarf(), section),
        3..6 => (info.dwarf().sup()?, section - 3),
        _ => return None,
    };
    let mut input = *sections(dwarf).get(usize::try_from(section).ok()?)?;
    input.skip(usize::try_from(offset).ok()?).ok()?;
    let text = CStr::from_bytes_until_nul(input.slice()).ok()?.to_bytes();
    Some(text).filter(|text| text.len() <= NAME_BYTES_MAX)
}
