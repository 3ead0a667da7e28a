//! Finds the entry for an address: by the search table of `.eh_frame_hdr`, or by an index made
//! here where there is none.

use super::translate::Entry;
use super::{CfiError, UnwindRow};
use crate::binary::dwarf::Reader;
use crate::model::address::Svma;
use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, EhFrameHdr, EhFrameOffset, FrameDescriptionEntry,
    LittleEndian, ParsedEhFrameHdr, Pointer, UnwindContext, UnwindOffset, UnwindSection,
    UnwindTableRow,
};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ops::Range;
use std::sync::OnceLock;

/// Bytes of an address.
const ADDRESS_BYTES: u8 = 8;
/// The longest entry that is read: large functions have a few KiB.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Entries of the index that are tried; more than one covers an address only in malformed files.
const CANDIDATES_MAX: usize = 16;

/// A section that addresses in it are relative to.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// What it holds.
    pub bytes: &'a [u8],
    /// Where it is mapped, as stated in the file.
    pub svma: Svma,
}

/// Where a module has call frame information; what it lacks is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CfiSections<'a> {
    /// `.eh_frame` of the mapped file.
    pub eh_frame: Option<Section<'a>>,
    /// `.eh_frame_hdr` of the mapped file.
    pub eh_frame_hdr: Option<Section<'a>>,
    /// Where `.text` is, as stated in the file.
    pub text_svma: Option<Svma>,
    /// `.debug_frame` of the mapped file.
    pub debug_frame: Option<&'a [u8]>,
    /// `.debug_frame` of the separate debug file.
    pub separate_debug_frame: Option<&'a [u8]>,
}

/// The call frame information of a module. Make it once: it keeps what it found out.
#[derive(Debug)]
pub struct Cfi<'a> {
    bases: BaseAddresses,
    eh_frame: Option<Indexed<EhFrame<Reader<'a>>>>,
    search_table: Option<SearchTable<'a>>,
    /// The mapped file's, then the debug file's.
    debug_frames: Vec<Indexed<DebugFrame<Reader<'a>>>>,
}

impl<'a> Cfi<'a> {
    /// Looks at the heads of the sections only; an index is made when it is first needed.
    pub fn new(sections: CfiSections<'a>) -> Self {
        let mut bases = BaseAddresses::default();
        if let Some(section) = sections.eh_frame {
            bases = bases.set_eh_frame(section.svma.0);
        }
        if let Some(section) = sections.eh_frame_hdr {
            bases = bases.set_eh_frame_hdr(section.svma.0);
        }
        if let Some(svma) = sections.text_svma {
            bases = bases.set_text(svma.0);
        }
        let eh_frame = sections.eh_frame.map(|section| {
            let mut frame = EhFrame::new(section.bytes, LittleEndian);
            frame.set_address_size(ADDRESS_BYTES);
            Indexed::new(frame)
        });
        let search_table = match (sections.eh_frame_hdr, sections.eh_frame) {
            (Some(header), Some(frame)) => SearchTable::parse(header.bytes, &bases, frame.svma),
            _ => None,
        };
        let debug_frames = [sections.debug_frame, sections.separate_debug_frame];
        let debug_frames = debug_frames.into_iter().flatten().map(|bytes| {
            let mut frame = DebugFrame::new(bytes, LittleEndian);
            frame.set_address_size(ADDRESS_BYTES);
            Indexed::new(frame)
        });
        Self { bases, eh_frame, search_table, debug_frames: debug_frames.collect() }
    }

    /// How to unwind from an address of the file. `bias` is what to add to such an address to get
    /// one of the process.
    ///
    /// # Errors
    ///
    /// Why there is no row; `.debug_frame` is tried where `.eh_frame` does not cover the address.
    pub fn row_at(&self, svma: Svma, bias: u64) -> Result<UnwindRow, CfiError> {
        let rows = self.rows(svma, bias, Wanted::At(svma))?;
        rows.into_iter().next().map(|(_, row)| row).ok_or(CfiError::NotCovered)
    }

    /// The rows of the entry that covers an address, each with where it starts, in their order.
    ///
    /// # Errors
    ///
    /// As [`Self::row_at`].
    pub fn rows_around(&self, svma: Svma) -> Result<Vec<(Svma, UnwindRow)>, CfiError> {
        self.rows(svma, 0, Wanted::All)
    }

