//! The memory inside a record: what was copied, what was found after the hit, and for the rest the
//! reason why it is not there.

mod merge;

use self::merge::{Segment, merge};
use crate::model::capture::Provenance;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::record::{Absence, Item, Record};
use std::collections::HashMap;
use std::ops::Range;
use tracer_common::status::{Status, flags};
use tracer_common::wire::{ItemKind, RSP};

/// How far above the stack pointer an address still counts as the same stack: the usual limit of a
/// stack's size (`ulimit -s`).
const STACK_SPAN_BYTES: u64 = 8 * 1024 * 1024;

/// The memory of one hit. All its items are of the same instant, so they are one image; what was
/// found after the hit fills its holes and is known as such.
#[derive(Debug)]
pub(super) struct Image<'a> {
    /// Disjoint, not touching, in address order.
    segments: Vec<Segment>,
    /// Ranges that were asked for and are not there.
    gaps: Vec<Gap>,
    texts: HashMap<u64, &'a Item>,
    /// The copied part of the stack; pages in it that were not in memory are gaps.
    stack: Range<u64>,
    /// Where stack addresses end, as far as can be told.
    stack_span_end: u64,
    sp: u64,
    flags: u16,
}

#[derive(Debug)]
struct Gap {
    range: Range<u64>,
    code: ReasonCode,
}

impl<'a> Image<'a> {
    /// The image of a record.
    pub(super) fn new(record: &'a Record) -> Self {
        let sp = record.registers.get(RSP).copied().unwrap_or(0);
        let stack_span_end = sp.saturating_add(STACK_SPAN_BYTES);
        let mut stack = record.items.iter().filter(|item| item.kind == ItemKind::Stack).peekable();
        let start = stack.peek().map_or(sp, |item| item.address.0);
        let stack = start..stack.map(copied_end).max().unwrap_or(start);
        let mut texts = HashMap::new();
        for item in record.items.iter().filter(|item| item.kind == ItemKind::Text) {
            // The same text may come twice; the one with more bytes says more.
            let known = texts.entry(item.address.0).or_insert(item);
            if known.bytes.len() < item.bytes.len() {
                *known = item;
            }
        }
        let segments = merge(&record.items, &record.late);
        let gap = |item| gap(item, &segments, stack_span_end);
        let gaps = record.items.iter().filter_map(gap).collect();
        Self { segments, gaps, texts, stack, stack_span_end, sp, flags: record.flags }
    }

    /// The bytes that are there from `address` on, without a hole; empty if there are none.
    pub(super) fn available(&self, address: u64) -> &[u8] {
        available(&self.segments, address)
    }

    /// As [`Self::available`], up to the first byte that was not copied at the hit.
    fn live(&self, address: u64) -> &[u8] {
        let bytes = self.available(address);
        let end = address.saturating_add(bytes.len() as u64);
        let late = segment_at(&self.segments, address).and_then(|s| s.first_late(address, end));
        let length = late.map_or(bytes.len(), |late| late.saturating_sub(address) as usize);
        bytes.get(..length).unwrap_or(bytes)
    }

    /// Where the bytes of a range, as far as they are there, came from.
    pub(super) fn provenance(&self, address: u64, length: u64) -> Provenance {
        let end = address.saturating_add(length);
        let first = self.segments.partition_point(|segment| segment.end() <= address);
        let here = self.segments.iter().skip(first).take_while(|s| s.address < end);
        here.filter_map(|s| s.weakest(address, end)).max().unwrap_or(Provenance::Live)
    }

