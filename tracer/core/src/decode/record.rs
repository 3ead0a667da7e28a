//! The bytes of one hit → [`Record`]: checked here once, so that nothing behind trusts raw bytes.

use crate::model::address::Avma;
use crate::model::record::{Item, Record};
use tracer_common::status::Status;
use tracer_common::wire::{ItemHeader, ItemKind, MAGIC, RecordHeader, VERSION};
use zerocopy::FromBytes;

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Shorter than a header.
    #[error("{bytes} bytes are too few for a record's header")]
    Short {
        /// Bytes received.
        bytes: usize,
    },
    /// Something else than a record.
    #[error("the first four bytes are {found:#010x} and not a record's")]
    Magic {
        /// What is there instead.
        found: u32,
    },
    /// Made by another version of the kernel program.
    #[error("the record's version is {found}, not {VERSION}")]
    Version {
        /// The version stated.
        found: u16,
    },
    /// The stated size is not that of the bytes.
    #[error("the record states {stated} bytes but has {bytes}")]
    Size {
        /// Bytes stated.
        stated: u32,
        /// Bytes received.
        bytes: usize,
    },
    /// An item's head or bytes reach beyond the record.
    #[error("item {index} reaches beyond the record")]
    ItemBounds {
        /// Number of the item, from 0.
        index: u32,
    },
    /// An item's bytes reach beyond the address space.
    #[error("item {index} reaches beyond the address space")]
    ItemAddress {
        /// Number of the item, from 0.
        index: u32,
    },
    /// A status that this version does not know.
    #[error("item {index} has the unknown status {found}")]
    ItemStatus {
        /// Number of the item, from 0.
        index: u32,
        /// The status stated.
        found: u8,
    },
    /// A kind that this version does not know.
    #[error("item {index} is of the unknown kind {found}")]
    ItemKind {
        /// Number of the item, from 0.
        index: u32,
        /// The kind stated.
        found: u8,
    },
    /// Bytes behind the last item.
    #[error("{bytes} bytes follow the last item")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// Reads a record as [`tracer_common::wire`] describes it.
///
/// # Errors
///
/// What is wrong with the bytes; no part of a malformed record is used.
pub fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
    let Ok((header, mut rest)) = RecordHeader::read_from_prefix(bytes) else {
        return Err(RecordError::Short { bytes: bytes.len() });
    };
    if header.magic != MAGIC {
        return Err(RecordError::Magic { found: header.magic });
    }
    if header.version != VERSION {
        return Err(RecordError::Version { found: header.version });
    }
    if usize::try_from(header.size) != Ok(bytes.len()) {
        return Err(RecordError::Size { stated: header.size, bytes: bytes.len() });
    }
    // Not reserved by the stated number of items: that is not proven yet.
    let mut items = Vec::new();
    for index in 0..header.items {
        let (item, behind) = parse_item(index, rest)?;
        items.push(item);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(RecordError::Trailing { bytes: rest.len() });
    }
    Ok(Record {
        site: header.site,
        hit: header.hit,
        time_boot_ns: header.time_boot_ns,
        start_boot_ns: header.start_boot_ns,
        pid: header.pid,
        tid: header.tid,
        cpu: header.cpu,
        comm: header.comm.iter().copied().take_while(|&byte| byte != 0).collect(),
        registers: header.registers,
        flags: header.flags,
        items,
        late: Vec::new(),
    })
}