    fn rows(
        &self,
        svma: Svma,
        bias: u64,
        wanted: Wanted,
    ) -> Result<Vec<(Svma, UnwindRow)>, CfiError> {
        if let Some(eh_frame) = &self.eh_frame {
            match self.eh_frame_entry(eh_frame, svma) {
                Ok(fde) => return rows(&eh_frame.section, &self.bases, &fde, bias, wanted),
                Err(CfiError::NotCovered) => {}
                Err(error) => return Err(error),
            }
        }
        for debug_frame in &self.debug_frames {
            match debug_frame.entry_at(&self.bases, svma) {
                Ok(fde) => return rows(&debug_frame.section, &self.bases, &fde, bias, wanted),
                Err(CfiError::NotCovered) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CfiError::NotCovered)
    }

    /// The code that the entry of an address covers: a function or a part of one.
    pub fn covered(&self, svma: Svma) -> Option<Covered> {
        let in_eh_frame = self.eh_frame.as_ref().and_then(|eh_frame| {
            self.eh_frame_entry(eh_frame, svma).ok().and_then(|fde| covered(&fde))
        });
        in_eh_frame.or_else(|| {
            self.debug_frames.iter().find_map(|debug_frame| {
                debug_frame.entry_at(&self.bases, svma).ok().and_then(|fde| covered(&fde))
            })
        })
    }

    /// Bytes that it takes beside the mapped file.
    pub fn bytes(&self) -> usize {
        let eh_frame = self.eh_frame.as_ref().map_or(0, Indexed::bytes);
        size_of::<Self>() + eh_frame + self.debug_frames.iter().map(Indexed::bytes).sum::<usize>()
    }

    fn eh_frame_entry(
        &self,
        eh_frame: &Indexed<EhFrame<Reader<'a>>>,
        svma: Svma,
    ) -> Result<FrameDescriptionEntry<Reader<'a>>, CfiError> {
        match &self.search_table {
            Some(table) => table.entry_at(&eh_frame.section, &self.bases, svma),
            None => eh_frame.entry_at(&self.bases, svma),
        }
    }
}

/// The code that one entry covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Covered {
    /// From its first address to the one behind it.
    pub range: Range<Svma>,
    /// Where the language-specific data is: landing pads of exceptions.
    pub language_data: Option<Svma>,
}

/// `None` for the trampoline of a signal handler: its entry starts before its code.
fn covered(fde: &FrameDescriptionEntry<Reader<'_>>) -> Option<Covered> {
    if fde.is_signal_trampoline() {
        return None;
    }
    let start = fde.initial_address();
    let language_data = match fde.lsda() {
        Some(Pointer::Direct(address)) => Some(Svma(address)),
        Some(Pointer::Indirect(_)) | None => None,
    };
    Some(Covered { range: Svma(start)..Svma(start.saturating_add(fde.len())), language_data })
}

/// Which rows of an entry are wanted.
#[derive(Clone, Copy)]
enum Wanted {
    /// The one that holds at this address.
    At(Svma),
    All,
}

fn rows<'a, S: UnwindSection<Reader<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<Reader<'a>>,
    bias: u64,
    wanted: Wanted,
) -> Result<Vec<(Svma, UnwindRow)>, CfiError> {
    for bytes in [fde.entry_len(), fde.cie().entry_len()] {
        if bytes > ENTRY_BYTES_MAX {
            return Err(CfiError::TooLong { bytes });
        }
    }
    let mut context = UnwindContext::new();
    let entry = Entry { section, fde, bias };
    let placed = |row: &UnwindTableRow<usize>| -> Result<(Svma, UnwindRow), CfiError> {
        Ok((Svma(row.start_address()), entry.row(row)?))
    };
    if let Wanted::At(svma) = wanted {
        let row = fde.unwind_info_for_address(section, bases, &mut context, svma.0)?;
        return Ok(vec![placed(row)?]);
    }
    let mut table = fde.rows(section, bases, &mut context)?;
    let mut rows = Vec::new();
    while let Some(row) = table.next_row()? {
        rows.push(placed(row)?);
    }
    Ok(rows)
}

