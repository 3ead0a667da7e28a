//! The units of a DWARF file: the list of their headers, and how one of them is read.

use super::dwarf::{Dwarf, Reader, Unit, UnitHeader};
use super::line_header;
use gimli::{
    Abbreviation, Abbreviations, AttributeValue, DebugAbbrevOffset, Section as _, UnitOffset,
    UnitType,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of a section that are walked over before their pages are given back.
const WALKED_BYTES: usize = 16 << 20;

/// Units that share their abbreviations, at least, for these to be kept.
const SHARED_MIN: usize = 8;
/// Tables of abbreviations that are kept.
const SHARED_KEPT: usize = 64;
/// Bytes of one table of abbreviations; what is read of it takes thirty times as many.
const TABLE_BYTES_MAX: usize = 1 << 20;

/// The headers of a file's units, by offset.
#[derive(Debug, Default)]
pub struct Headers<'a> {
    /// Those of `.debug_info`.
    info: Vec<UnitHeader<'a>>,
    /// Those of `.debug_types`.
    types: Vec<UnitHeader<'a>>,
    /// Signature of a type unit → whether it is in `.debug_types`, where it starts there, and where
    /// the type is in it.
    signatures: HashMap<u64, (bool, usize, UnitOffset)>,
    /// Where tables of abbreviations start, in order.
    tables: Vec<usize>,
    /// Abbreviations that several units share, as those of a file that dwz has worked on do.
    shared: BTreeMap<usize, Arc<Abbreviations>>,
}

impl<'a> Headers<'a> {
    /// Lists the units, up to a malformed header of `.debug_info`, which hides those behind it:
    /// then its number and what is wrong are given too. `release` is called now and then, to give
    /// back the pages that were touched.
    pub fn list(
        dwarf: &Dwarf<'a>,
        release: &dyn Fn(),
    ) -> (Self, Result<(), (usize, gimli::Error)>) {
        let mut headers = Self::default();
        let mut units = dwarf.units();
        let mut released = 0;
        let end = loop {
            match units.next() {
                Ok(Some(header)) => {
                    headers.sign(&header, false);
                    headers.info.push(header);
                    if header.offset().0 - released >= WALKED_BYTES {
                        released = header.offset().0;
                        release();
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err((headers.info.len(), error)),
            }
        };
        let mut units = dwarf.type_units();
        while let Ok(Some(header)) = units.next() {
            headers.sign(&header, true);
            headers.types.push(header);
        }
        headers.share_abbreviations(dwarf);
        release();
        (headers, end)
    }

    fn sign(&mut self, header: &UnitHeader<'a>, types: bool) {
        if let UnitType::Type { type_signature, type_offset }
        | UnitType::SplitType { type_signature, type_offset } = header.type_()
        {
            let place = (types, header.offset().0, type_offset);
            self.signatures.entry(type_signature.0).or_insert(place);
        }
    }

    fn share_abbreviations(&mut self, dwarf: &Dwarf<'a>) {
        let mut offsets: Vec<usize> =
            self.info.iter().chain(&self.types).map(|unit| unit.debug_abbrev_offset().0).collect();
        offsets.sort_unstable();
        let mut repeated: Vec<&[usize]> =
            offsets.chunk_by(|a, b| a == b).filter(|same| same.len() >= SHARED_MIN).collect();
        repeated.sort_by_key(|same| std::cmp::Reverse(same.len()));
        let repeated: Vec<usize> =
            repeated.iter().take(SHARED_KEPT).filter_map(|same| same.first().copied()).collect();
        offsets.dedup();
        self.tables = offsets;
        let read = |at: usize| Some((at, Arc::new(self.table(dwarf, at).ok()?)));
        self.shared = repeated.into_iter().filter_map(read).collect();
    }

    /// Reads a table of abbreviations. It ends where the next one starts, so that all of them
    /// together take no longer than the section.
    fn table(&self, dwarf: &Dwarf<'a>, at: usize) -> Result<Abbreviations, gimli::Error> {
        let after = self.tables.partition_point(|start| *start <= at);
        let next = self.tables.get(after).copied().unwrap_or(usize::MAX);
        let section = dwarf.debug_abbrev.reader().slice();
        let end = next.min(at.saturating_add(TABLE_BYTES_MAX)).min(section.len());
        let section = section.get(..end).unwrap_or_default();
        let section = gimli::DebugAbbrev::new(section, gimli::LittleEndian);
        section.abbreviations(DebugAbbrevOffset(at))
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let shared: usize = self.shared.values().map(|shared| abbreviation_bytes(shared)).sum();
        let headers = self.info.capacity() + self.types.capacity();
        let signatures = self.signatures.capacity() * size_of::<(u64, (bool, usize, UnitOffset))>();
        let tables = self.tables.capacity() * size_of::<usize>();
        headers * size_of::<UnitHeader<'_>>() + signatures + tables + shared
    }

    /// How many units `.debug_info` has.
    pub fn len(&self) -> usize {
        self.info.len()
    }

    /// `.debug_info` has none.
    pub fn is_empty(&self) -> bool {
        self.info.is_empty()
    }

    /// Some of the units may have most of what they are in other files.
    pub(super) fn may_be_split(&self, dwarf: &Dwarf<'_>) -> bool {
        let has_addresses = !dwarf.debug_addr.reader().is_empty();
        has_addresses && self.info.iter().any(|header| is_split(header, has_addresses))
    }

    /// A unit of `.debug_info`.
    pub fn get(&self, index: usize) -> Option<&UnitHeader<'a>> {
        self.info.get(index)
    }

    /// The index of the unit of `.debug_info` that holds an offset.
    pub fn index_of(&self, offset: usize) -> Option<usize> {
        holding(&self.info, offset)
    }

    /// The unit of `.debug_info`, or of `.debug_types`, that holds an offset.
    pub fn holding(&self, types: bool, offset: usize) -> Option<&UnitHeader<'a>> {
        let list = if types { &self.types } else { &self.info };
        list.get(holding(list, offset)?)
    }

