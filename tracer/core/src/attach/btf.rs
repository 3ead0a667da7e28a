//! Offsets of kernel structure members, from the running kernel's type information.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. Only structs, unions and what leads to them
//! are looked at; everything is bounds-checked.

use std::fs;
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

/// The types of the running kernel.
#[derive(Debug)]
pub struct KernelTypes {
    types: Vec<Type>,
    strings: Vec<u8>,
}

#[derive(Debug)]
struct Type {
    name: u32,
    kind: u32,
    /// For qualifiers and typedefs.
    target: u32,
    members: Vec<Member>,
}

#[derive(Debug)]
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
        Self::parse(&bytes).ok_or(BtfError::Malformed)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..2)? != [0x9f, 0xeb] {
            return None;
        }
        let header = word(bytes, 4)? as usize;
        let types_at = header.checked_add(word(bytes, 8)? as usize)?;
        let types = bytes.get(types_at..)?.get(..word(bytes, 12)? as usize)?;
        let strings_at = header.checked_add(word(bytes, 16)? as usize)?;
        let strings = bytes.get(strings_at..)?.get(..word(bytes, 20)? as usize)?.to_vec();
        // Id 0 is void.
        let mut all = vec![Type { name: 0, kind: 0, target: 0, members: Vec::new() }];
        let mut at = 0;
        while at < types.len() {
            let (read, size) = Type::parse(types.get(at..)?)?;
            all.push(read);
            at += size;
        }
        Some(Self { types: all, strings })
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
        let is_root = |t: &&Type| {
            t.kind == KIND_STRUCT && !t.members.is_empty() && self.name_is(t.name, root)
        };
        let mut current = self.types.iter().find(is_root)?;
        let mut bits = 0;
        for name in names {
            let (offset, type_id) = self.member(current, name, 0)?;
            bits += offset;
            current = self.strip(type_id)?;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    fn member(&self, of: &Type, name: &str, depth: u32) -> Option<(u32, u32)> {
        for member in &of.members {
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
    fn strip(&self, type_id: u32) -> Option<&Type> {
        let mut current = self.types.get(type_id as usize)?;
        for _ in 0..32 {
            if !matches!(current.kind, 8..=11 | 18) {
                return Some(current);
            }
            current = self.types.get(current.target as usize)?;
        }
        None
    }

    fn name_is(&self, at: u32, name: &str) -> bool {
        self.strings
            .get(at as usize..)
            .and_then(|s| s.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

impl Type {
    /// The type at the start of `bytes` and how long it is.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let info = word(bytes, 4)?;
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let bit_fields = info >> 31 != 0;
        let mut members = Vec::new();
        let extra = match kind {
            KIND_STRUCT | KIND_UNION => {
                for i in 0..count {
                    let at = 12 + i * 12;
                    let offset = word(bytes, at + 8)?;
                    let bit_offset = if bit_fields { offset & 0xff_ffff } else { offset };
                    members.push(Member {
                        name: word(bytes, at)?,
                        type_id: word(bytes, at + 4)?,
                        bit_offset,
                    });
                }
                count * 12
            }
            1 | 14 | 17 => 4, // INT, VAR, DECL_TAG
            KIND_ARRAY => 12,
            KIND_ENUM | KIND_FUNC_PROTO => count * 8,
            KIND_DATASEC | 19 => count * 12, // and ENUM64
            _ => 0,
        };
        let read = Self { name: word(bytes, 0)?, kind, target: word(bytes, 8)?, members };
        Some((read, 12 + extra))
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
            assert!(KernelTypes::parse(&bytes[..length]).is_none(), "{length} bytes");
        }
    }
}