    /// Whether any byte of the range is there.
    pub(super) fn any(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length);
        let behind = self.segments.partition_point(|segment| segment.address < end);
        let last = behind.checked_sub(1).and_then(|index| self.segments.get(index));
        last.is_some_and(|segment| segment.end() > address)
    }

    /// Exactly `length` bytes at an address that is computed for the stack, copied at the hit: the
    /// stack is another one soon after it, and nothing is worked out from what was found there.
    ///
    /// # Errors
    ///
    /// Why the first byte that is missing is missing.
    pub(super) fn read_stack(&self, address: u64, length: usize) -> Result<&[u8], Reason> {
        let bytes = self.live(address);
        bytes
            .get(..length)
            .ok_or_else(|| self.missing_stack(address.wrapping_add(bytes.len() as u64)))
    }

    /// Eight bytes of the stack as a number.
    ///
    /// # Errors
    ///
    /// As [`Self::read_stack`].
    pub(super) fn word(&self, address: u64) -> Result<u64, Reason> {
        let bytes = self.read_stack(address, 8)?;
        Ok(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
    }

    /// The text that the kernel copied from `address`.
    pub(super) fn text(&self, address: u64) -> Option<&'a Item> {
        self.texts.get(&address).copied()
    }

    /// The copied part of the stack.
    pub(super) fn stack(&self) -> Range<u64> {
        self.stack.clone()
    }

    /// Why the byte at `address`, which is not there, is missing.
    pub(super) fn missing(&self, address: u64) -> Reason {
        let mut code = ReasonCode::NotCaptured;
        for (flag, limit) in [
            (flags::LIMIT_STEPS, ReasonCode::LimitSteps),
            (flags::LIMIT_NODES, ReasonCode::LimitNodes),
            (flags::LIMIT_BYTES, ReasonCode::LimitBytes),
        ] {
            if self.flags & flag != 0 {
                code = limit;
            }
        }
        self.gap_at(address).unwrap_or_else(|| code.into())
    }

    /// As [`Self::missing`], for an address that is known to be of the stack.
    pub(super) fn missing_stack(&self, address: u64) -> Reason {
        if let Some(reason) = self.gap_at(address) {
            return reason;
        }
        if address >= self.stack.end && (self.sp..self.stack_span_end).contains(&address) {
            return ReasonCode::StackCut.into();
        }
        self.missing(address)
    }

    /// The reason of the item that was to cover `address`; a fault says more than a limit.
    fn gap_at(&self, address: u64) -> Option<Reason> {
        let here = || self.gaps.iter().filter(|gap| gap.range.contains(&address));
        let gap =
            here().find(|gap| gap.code != ReasonCode::LimitBytes).or_else(|| here().next())?;
        Some(match gap.code {
            ReasonCode::LimitBytes => gap.code.into(),
            // The read stopped there; what lies behind was not tried.
            code => Reason::new(code, format!("{:#x}", gap.range.start)),
        })
    }
}

fn copied_end(item: &Item) -> u64 {
    item.address.0.saturating_add(item.bytes.len() as u64)
}

/// The last segment that starts at `address` or in front of it.
fn segment_at(segments: &[Segment], address: u64) -> Option<&Segment> {
    let behind = segments.partition_point(|segment| segment.address <= address);
    behind.checked_sub(1).and_then(|index| segments.get(index))
}

fn available(segments: &[Segment], address: u64) -> &[u8] {
    let Some(segment) = segment_at(segments, address) else { return &[] };
    usize::try_from(address.saturating_sub(segment.address))
        .ok()
        .and_then(|offset| segment.bytes.get(offset..))
        .unwrap_or(&[])
}

/// What an item was to cover and does not.
fn gap(item: &Item, segments: &[Segment], stack_span_end: u64) -> Option<Gap> {
    let found = match item.status {
        Status::Fault => available(segments, copied_end(item)),
        _ => &[],
    };
    let start = copied_end(item).saturating_add(found.len() as u64);
    let mut end = item.address.0.saturating_add(item.want).max(start.saturating_add(1));
    let code = match item.status {
        Status::Fault => match item.absent {
            Some(Absence::NotResident) => ReasonCode::NotResident,
            Some(Absence::TooLate) => ReasonCode::TooLate,
            Some(Absence::LimitBytes) => ReasonCode::LimitBytes,
            Some(Absence::NoAccess) => ReasonCode::NoAccess,
            Some(Absence::Unmapped) => ReasonCode::Unmapped,
            None => ReasonCode::Unreadable,
        },
        Status::LimitBytes if item.kind != ItemKind::Stack => ReasonCode::LimitBytes,
        _ => return None,
    };
    if item.kind == ItemKind::Text {
        if found.contains(&0) {
            return None;
        }
        // What was asked for is only the most that a string may have: this byte is missing.
        end = start.saturating_add(1);
    } else if item.kind == ItemKind::Stack {
        // More stack was there to be asked for: what stopped the copy stops it for all of it.
        end = end.max(stack_span_end);
    } else if !found.is_empty() && start >= item.address.0.saturating_add(item.want) {
        return None;
    }
    Some(Gap { range: start..end, code })
}
