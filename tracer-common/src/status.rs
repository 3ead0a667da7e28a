//! What became of each object that a plan asked for, and which limits a hit met.

/// How an item of a record ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// All bytes are there.
    Read = 0,
    /// The read failed behind the bytes that are there (possibly none of them): the page is not
    /// mapped or not resident.
    Fault = 1,
    /// Cut by the byte limit.
    LimitBytes = 2,
    /// Cut by the string limit; the item's `want` is the real length.
    LimitText = 3,
    /// Cut by the string limit; the string is longer than the item's `want`.
    LimitTextAtLeast = 4,
}

impl Status {
    /// The status with this number.
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Read,
            1 => Self::Fault,
            2 => Self::LimitBytes,
            3 => Self::LimitText,
            4 => Self::LimitTextAtLeast,
            _ => return None,
        })
    }
}

/// Limits that a hit met, as bits of [`crate::wire::RecordHeader::flags`].
pub mod flags {
    /// The byte limit: later objects are missing.
    pub const LIMIT_BYTES: u16 = 1;
    /// The limit of objects.
    pub const LIMIT_NODES: u16 = 1 << 1;
    /// Pointers at the depth limit were not followed.
    pub const LIMIT_DEPTH: u16 = 1 << 2;
    /// The limit of interpreter steps.
    pub const LIMIT_STEPS: u16 = 1 << 3;
    /// A root's expression read memory that was not there.
    pub const ROOT_FAULT: u16 = 1 << 4;
}
