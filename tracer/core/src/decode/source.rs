//! Where the bytes of one value come from: the image, registers, constants, or several of them.

use super::image::Image;
use crate::model::capture::Provenance;
use crate::model::reason::{Reason, ReasonCode};
use std::borrow::Cow;

/// Bytes of a pointer.
const POINTER_BYTES: u64 = 8;

/// Where the bytes of a value are.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Source {
    /// In the target's memory.
    Memory {
        /// Of the first byte.
        address: u64,
        /// Debug info says that this is on the stack.
        stack: bool,
    },
    /// In no memory: these are the bytes, from the least significant one.
    Bytes(Vec<u8>),
    /// The same, computed from what the caller passed when the function was entered.
    Passed(Vec<u8>),
    /// A pointer, which is not kept itself, `offset` bytes into what is kept.
    Points {
        /// What it points into.
        to: Box<Self>,
        /// Bytes.
        offset: i64,
    },
    /// One behind another.
    Pieces(Vec<Piece>),
    /// Nowhere.
    Missing(Reason),
}

/// A part of a value.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Piece {
    /// Offset in the value.
    pub(super) start: u64,
    /// Bytes.
    pub(super) size: u64,
    /// Where it is; never [`Source::Pieces`].
    pub(super) source: Source,
}

impl Source {
    /// Bytes from `offset` on up to `length`, without a hole, and why there are not more.
    pub(super) fn prefix<'s>(
        &'s self,
        image: &'s Image<'_>,
        offset: u64,
        length: usize,
    ) -> (Cow<'s, [u8]>, Option<Reason>) {
        let bytes = match self {
            Self::Memory { address, stack } => {
                let Some(address) = address.checked_add(offset) else {
                    return (Cow::Borrowed(&[]), Some(ReasonCode::Unmapped.into()));
                };
                let bytes = image.available(address);
                if let Some(bytes) = bytes.get(..length) {
                    return (Cow::Borrowed(bytes), None);
                }
                let end = address.saturating_add(bytes.len() as u64);
                let why = if *stack { image.missing_stack(end) } else { image.missing(end) };
                return (Cow::Borrowed(bytes), Some(why));
            }
            Self::Bytes(bytes) | Self::Passed(bytes) => {
                usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[])
            }
            Self::Pieces(pieces) => return prefix_of_pieces(pieces, image, offset, length),
            Self::Points { .. } => return (Cow::Borrowed(&[]), Some(no_address())),
            Self::Missing(reason) => return (Cow::Borrowed(&[]), Some(reason.clone())),
        };
        match bytes.get(..length) {
            Some(bytes) => (Cow::Borrowed(bytes), None),
            None => (Cow::Borrowed(bytes), Some(too_small())),
        }
    }

    /// Exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// Why the first byte that is missing is missing.
    pub(super) fn read<'s>(
        &'s self,
        image: &'s Image<'_>,
        offset: u64,
        length: usize,
    ) -> Result<Cow<'s, [u8]>, Reason> {
        match self.prefix(image, offset, length) {
            (bytes, None) => Ok(bytes),
            (_, Some(reason)) => Err(reason),
        }
    }

    /// Whether any byte of the range is there.
    pub(super) fn any(&self, image: &Image<'_>, offset: u64, length: u64) -> bool {
        match self {
            Self::Memory { address, .. } => {
                address.checked_add(offset).is_some_and(|address| image.any(address, length))
            }
            Self::Bytes(bytes) | Self::Passed(bytes) => length > 0 && offset < bytes.len() as u64,
            Self::Pieces(pieces) => pieces.iter().any(|piece| {
                let end = offset.saturating_add(length).min(piece.start.saturating_add(piece.size));
                let start = offset.max(piece.start);
                start < end && piece.source.any(image, start - piece.start, end - start)
            }),
            Self::Points { .. } => length > 0 && offset < POINTER_BYTES,
            Self::Missing(_) => false,
        }
    }

    /// Where the bytes of a range, as far as they are there, came from.
    pub(super) fn provenance(&self, image: &Image<'_>, offset: u64, length: u64) -> Provenance {
        match self {
            Self::Memory { address, .. } => {
                image.provenance(address.saturating_add(offset), length)
            }
            Self::Pieces(pieces) => {
                let of = |piece: &Piece| {
                    let end =
                        piece.start.saturating_add(piece.size).min(offset.saturating_add(length));
                    let start = offset.max(piece.start);
                    let length = end.checked_sub(start).filter(|length| *length > 0)?;
                    Some(piece.source.provenance(image, start - piece.start, length))
                };
                pieces.iter().filter_map(of).max().unwrap_or(Provenance::Live)
            }
            Self::Passed(_) => Provenance::EntryValue,
            Self::Bytes(_) | Self::Points { .. } | Self::Missing(_) => Provenance::Live,
        }
    }

    /// Why the byte at `offset`, which is not there, is missing.
    pub(super) fn missing(&self, image: &Image<'_>, offset: u64) -> Reason {
        self.prefix(image, offset, 1).1.unwrap_or_else(|| ReasonCode::NotCaptured.into())
    }

    /// What the pointer at `offset` points into, and how far, where it is one that is not kept.
    pub(super) fn pointed(&self, offset: u64) -> Option<(&Self, i64)> {
        match self {
            Self::Points { to, offset: into } if offset == 0 => Some((to.as_ref(), *into)),
            Self::Pieces(pieces) => {
                let piece = pieces.iter().find(|piece| piece.start == offset)?;
                piece.source.pointed(0)
            }
            _ => None,
        }
    }

    /// The address of the byte at `offset`, if it is in memory.
    pub(super) fn address(&self, offset: u64) -> Option<u64> {
        match self {
            Self::Memory { address, .. } => address.checked_add(offset),
            _ => None,
        }
    }
}

/// A pointer was asked for as a number.
fn no_address() -> Reason {
    let detail = "the compiler kept what it points to, not the address";
    Reason::new(ReasonCode::OptimizedOut, detail)
}

/// The type is larger than what its location gives.
fn too_small() -> Reason {
    Reason::new(ReasonCode::UnsupportedLocation, "its location holds fewer bytes than its type")
}

fn prefix_of_pieces<'s>(
    pieces: &'s [Piece],
    image: &'s Image<'_>,
    offset: u64,
    length: usize,
) -> (Cow<'s, [u8]>, Option<Reason>) {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let at = offset.saturating_add(bytes.len() as u64);
        let inside = |piece: &&Piece| at >= piece.start && at - piece.start < piece.size;
        let Some(piece) = pieces.iter().find(inside) else {
            return (Cow::Owned(bytes), Some(too_small()));
        };
        let inner = at - piece.start;
        let left = usize::try_from(piece.size - inner).unwrap_or(usize::MAX);
        let (part, why) = piece.source.prefix(image, inner, left.min(length - bytes.len()));
        bytes.extend_from_slice(&part);
        if why.is_some() {
            return (Cow::Owned(bytes), why);
        }
    }
    (Cow::Owned(bytes), None)
}
