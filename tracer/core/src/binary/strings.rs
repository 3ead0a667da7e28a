//! Where a string of debug info is, so that it can be kept without its bytes.

use super::dwarf::{DebugInfo, Dwarf, Reader, Unit, Value};
use super::sections::Part;
use gimli::{AttributeValue, Reader as _, ReaderOffsetId, Section};
use std::ffi::CStr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longer names are left out: many entries may share one name of megabytes.
const NAME_BYTES_MAX: usize = 1 << 16;

/// Bits for the offset in its section.
const OFFSET_BITS: u32 = 40;
/// Sections of strings in a file.
const OF_FILE: u64 = 3;
/// The sections of split units have the numbers behind those of the two files.
const SPLIT: u64 = 2 * OF_FILE;

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
        let fits = offset >> OFFSET_BITS == 0 && section < u64::MAX >> OFFSET_BITS;
        if fits { Self(section << OFFSET_BITS | offset) } else { Self::NONE }
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
    let first = match (part, unit.split_index()) {
        (Part::Main, None) => 0,
        (Part::Supplementary, _) => OF_FILE,
        (Part::Main, Some(index)) => SPLIT + index as u64 * OF_FILE,
    };
    match value {
        // Nearly all of them, and found without a look at the string.
        Some(AttributeValue::DebugStrRef(offset)) => Text::new(first, offset.0),
        Some(AttributeValue::DebugStrRefSup(offset)) => Text::new(OF_FILE, offset.0),
        Some(value) => {
            let text = unit.dwarf().attr_string(unit, value).ok();
            let own = [(unit.dwarf(), first)];
            let all = own.into_iter().chain(info.dwarf().sup().map(|sup| (sup, OF_FILE)));
            text.map_or(Text::NONE, |text| find(all, text.offset_id()))
        }
        None => Text::NONE,
    }
}

fn find<'a>(files: impl Iterator<Item = (&'a Dwarf<'a>, u64)>, id: ReaderOffsetId) -> Text {
    for (dwarf, first) in files {
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
    let dwarf = match section {
        0..OF_FILE => info.dwarf(),
        OF_FILE..SPLIT => info.dwarf().sup()?,
        _ => &info.split(usize::try_from((section - SPLIT) / OF_FILE).ok()?)?.dwarf,
    };
    let mut input = *sections(dwarf).get(usize::try_from(section % OF_FILE).ok()?)?;
    input.skip(usize::try_from(offset).ok()?).ok()?;
    let text = CStr::from_bytes_until_nul(input.slice()).ok()?.to_bytes();
    Some(text).filter(|text| text.len() <= NAME_BYTES_MAX)
}
