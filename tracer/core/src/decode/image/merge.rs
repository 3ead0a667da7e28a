//! Items and late bytes → segments without holes. What was copied at the hit comes first.

use crate::model::capture::Provenance;
use crate::model::record::{Item, LateBytes};
use std::ops::Range;
use tracer_common::wire::ItemKind;

/// Bytes one behind another.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
    /// Those that were not copied at the hit, in address order.
    late: Vec<(Range<u64>, Provenance)>,
}

impl Segment {
    /// Behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.len() as u64)
    }

    /// The first address in a range that was not copied at the hit.
    pub(super) fn first_late(&self, start: u64, end: u64) -> Option<u64> {
        let here = self.late.iter().find(|(late, _)| late.start < end && start < late.end);
        here.map(|(late, _)| late.start.max(start))
    }

    /// The weakest provenance in a range; `None` where all was copied at the hit.
    pub(super) fn weakest(&self, start: u64, end: u64) -> Option<Provenance> {
        let here = self.late.iter().filter(|(late, _)| late.start < end && start < late.end);
        here.map(|(_, provenance)| *provenance).max()
    }

    /// Puts a segment behind this one, whose end its start touches.
    fn append(&mut self, other: Self) {
        self.bytes.extend(other.bytes);
        self.late.extend(other.late);
    }
}

/// The bytes of all items, and late bytes where there are none: disjoint, not touching, in address
/// order.
pub(super) fn merge(items: &[Item], late: &[LateBytes]) -> Vec<Segment> {
    let mut parts = merge_items(items);
    for late in late {
        let holes = holes(&parts, late);
        if !holes.is_empty() {
            parts.extend(holes);
            parts.sort_by_key(|part| part.address);
        }
    }
    let mut segments: Vec<Segment> = Vec::new();
    for part in parts {
        match segments.last_mut() {
            Some(last) if last.end() == part.address => last.append(part),
            _ => segments.push(part),
        }
    }
    segments
}

fn is_memory(item: &Item) -> bool {
    item.kind != ItemKind::Entry && !item.bytes.is_empty()
}

/// The bytes of all items; where they overlap the one that starts first is taken.
fn merge_items(items: &[Item]) -> Vec<Segment> {
    let mut sorted: Vec<&Item> = items.iter().filter(|item| is_memory(item)).collect();
    sorted.sort_by_key(|item| item.address.0);
    let mut segments: Vec<Segment> = Vec::new();
    for item in sorted {
        if let Some(last) = segments.last_mut() {
            let end = last.end();
            if item.address.0 <= end {
                let known =
                    usize::try_from(end.saturating_sub(item.address.0)).unwrap_or(usize::MAX);
                last.bytes.extend_from_slice(item.bytes.get(known..).unwrap_or(&[]));
                continue;
            }
        }
        let (address, bytes) = (item.address.0, item.bytes.clone());
        segments.push(Segment { address, bytes, late: Vec::new() });
    }
    segments
}

/// The parts of late bytes where `parts`, in address order, have none.
fn holes(parts: &[Segment], late: &LateBytes) -> Vec<Segment> {
    let start = late.address.0;
    let end = start.saturating_add(late.bytes.len() as u64);
    let first = parts.partition_point(|part| part.end() <= start);
    let mut holes = Vec::new();
    let mut at = start;
    for part in parts.iter().skip(first).take_while(|part| part.address < end) {
        holes.extend(cut(late, at..part.address));
        at = part.end();
    }
    holes.extend(cut(late, at..end));
    holes
}

/// Late bytes of a range, if it has any.
fn cut(late: &LateBytes, range: Range<u64>) -> Option<Segment> {
    let offset = |address: u64| usize::try_from(address.saturating_sub(late.address.0)).ok();
    let bytes = late.bytes.get(offset(range.start)?..offset(range.end)?)?.to_vec();
    let address = range.start;
    (!bytes.is_empty()).then(|| Segment { address, bytes, late: vec![(range, late.provenance)] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::fake::object;
    use crate::model::address::Avma;

    fn late(address: u64, bytes: &[u8], provenance: Provenance) -> LateBytes {
        LateBytes { address: Avma(address), bytes: bytes.to_vec(), provenance }
    }

    #[test]
    fn late_bytes_fill_holes_and_nothing_else() {
        let items = [object(10, b"abc"), object(15, b"de")];
        let pages = [
            late(8, b"0123456789", Provenance::MappedFile),
            late(16, b"xyz", Provenance::ReadAfterHit),
        ];
        let segments = merge(&items, &pages);
        assert_eq!(segments.len(), 1);
        assert_eq!((segments[0].address, segments[0].bytes.as_slice()), (8, &b"01abc56de9z"[..]));
        assert_eq!(segments[0].first_late(10, 19), Some(13));
        assert_eq!(segments[0].first_late(10, 13), None);
        assert_eq!(segments[0].weakest(10, 13), None);
        assert_eq!(segments[0].weakest(10, 18), Some(Provenance::MappedFile));
        assert_eq!(segments[0].weakest(8, 19), Some(Provenance::ReadAfterHit));
    }

    #[test]
    fn late_bytes_far_from_all_items_are_a_segment_of_their_own() {
        let segments = merge(&[object(10, b"abc")], &[late(20, b"x", Provenance::Untouched)]);
        let ranges: Vec<_> = segments.iter().map(|s| s.address..s.end()).collect();
        assert_eq!(ranges, [10..13, 20..21]);
    }
}
