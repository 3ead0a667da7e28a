//! The ring buffer that a probe's records come through: each probe has its own, so that a flood
//! of one loses nothing of another.

use super::error::AttachError;
use super::sys;
use aya::maps::{Map, MapData, RingBuf};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The reading end of a ring.
pub struct Ring {
    records: RingBuf<MapData>,
    bytes: u32,
}

impl Ring {
    /// Creates a ring of `bytes`: a power of two, at least a page.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it, for want of memory for instance.
    pub fn create(bytes: u32) -> Result<Self, AttachError> {
        let refused = |e| AttachError::kernel("a ring buffer", e);
        Self::open(sys::create_ring(bytes).map_err(refused)?)
    }

    /// Opens the reading end of a ring that exists.
    ///
    /// # Errors
    ///
    /// It is no ring.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, AttachError> {
        let map = MapData::from_fd(fd).map_err(AttachError::object)?;
        let bytes = map.info().map_err(AttachError::object)?.max_entries();
        let records = RingBuf::try_from(Map::RingBuf(map)).map_err(AttachError::object)?;
        Ok(Self { records, bytes })
    }

    /// The map; it becomes readable when a record waits.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.records.as_fd()
    }

    /// The next record's bytes, without waiting.
    pub fn next_record(&mut self) -> Option<Vec<u8>> {
        self.take(<[u8]>::to_vec)
    }

    /// What `read` makes of the next record's bytes, without waiting.
    pub(super) fn take<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.records.next().map(|item| read(&item))
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
