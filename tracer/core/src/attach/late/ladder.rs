//! What may be told of a page that was not in memory at the hit: the table of [`super`].

use crate::binary::module::Loading;
use crate::model::process::Mapping;

/// What the page table holds for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    /// Nothing: it was never touched, or it is the file's and was dropped.
    Nothing,
    /// The file's page, or one of shared memory.
    File,
    /// The same, which is moved right now and may be gone in a moment.
    FileMoving,
    /// A page of the process's own, in memory or in swap.
    Own,
    /// A page that may not be touched.
    Guard,
}

/// What kind of memory a mapping is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Anonymous and private.
    Anonymous,
    /// Of a file, private.
    Private,
    /// Of a file, or shared memory, which is a file of the kernel's own.
    Shared,
    /// The kernel's: `[vdso]` and the like.
    Kernel,
}

impl Kind {
    /// By the line of `/proc/PID/maps`.
    pub(super) fn of(mapping: &Mapping) -> Self {
        let path = mapping.path.as_os_str().as_encoded_bytes();
        let is_plain = [&b""[..], b"[heap]", b"[stack]"].contains(&path);
        match mapping.file.2 {
            0 if is_plain || path.starts_with(b"[anon:") => Self::Anonymous,
            0 => Self::Kernel,
            _ if mapping.shared => Self::Shared,
            _ => Self::Private,
        }
    }
}

/// Where bytes may come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rung {
    /// From the process; it was never touched.
    Zeros,
    /// From the process.
    Process,
    /// From the file: which of them, [`from_file`] tells.
    File,
    /// From nowhere.
    Nowhere,
}

/// The rung for a page.
pub(super) fn rung(kind: Kind, held: Held) -> Rung {
    match (kind, held) {
        (_, Held::Guard) => Rung::Nowhere,
        (Kind::Anonymous, Held::Nothing) => Rung::Zeros,
        (Kind::Anonymous | Kind::Private, Held::Own) => Rung::Process,
        // Shared memory is the file's, whatever the page table holds.
        (Kind::Shared, _) => Rung::File,
        (Kind::Private, Held::Nothing | Held::File | Held::FileMoving) => Rung::File,
        (Kind::Kernel, Held::Own | Held::File) => Rung::Process,
        (Kind::Kernel | Kind::Anonymous, _) => Rung::Nowhere,
    }
}

/// What a page of a file is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FromFile {
    /// The file's bytes are those of the hit, if the file has not changed since.
    Exact,
    /// The file's bytes are those of now.
    Now,
    /// The file's bytes are not the program's, the page in memory is.
    InProcess,
    /// They can't be had.
    Nowhere,
}

/// For a page that is the file's as the page table says. `loading` is what becomes of the file's
/// bytes there; a file that nobody loads is [`Loading::Fixed`].
pub(super) fn from_file(mapping: &Mapping, loading: Loading, held: Held) -> FromFile {
    match loading {
        _ if mapping.shared => FromFile::Now,
        Loading::Fixed if !mapping.write => FromFile::Exact,
        Loading::Fixed | Loading::Writable => FromFile::Now,
        Loading::Relocated if held == Held::File => FromFile::InProcess,
        Loading::Relocated => FromFile::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::{Avma, FileOffset};
    use std::path::PathBuf;

    fn mapping(permissions: &str, inode: u64, path: &str) -> Mapping {
        Mapping {
            range: Avma(0x1000)..Avma(0x2000),
            file_offset: FileOffset(0),
            read: true,
            write: permissions.contains('w'),
            execute: permissions.contains('x'),
            shared: permissions.contains('s'),
            file: (8, 1, inode),
            path: PathBuf::from(path),
        }
    }

    #[test]
    fn mappings_are_told_apart() {
        let kind = |permissions, inode, path| Kind::of(&mapping(permissions, inode, path));
        assert_eq!(kind("rwp", 0, ""), Kind::Anonymous);
        assert_eq!(kind("rwp", 0, "[heap]"), Kind::Anonymous);
        assert_eq!(kind("rwp", 0, "[anon:pool]"), Kind::Anonymous);
        assert_eq!(kind("rp", 0, "[vvar]"), Kind::Kernel);
        assert_eq!(kind("rp", 7, "/lib/x.so"), Kind::Private);
        assert_eq!(kind("rws", 7, "/dev/zero"), Kind::Shared);
    }

    /// LATE-1
    #[test]
    fn only_what_is_truly_the_files_is_read_from_it() {
        // A page of the process's own is its own, whatever file is below.
        assert_eq!(rung(Kind::Private, Held::Own), Rung::Process);
        assert_eq!(rung(Kind::Private, Held::Nothing), Rung::File);
        assert_eq!(rung(Kind::Anonymous, Held::Nothing), Rung::Zeros);
        // In swap.
        assert_eq!(rung(Kind::Anonymous, Held::Own), Rung::Process);
        assert_eq!(rung(Kind::Shared, Held::Nothing), Rung::File);
        assert_eq!(rung(Kind::Anonymous, Held::Guard), Rung::Nowhere);
        assert_eq!(rung(Kind::Kernel, Held::Nothing), Rung::Nowhere);

        let of = |permissions, loading, held| {
            from_file(&mapping(permissions, 7, "/lib/x.so"), loading, held)
        };
        assert_eq!(of("rp", Loading::Fixed, Held::Nothing), FromFile::Exact);
        assert_eq!(of("rp", Loading::Fixed, Held::File), FromFile::Exact);
        assert_eq!(of("rwp", Loading::Fixed, Held::Nothing), FromFile::Now);
        assert_eq!(of("rp", Loading::Writable, Held::Nothing), FromFile::Now);
        assert_eq!(of("rs", Loading::Fixed, Held::File), FromFile::Now);
        assert_eq!(of("rp", Loading::Relocated, Held::File), FromFile::InProcess);
        assert_eq!(of("rp", Loading::Relocated, Held::FileMoving), FromFile::Nowhere);
        assert_eq!(of("rp", Loading::Relocated, Held::Nothing), FromFile::Nowhere);
    }
}