    /// The type unit of a signature: whether it is in `.debug_types`, where it starts there, and
    /// where the type is in it.
    pub fn signed(&self, signature: u64) -> Option<(bool, usize, UnitOffset)> {
        self.signatures.get(&signature).copied()
    }

    fn abbreviations(
        &self,
        dwarf: &Dwarf<'a>,
        header: &UnitHeader<'a>,
    ) -> Result<Arc<Abbreviations>, gimli::Error> {
        match self.shared.get(&header.debug_abbrev_offset().0) {
            Some(shared) => Ok(Arc::clone(shared)),
            None => self.table(dwarf, header.debug_abbrev_offset().0).map(Arc::new),
        }
    }

    /// Reads a unit with the header of its line program.
    ///
    /// # Errors
    ///
    /// What is malformed.
    pub fn read(
        &self,
        dwarf: &'a Dwarf<'a>,
        header: &UnitHeader<'a>,
    ) -> Result<Unit<'a>, gimli::Error> {
        let abbreviations = self.abbreviations(dwarf, header)?;
        if !line_header::is_bounded(dwarf, header, &abbreviations) {
            return Err(gimli::Error::UnsupportedOffset);
        }
        let unit = gimli::Unit::new_with_abbreviations(dwarf, *header, abbreviations)?;
        Ok(Unit::whole(dwarf, unit))
    }

    /// Reads a unit without its line program, whose header takes longer than all the rest.
    ///
    /// # Errors
    ///
    /// What is malformed.
    pub fn read_bare(
        &self,
        dwarf: &'a Dwarf<'a>,
        header: &UnitHeader<'a>,
    ) -> Result<Unit<'a>, gimli::Error> {
        self.read_plain(dwarf, header).map(|unit| Unit::whole(dwarf, unit))
    }

    /// The same, of sections that its reader knows.
    pub(super) fn read_plain(
        &self,
        dwarf: &Dwarf<'a>,
        header: &UnitHeader<'a>,
    ) -> Result<gimli::Unit<Reader<'a>, usize>, gimli::Error> {
        // Offsets in a unit are kept in 32 bits; none comes near that.
        u32::try_from(header.length_including_self())
            .map_err(|_| gimli::Error::UnsupportedOffset)?;
        bare(dwarf, *header, self.abbreviations(dwarf, header)?)
    }
}