/// The item at the start of `bytes`, and what is behind it and its padding.
fn parse_item(index: u32, bytes: &[u8]) -> Result<(Item, &[u8]), RecordError> {
    let bounds = RecordError::ItemBounds { index };
    let (header, rest) = ItemHeader::read_from_prefix(bytes).map_err(|_short| bounds)?;
    let status = Status::from_u8(header.status)
        .ok_or(RecordError::ItemStatus { index, found: header.status })?;
    let kind = ItemKind::from_u8(header.kind)
        .ok_or(RecordError::ItemKind { index, found: header.kind })?;
    if header.address.checked_add(u64::from(header.copied)).is_none() {
        return Err(RecordError::ItemAddress { index });
    }
    let copied = usize::try_from(header.copied).map_err(|_large| bounds)?;
    let padded = copied.checked_next_multiple_of(8).ok_or(bounds)?;
    let (body, behind) = rest.split_at_checked(padded).ok_or(bounds)?;
    let item = Item {
        address: Avma(header.address),
        want: header.want,
        bytes: body.get(..copied).ok_or(bounds)?.to_vec(),
        status,
        absent: None,
        kind,
        layout: header.layout,
        depth: header.depth,
    };
    Ok((item, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use tracer_common::wire::{ITEM_HEADER, RECORD_HEADER, REGISTERS};
    use zerocopy::IntoBytes;

    fn item(address: u64, status: u8, kind: u8, body: &[u8]) -> Vec<u8> {
        let header = ItemHeader {
            address,
            want: body.len() as u64,
            copied: body.len() as u32,
            layout: 0,
            status,
            depth: 2,
            kind,
            reserved: [0; 5],
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn record(items: &[Vec<u8>]) -> Vec<u8> {
        let body: Vec<u8> = items.concat();
        let header = RecordHeader {
            magic: MAGIC,
            version: VERSION,
            flags: 3,
            size: RECORD_HEADER + body.len() as u32,
            site: 7,
            hit: 8,
            time_boot_ns: 9,
            start_boot_ns: 10,
            pid: 11,
            tid: 12,
            cpu: 13,
            items: items.len() as u32,
            comm: *b"worker\0\0junk\0\0\0\0",
            registers: [5; REGISTERS],
        };
        [header.as_bytes(), &body].concat()
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let bytes = record(&[item(0x1000, 0, 0, b"stack bytes"), item(0x2000, 1, 2, b"")]);
        let parsed = parse(&bytes).unwrap();
        assert_eq!((parsed.site, parsed.hit, parsed.flags), (7, 8, 3));
        assert_eq!((parsed.pid, parsed.tid, parsed.cpu), (11, 12, 13));
        assert_eq!(parsed.comm, b"worker");
        assert_eq!(parsed.items.len(), 2);
        assert_eq!(parsed.items[0].bytes, b"stack bytes");
        assert_eq!(parsed.items[0].kind, ItemKind::Stack);
        assert_eq!(parsed.items[0].depth, 2);
        assert_eq!(parsed.items[1].status, Status::Fault);
        assert_eq!(parsed.items[1].kind, ItemKind::Text);
    }

    #[test]
    fn every_malformed_part_is_named() {
        let good = record(&[item(0x1000, 0, 0, b"12345678")]);
        let head = RECORD_HEADER as usize;
        let changed = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            parse(&bytes).unwrap_err()
        };
        assert_eq!(parse(&good[..head - 1]).unwrap_err(), RecordError::Short { bytes: head - 1 });
        assert!(matches!(changed(0, 0), RecordError::Magic { .. }));
        assert_eq!(changed(4, 9), RecordError::Version { found: 9 });
        assert!(matches!(changed(8, 1), RecordError::Size { .. }));
        assert_eq!(changed(head + 24, 200), RecordError::ItemStatus { index: 0, found: 200 });
        assert_eq!(changed(head + 26, 200), RecordError::ItemKind { index: 0, found: 200 });
        assert_eq!(changed(head + 16, 9), RecordError::ItemBounds { index: 0 });
        let items_at = 52;
        assert_eq!(changed(items_at, 2), RecordError::ItemBounds { index: 1 });
        let trailing = ITEM_HEADER as usize + 8;
        assert_eq!(changed(items_at, 0), RecordError::Trailing { bytes: trailing });
        let beyond = record(&[item(u64::MAX - 3, 0, 1, b"12345678")]);
        assert_eq!(parse(&beyond).unwrap_err(), RecordError::ItemAddress { index: 0 });
    }

    /// HOST-1
    #[test]
    fn random_and_mutated_bytes_never_panic() {
        let mut random = Random::new(1);
        let good = record(&[item(0x1000, 0, 0, &[1; 40]), item(0x2000, 3, 2, b"text")]);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next() as u8;
            }
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            if let Ok(parsed) = parse(&bytes) {
                let total: usize = parsed.items.iter().map(|item| item.bytes.len()).sum();
                assert!(total <= bytes.len());
            }
        }
    }
}
