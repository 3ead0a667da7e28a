//! The form of an index on disk: a header, then up to three tables, one behind the other.
//!
//! What is not whole, of another version or of other debug info is no index.

use super::open::MappedFile;
use std::ops::{Deref, Range};
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const MAGIC: [u8; 8] = *b"TRCRINDX";
/// Raised with each change of a table or of what is in it.
const VERSION: u32 = 3;
/// Tables start at multiples of this.
const ALIGNMENT: usize = 8;
/// The longest build-id that is looked for; SHA-256 has 32 bytes, the usual SHA-1 has 20.
pub(super) const BUILD_ID_MAX: usize = 32;

/// What an index is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Functions = 1,
    Sources = 2,
    Types = 3,
}

impl Kind {
    /// The end of the file's name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Sources => "sources",
            Self::Types => "types",
        }
    }
}

/// What tells debug info from others of the same build-id, which anybody can give to a file: the
/// very files that were read, as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Fingerprint {
    pub(super) build_id: [u8; BUILD_ID_MAX],
    /// The file with the debug info.
    pub(super) file: [u64; 5],
    /// The supplementary file; zeros where there is none.
    pub(super) supplementary: [u64; 5],
    /// Bytes of `.debug_info`.
    pub(super) bytes: u64,
    pub(super) reserved: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    kind: u32,
    fingerprint: Fingerprint,
    /// Bytes of each table, without what fills it up.
    tables: [u64; 3],
    /// CRC-32 of the header, with 0 here, and of all behind it.
    checksum: u64,
}

/// An index on disk.
#[derive(Debug)]
pub(super) struct IndexFile {
    file: MappedFile,
    tables: [Range<usize>; 3],
}

impl IndexFile {
    /// Checks a file; `None` where it is not whole or not of this debug info.
    pub(super) fn check(file: MappedFile, kind: Kind, fingerprint: &Fingerprint) -> Option<Self> {
        let bytes = file.bytes();
        let (header, body) = Header::read_from_prefix(bytes).ok()?;
        let is_ours = header.magic == MAGIC
            && header.version == VERSION
            && header.kind == kind as u32
            && header.fingerprint == *fingerprint;
        let mut start = size_of::<Header>();
        let mut tables = [0..0, 0..0, 0..0];
        for (table, length) in tables.iter_mut().zip(header.tables) {
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            *table = start..end;
            start = end.checked_next_multiple_of(ALIGNMENT)?;
        }
        let is_whole = start == bytes.len() && checksum(&header, &[body]) == header.checksum;
        (is_ours && is_whole).then_some(Self { file, tables })
    }

    /// A table; empty where there is no such one.
    pub(super) fn table(&self, number: usize) -> &[u8] {
        let range = self.tables.get(number).cloned().unwrap_or_default();
        self.file.bytes().get(range).unwrap_or_default()
    }
}

/// A table of an index, in memory or on disk.
#[derive(Debug)]
pub(super) enum Table<T> {
    Built(Vec<T>),
    OnDisk { file: Arc<IndexFile>, number: usize },
}

impl<T: FromBytes + Immutable + KnownLayout> Table<T> {
    /// A table of a file; `None` if it is not one of such entries.
    pub(super) fn on_disk(file: &Arc<IndexFile>, number: usize) -> Option<Self> {
        <[T]>::ref_from_bytes(file.table(number)).ok()?;
        Some(Self::OnDisk { file: Arc::clone(file), number })
    }

    /// Bytes that it takes beside a mapped file.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Built(entries) => entries.capacity() * size_of::<T>(),
            Self::OnDisk { .. } => 0,
        }
    }

    /// Gives back the pages that were touched.
    pub(super) fn release(&self) {
        if let Self::OnDisk { file, .. } = self {
            file.file.release();
        }
    }
}

impl<T: FromBytes + Immutable + KnownLayout> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Built(entries) => entries,
            Self::OnDisk { file, number } => {
                <[T]>::ref_from_bytes(file.table(*number)).unwrap_or_default()
            }
        }
    }
}

/// The bytes of an index: what stands in front of each table, then the table.
pub(super) fn encode(kind: Kind, fingerprint: &Fingerprint, tables: [&[u8]; 3]) -> Vec<u8> {
    let padding = |table: &[u8]| table.len().next_multiple_of(ALIGNMENT) - table.len();
    let mut header = Header {
        magic: MAGIC,
        version: VERSION,
        kind: kind as u32,
        fingerprint: *fingerprint,
        tables: tables.map(|table| table.len() as u64),
        checksum: 0,
    };
    let zeros = [0; ALIGNMENT];
    let padded = tables.map(|table| [table, zeros.get(..padding(table)).unwrap_or_default()]);
    header.checksum = checksum(&header, padded.as_flattened());
    let mut bytes = header.as_bytes().to_vec();
    bytes.reserve_exact(padded.as_flattened().iter().map(|part| part.len()).sum());
    padded.as_flattened().iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// What the header of an index says that it is of.
#[cfg(test)]
pub(super) fn fingerprint_of(bytes: &[u8]) -> Fingerprint {
    Header::read_from_prefix(bytes).unwrap().0.fingerprint
}

fn checksum(header: &Header, rest: &[&[u8]]) -> u64 {
    let mut crc = flate2::Crc::new();
    crc.update(Header { checksum: 0, ..*header }.as_bytes());
    rest.iter().for_each(|part| crc.update(part));
    u64::from(crc.sum())
}
