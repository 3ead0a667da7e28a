//! Address ranges that may overlap or nest, with a value each.

use std::ops::Range;

/// Ranges that overlap an address are looked at, at most; more only in a hostile file.
const OVERLAPS_MAX: usize = 4096;

/// A sorted list of ranges.
#[derive(Clone, Debug)]
pub struct RangeMap<T> {
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    range: Range<u64>,
    /// The highest end of this entry and all before it.
    reach: u64,
    value: T,
}

impl<T> RangeMap<T> {
    /// Empty and backward ranges are left out.
    pub fn new(ranges: impl IntoIterator<Item = (Range<u64>, T)>) -> Self {
        let mut entries: Vec<_> = ranges
            .into_iter()
            .filter(|(range, _)| !range.is_empty())
            .map(|(range, value)| Entry { range, reach: 0, value })
            .collect();
        // Of ranges with one start the widest comes first, so that the innermost is met first
        // when going backwards.
        entries.sort_by_key(|entry| (entry.range.start, std::cmp::Reverse(entry.range.end)));
        let mut reach = 0;
        for entry in &mut entries {
            reach = reach.max(entry.range.end);
            entry.reach = reach;
        }
        Self { entries }
    }

    /// The ranges that contain `address`, the one with the nearest start first.
    pub fn containing(&self, address: u64) -> impl Iterator<Item = (&Range<u64>, &T)> {
        let after = self.entries.partition_point(|entry| entry.range.start <= address);
        self.entries
            .get(..after)
            .unwrap_or_default()
            .iter()
            .rev()
            .take_while(move |entry| entry.reach > address)
            .take(OVERLAPS_MAX)
            .filter(move |entry| entry.range.end > address)
            .map(|entry| (&entry.range, &entry.value))
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<T>>()
    }

    /// All ranges by start.
    pub fn iter(&self) -> impl Iterator<Item = (&Range<u64>, &T)> {
        self.entries.iter().map(|entry| (&entry.range, &entry.value))
    }

    /// The ranges that overlap `range`, by start.
    pub fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = (&Range<u64>, &T)> {
        let first = self.entries.partition_point(|entry| entry.reach <= range.start);
        let after = self.entries.partition_point(|entry| entry.range.start < range.end);
        let within = self.entries.get(first..after).unwrap_or_default();
        within
            .iter()
            .filter(move |entry| entry.range.end > range.start)
            .map(|entry| (&entry.range, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(map: &RangeMap<char>, address: u64) -> String {
        map.containing(address).map(|(_, value)| *value).collect()
    }

    #[test]
    fn the_innermost_range_comes_first() {
        let map = RangeMap::new([(0..100, 'a'), (10..20, 'b'), (10..50, 'c'), (60..61, 'd')]);
        assert_eq!(values(&map, 5), "a");
        assert_eq!(values(&map, 10), "bca");
        assert_eq!(values(&map, 30), "ca");
        assert_eq!(values(&map, 60), "da");
        assert_eq!(values(&map, 61), "a");
        assert_eq!(values(&map, 100), "");
    }

    #[test]
    fn backward_ranges_hold_nothing() {
        #[expect(clippy::reversed_empty_ranges, reason = "hostile input")]
        let map = RangeMap::new([(20..10, 'a'), (15..15, 'b')]);
        assert_eq!(values(&map, 15), "");
        assert_eq!(map.iter().count(), 0);
    }

    #[test]
    fn overlapping_ranges_include_those_that_start_before() {
        let map = RangeMap::new([(0..10, 'a'), (0..100, 'b'), (40..50, 'c'), (70..80, 'd')]);
        let found: String = map.overlapping(45..60).map(|(_, value)| *value).collect();
        assert_eq!(found, "bc");
    }
}
