//! The memory inside a record: what was copied, and for the rest the reason why it is not there.

use crate::model::reason::{Reason, ReasonCode};
use crate::model::record::{Absence, Item, Record};
use std::collections::HashMap;
use std::ops::Range;
use tracer_common::status::{Status, flags};
use tracer_common::wire::{ItemKind, RSP};

/// How far above the stack pointer an address still counts as the same stack: the usual limit of a
/// stack's size (`ulimit -s`).
const STACK_SPAN_BYTES: u64 = 8 * 1024 * 1024;

/// The memory of one hit. All its items are of the same instant, so they are one image.
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
struct Segment {
    address: u64,
    bytes: Vec<u8>,
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
        let gaps = record.items.iter().filter_map(|item| gap(item, stack_span_end)).collect();
        let segments = merge(&record.items);
        Self { segments, gaps, texts, stack, stack_span_end, sp, flags: record.flags }
    }

    /// The bytes that are there from `address` on, without a hole; empty if there are none.
    pub(super) fn available(&self, address: u64) -> &[u8] {
        let behind = self.segments.partition_point(|segment| segment.address <= address);
        let Some(segment) = behind.checked_sub(1).and_then(|index| self.segments.get(index)) else {
            return &[];
        };
        usize::try_from(address.saturating_sub(segment.address))
            .ok()
            .and_then(|offset| segment.bytes.get(offset..))
            .unwrap_or(&[])
    }

    /// Whether any byte of the range is there.
    pub(super) fn any(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length);
        let behind = self.segments.partition_point(|segment| segment.address < end);
        behind.checked_sub(1).and_then(|index| self.segments.get(index)).is_some_and(|segment| {
            segment.address.saturating_add(segment.bytes.len() as u64) > address
        })
    }

    /// Exactly `length` bytes at an address that is computed for the stack.
    ///
    /// # Errors
    ///
    /// Why the first byte that is missing is missing.
    pub(super) fn read_stack(&self, address: u64, length: usize) -> Result<&[u8], Reason> {
        let bytes = self.available(address);
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

/// What an item was to cover and does not.
fn gap(item: &Item, stack_span_end: u64) -> Option<Gap> {
    let start = copied_end(item);
    let mut end = item.address.0.saturating_add(item.want).max(start.saturating_add(1));
    let code = match item.status {
        Status::Fault => match item.absent {
            Some(Absence::NotResident) => ReasonCode::NotResident,
            Some(Absence::NoAccess) => ReasonCode::NoAccess,
            Some(Absence::Unmapped) => ReasonCode::Unmapped,
            None => ReasonCode::Unreadable,
        },
        Status::LimitBytes if item.kind != ItemKind::Stack => ReasonCode::LimitBytes,
        _ => return None,
    };
    if item.kind == ItemKind::Text {
        // What was asked for is only the most that a string may have: this byte is missing.
        end = start.saturating_add(1);
    } else if item.kind == ItemKind::Stack {
        // More stack was there to be asked for: what stopped the copy stops it for all of it.
        end = end.max(stack_span_end);
    }
    Some(Gap { range: start..end, code })
}

/// The bytes of all items; where they overlap the one that starts first is taken.
fn merge(items: &[Item]) -> Vec<Segment> {
    let mut sorted: Vec<&Item> = items.iter().filter(|item| !item.bytes.is_empty()).collect();
    sorted.sort_by_key(|item| item.address.0);
    let mut segments: Vec<Segment> = Vec::new();
    for item in sorted {
        if let Some(last) = segments.last_mut() {
            let end = last.address.saturating_add(last.bytes.len() as u64);
            if item.address.0 <= end {
                let known =
                    usize::try_from(end.saturating_sub(item.address.0)).unwrap_or(usize::MAX);
                last.bytes.extend_from_slice(item.bytes.get(known..).unwrap_or(&[]));
                continue;
            }
        }
        segments.push(Segment { address: item.address.0, bytes: item.bytes.clone() });
    }
    segments
}