/// A unit may be a skeleton: in DWARF 5 it says so; GNU's form for DWARF 4 looks like any unit, but
/// needs a section for addresses.
pub(super) fn is_split(header: &UnitHeader<'_>, has_addresses: bool) -> bool {
    match header.type_() {
        UnitType::Skeleton(_) => true,
        UnitType::Compilation => header.version() < 5 && has_addresses,
        _ => false,
    }
}

/// Bytes that a unit takes.
pub(super) fn bytes(unit: &Unit<'_>) -> usize {
    let header = unit.line_program.as_ref().map(|program| program.header());
    let lines = header.map_or(0, |header| {
        size_of_val(header.file_names()) + size_of_val(header.include_directories())
    });
    // Those that several units share are counted with the headers.
    let is_shared = Arc::strong_count(&unit.abbreviations) > 1;
    let own = if is_shared { 0 } else { abbreviation_bytes(&unit.abbreviations) };
    size_of::<Unit<'_>>() + lines + own
}

/// Bytes that a table of abbreviations takes, as compilers number them: from 1 without a gap.
fn abbreviation_bytes(table: &Abbreviations) -> usize {
    let all = (1..).map_while(|code| table.get(code));
    all.map(|one: &Abbreviation| size_of_val(one) + size_of_val(one.attributes())).sum()
}

fn holding(list: &[UnitHeader<'_>], offset: usize) -> Option<usize> {
    let after = list.partition_point(|header| header.offset().0 <= offset);
    let index = after.checked_sub(1)?;
    let header = list.get(index)?;
    let end = header.offset().0.checked_add(header.length_including_self())?;
    (offset < end).then_some(index)
}

/// As `gimli::Unit::new` does it.
fn bare<'a>(
    dwarf: &Dwarf<'a>,
    header: UnitHeader<'a>,
    abbreviations: Arc<Abbreviations>,
) -> Result<gimli::Unit<Reader<'a>, usize>, gimli::Error> {
    let (encoding, file_type) = (header.encoding(), dwarf.file_type);
    let dwo_id = match header.type_() {
        UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id),
        _ => None,
    };
    let mut unit = gimli::Unit {
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
            encoding, file_type,
        ),
        addr_base: gimli::DebugAddrBase(0),
        loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(encoding, file_type),
        rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, file_type),
        line_program: None,
        dwo_id,
        abbreviations,
        header,
    };
    let mut attributes = Vec::new();
    {
        let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
        let root = entries.read_abbreviation()?.ok_or(gimli::Error::MissingUnitDie)?;
        entries.read_attributes(root.attributes(), &mut attributes)?;
    }
    let mut low_pc = None;
    for attribute in &attributes {
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_low_pc, value) => low_pc = Some(value),
            (_, AttributeValue::DebugStrOffsetsBase(base)) => unit.str_offsets_base = base,
            (_, AttributeValue::DebugAddrBase(base)) => unit.addr_base = base,
            (_, AttributeValue::DebugLocListsBase(base)) => unit.loclists_base = base,
            (_, AttributeValue::DebugRngListsBase(base)) => unit.rnglists_base = base,
            (_, AttributeValue::DwoId(id)) if unit.dwo_id.is_none() => unit.dwo_id = Some(id),
            _ => {}
        }
    }
    if let Some(address) = low_pc.map(|value| dwarf.attr_address(&unit, value)).transpose()? {
        unit.low_pc = address.unwrap_or(0);
    }
    Ok(unit)
}
