//! Offsets of kernel structure members, from the running kernel's type information.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. Only structs, unions and what leads to them
//! are looked at; everything is bounds-checked.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// Where the kernel shows its own types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_DATASEC: u32 = 15;

/// Why an offset is not known.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The kernel shows no types.
    #[error("{VMLINUX} can't be read: the kernel is built without CONFIG_DEBUG_INFO_BTF")]
    Unreadable(#[source] std::io::Error),
    /// They are malformed.
    #[error("{VMLINUX} is malformed")]
    Malformed,
    /// A member is not there.
    #[error("the kernel has no {0}")]
    NoMember(&'static str),
}

/// The types of the running kernel: some hundred thousand, so only where each is.
#[derive(Debug)]
pub struct KernelTypes {
    bytes: Vec<u8>,
    strings: Range<usize>,
    /// By type id, less 1: id 0 is void.
    offsets: Vec<usize>,
}

/// The fixed part of a type.
#[derive(Clone, Copy, Debug)]
struct Type {
    /// Where it is.
    at: usize,
    name: u32,
    kind: u32,
    /// Members and the like behind it.
    count: usize,
    /// For qualifiers and typedefs.
    target: u32,
    /// The offsets of its members leave room for the size of a bit field.
    has_bit_fields: bool,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    name: u32,
    type_id: u32,
    bit_offset: u32,
}

impl KernelTypes {
    /// Reads the running kernel's types.
    ///
    /// # Errors
    ///
    /// When the kernel shows none, or malformed ones.
    pub fn load() -> Result<Self, BtfError> {
        let bytes = fs::read(Path::new(VMLINUX)).map_err(BtfError::Unreadable)?;
        Self::parse(bytes).ok_or(BtfError::Malformed)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        if bytes.get(..2)? != [0x9f, 0xeb] {
            return None;
        }
        let header = word(&bytes, 4)? as usize;
        let part = |offset, length| {
            let start = header.checked_add(word(&bytes, offset)? as usize)?;
            let end = start.checked_add(word(&bytes, length)? as usize)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let (types, strings) = (part(8, 12)?, part(16, 20)?);
        let mut offsets = Vec::new();
        let mut at = types.start;
        while at < types.end {
            offsets.push(at);
            at = Type::read(&bytes, at)?.end()?;
        }
        (at == types.end).then_some(Self { bytes, strings, offsets })
    }

    fn get(&self, type_id: u32) -> Option<Type> {
        let index = (type_id as usize).checked_sub(1)?;
        Type::read(&self.bytes, *self.offsets.get(index)?)
    }

    /// Byte offset of a member of a struct, anonymous structs and unions looked through.
    /// `path` is like `task_struct.thread.fsbase`.
    ///
    /// # Errors
    ///
    /// When the struct or the member is not there.
    pub fn offset_of(&self, path: &'static str) -> Result<u32, BtfError> {
        self.find(path).ok_or(BtfError::NoMember(path))
    }

    fn find(&self, path: &str) -> Option<u32> {
        let mut names = path.split('.');
        let root = names.next()?;
        let is_root = |t: &Type| t.kind == KIND_STRUCT && t.count > 0 && self.name_is(t.name, root);
        let all = self.offsets.iter().filter_map(|at| Type::read(&self.bytes, *at));
        let mut current = all.into_iter().find(is_root)?;
        let mut bits = 0;
        for name in names {
            let (offset, type_id) = self.member(current, name, 0)?;
            bits += offset;
            current = self.strip(type_id)?;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    fn member(&self, of: Type, name: &str, depth: u32) -> Option<(u32, u32)> {
        for index in 0..of.count {
            let member = of.member(&self.bytes, index)?;
            if member.name != 0 {
                if self.name_is(member.name, name) {
                    return Some((member.bit_offset, member.type_id));
                }
            } else if depth < 16 {
                let inner = self.strip(member.type_id)?;
                if let Some((offset, type_id)) = self.member(inner, name, depth + 1) {
                    return Some((member.bit_offset + offset, type_id));
                }
            }
        }
        None
    }

    /// The type behind qualifiers and typedefs.
    fn strip(&self, type_id: u32) -> Option<Type> {
        let mut current = self.get(type_id)?;
        for _ in 0..32 {
            if !matches!(current.kind, 8..=11 | 18) {
                return Some(current);
            }
            current = self.get(current.target)?;
        }
        None
    }

    fn name_is(&self, at: u32, name: &str) -> bool {
        self.bytes
            .get(self.strings.clone())
            .and_then(|strings| strings.get(at as usize..))
            .and_then(|s| s.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

impl Type {
    /// The type at a place.
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let info = word(bytes, at.checked_add(4)?)?;
        Some(Self {
            at,
            name: word(bytes, at)?,
            kind: (info >> 24) & 0x1f,
            count: (info & 0xffff) as usize,
            target: word(bytes, at.checked_add(8)?)?,
            has_bit_fields: info >> 31 != 0,
        })
    }

    /// Where the next one is.
    fn end(&self) -> Option<usize> {
        let extra = match self.kind {
            KIND_STRUCT | KIND_UNION => self.count * 12,
            1 | 14 | 17 => 4, // INT, VAR, DECL_TAG
            KIND_ARRAY => 12,
            KIND_ENUM | KIND_FUNC_PROTO => self.count * 8,
            KIND_DATASEC | 19 => self.count * 12, // and ENUM64
            _ => 0,
        };
        self.at.checked_add(12 + extra)
    }

    /// A member of a struct or union; `None` for what has none.
    fn member(&self, bytes: &[u8], index: usize) -> Option<Member> {
        if !matches!(self.kind, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        let at = self.at.checked_add(12 + index * 12)?;
        let offset = word(bytes, at.checked_add(8)?)?;
        Some(Member {
            name: word(bytes, at)?,
            type_id: word(bytes, at.checked_add(4)?)?,
            bit_offset: if self.has_bit_fields { offset & 0xff_ffff } else { offset },
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_the_members_that_the_program_reads() {
        let types = KernelTypes::load().unwrap();
        let leader = types.offset_of("task_struct.group_leader").unwrap();
        let start = types.offset_of("task_struct.start_boottime").unwrap();
        let fs = types.offset_of("task_struct.thread.fsbase").unwrap();
        assert!(leader > 0 && start > 0 && fs > leader);
        assert!(leader.is_multiple_of(8) && start.is_multiple_of(8) && fs.is_multiple_of(8));
        assert!(types.offset_of("task_struct.no_such_member").is_err());
    }

    #[test]
    fn cut_types_are_refused() {
        let bytes = fs::read(VMLINUX).unwrap();
        for length in [0, 1, 8, 23, 24, 1000, bytes.len() / 2] {
            assert!(KernelTypes::parse(bytes[..length].to_vec()).is_none(), "{length} bytes");
        }
    }
}