/// The table of `.eh_frame_hdr`: entries in the order of their addresses.
#[derive(Debug)]
struct SearchTable<'a> {
    header: ParsedEhFrameHdr<Reader<'a>>,
    eh_frame_svma: Svma,
}

impl<'a> SearchTable<'a> {
    /// `None` where the section has no table that can be searched.
    fn parse(bytes: &'a [u8], bases: &BaseAddresses, eh_frame_svma: Svma) -> Option<Self> {
        let section = EhFrameHdr::new(bytes, LittleEndian);
        let header = section.parse(bases, ADDRESS_BYTES).ok()?;
        // A number of entries that the section has no room for must not reach gimli's arithmetic.
        let entries = header.table()?.iter(bases).size_hint().1?;
        (1..=bytes.len()).contains(&entries).then_some(Self { header, eh_frame_svma })
    }

    fn entry_at(
        &self,
        section: &EhFrame<Reader<'a>>,
        bases: &BaseAddresses,
        svma: Svma,
    ) -> Result<FrameDescriptionEntry<Reader<'a>>, CfiError> {
        let table = self.header.table().ok_or(CfiError::NotCovered)?;
        let entry = table.lookup(svma.0, bases)?.direct()?;
        let offset =
            entry.checked_sub(self.eh_frame_svma.0).ok_or(gimli::Error::OffsetOutOfBounds(0))?;
        let offset = usize::try_from(offset).map_err(|_large| gimli::Error::UnsupportedOffset)?;
        let fde =
            section.fde_from_offset(bases, EhFrameOffset(offset), EhFrame::cie_from_offset)?;
        if fde.contains(svma.0) { Ok(fde) } else { Err(CfiError::NotCovered) }
    }
}

/// A section whose entries are not in the order of their addresses.
#[derive(Debug)]
struct Indexed<S> {
    section: S,
    /// Ordered by start.
    ranges: OnceLock<Vec<EntryRange>>,
}

/// The addresses that an entry covers, and its offset in the section.
#[derive(Clone, Copy, Debug)]
struct EntryRange {
    start: u64,
    end: u64,
    offset: usize,
}

impl<S> Indexed<S> {
    fn new(section: S) -> Self {
        Self { section, ranges: OnceLock::new() }
    }

    fn bytes(&self) -> usize {
        let ranges = self.ranges.get().map_or(0, Vec::capacity);
        size_of::<Self>() + ranges * size_of::<EntryRange>()
    }

    fn entry_at<'a>(
        &self,
        bases: &BaseAddresses,
        svma: Svma,
    ) -> Result<FrameDescriptionEntry<Reader<'a>>, CfiError>
    where
        S: UnwindSection<Reader<'a>>,
    {
        let ranges = self.ranges.get_or_init(|| scan(&self.section, bases));
        let behind = ranges.partition_point(|range| range.start <= svma.0);
        let before = ranges.get(..behind).unwrap_or(&[]);
        let covering = before.iter().rev().take(CANDIDATES_MAX).find(|range| svma.0 < range.end);
        let offset = covering.ok_or(CfiError::NotCovered)?.offset;
        Ok(self.section.fde_from_offset(bases, S::Offset::from(offset), S::cie_from_offset)?)
    }
}

/// The ranges of all entries. Ends at the first malformed one, for nothing tells where the next
/// one would start.
fn scan<'a, S: UnwindSection<Reader<'a>>>(section: &S, bases: &BaseAddresses) -> Vec<EntryRange> {
    let mut ranges = Vec::new();
    let mut cies = HashMap::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        // Thousands of entries share a few CIEs.
        let parsed =
            partial.parse(|section, bases, offset| match cies.entry(UnwindOffset::into(offset)) {
                Slot::Occupied(known) => Clone::clone(known.get()),
                Slot::Vacant(slot) => slot.insert(section.cie_from_offset(bases, offset)).clone(),
            });
        let Ok(fde) = parsed else { continue };
        let (start, length) = (fde.initial_address(), fde.len());
        if let Some(end) = start.checked_add(length).filter(|end| *end > start) {
            ranges.push(EntryRange { start, end, offset: fde.offset() });
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges
}
