//! Lists of ranges, entry by entry.
//!
//! The parser passes over entries that mean nothing by itself, millions of them at once, so whoever
//! reads a list that others made counts them here.

use super::dwarf::Reader;
use gimli::{Range, RngListIter};

/// The next range. `step` is called for each entry before it, and for its own.
///
/// # Errors
///
/// When the list is malformed, and what `step` returns.
pub fn next_range<E: From<gimli::Error>>(
    list: &mut RngListIter<Reader<'_>>,
    mut step: impl FnMut() -> Result<(), E>,
) -> Result<Option<Range>, E> {
    while let Some(raw) = list.next_raw()? {
        step()?;
        if let Some(range) = list.convert_raw(raw)? {
            return Ok(Some(range));
        }
    }
    Ok(None)
}
