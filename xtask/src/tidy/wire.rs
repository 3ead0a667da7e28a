//! The format that the kernel program and userspace share can't change without its version.
//!
//! A hash of the source is pinned beside the version. Comments and spaces are not part of it.

use super::source::tokens;
use super::{File, Problem};
use crate::project::root;
use anyhow::{Context, Result};

/// Files that make the format.
const SOURCES: &[&str] = &[
    "tracer-common/src/code.rs",
    "tracer-common/src/maps.rs",
    "tracer-common/src/status.rs",
    "tracer-common/src/wire.rs",
];
const VERSIONED: &str = "tracer-common/src/wire.rs";
const PIN: &str = "xtask/src/tidy/wire.hash";

/// Checks the pin.
pub(super) fn check(files: &[File], problems: &mut Vec<Problem>) {
    let Some(wire) = files.iter().find(|file| file.path == VERSIONED) else {
        return;
    };
    let pinned = files.iter().find(|file| file.path == PIN).map_or("", |file| &file.text);
    let now = fingerprint(files);
    if pinned == now {
        return;
    }
    let version = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let text = if version(pinned) == version(&now) {
        "the wire format changed: raise wire::VERSION, then run `cargo xtask tidy --pin`"
    } else {
        "wire::VERSION changed: run `cargo xtask tidy --pin`"
    };
    problems.push(Problem::new(wire, 0, text));
}

/// Writes the pin.
///
/// # Errors
///
/// It can't be written.
pub(super) fn pin(files: &[File]) -> Result<()> {
    std::fs::write(root().join(PIN), fingerprint(files))
        .with_context(|| format!("can't write {PIN}"))
}

/// Version and hash, as in the pin's file.
fn fingerprint(files: &[File]) -> String {
    let mut hash = FNV_OFFSET;
    let mut version = String::from("?");
    for path in SOURCES {
        let Some(file) = files.iter().find(|file| file.path == *path) else { continue };
        let tokens = tokens(&file.text);
        for token in &tokens {
            hash = fnv(hash, token.text.as_bytes());
            hash = fnv(hash, b" ");
        }
        if file.path == VERSIONED {
            let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
            if let Some(found) = words.windows(5).find_map(|words| match words {
                ["VERSION", ":", "u16", "=", number] => Some(*number),
                _ => None,
            }) {
                found.clone_into(&mut version);
            }
        }
    }
    format!("{version} {hash:016x}\n")
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, 64 bits.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::file;

    fn check_against(pinned: &str, wire: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check(&[file(VERSIONED, wire), file(PIN, pinned)], &mut problems);
        problems.into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn a_change_needs_a_new_version() {
        let wire = "pub const VERSION: u16 = 1; struct A { a: u8 }";
        let pinned = fingerprint(&[file(VERSIONED, wire)]);
        assert!(check_against(&pinned, wire).is_empty());
        assert!(check_against(&pinned, &format!("// more words\n{wire}")).is_empty());
        let changed = wire.replace("u8", "u32");
        assert!(check_against(&pinned, &changed).join("").contains("raise wire::VERSION"));
        let raised = changed.replace("= 1", "= 2");
        assert!(check_against(&pinned, &raised).join("").starts_with("wire::VERSION changed"));
    }
}
