//! Hostile bytes for all that reads bytes: what cargo-fuzz runs, and what it starts from.
//!
//! An entry takes any bytes and must come back: soon, in little memory, without a panic. The tests
//! here run the same entries over changed seeds, the same in every run.

mod ask;
pub mod entries;
mod hit;
mod program;
#[path = "../../src/random.rs"]
pub mod random;
pub mod seeds;
mod types;

#[cfg(test)]
mod tests;

/// What is fuzzed: the entry's name, the entry, and real bytes to start from.
pub struct Target {
    /// Its name; a file in `targets` has it too.
    pub name: &'static str,
    /// Reads bytes.
    pub run: fn(&[u8]),
    /// Changed seeds in the short form: some entries take longer than others.
    pub rounds: usize,
    /// Real bytes.
    pub seeds: fn(&[seeds::Program]) -> anyhow::Result<Vec<Vec<u8>>>,
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target { name: "elf", run: entries::elf, rounds: 8, seeds: seeds::files },
    Target { name: "info", run: entries::info, rounds: 100, seeds: seeds::debug_info },
    Target { name: "line", run: entries::line, rounds: 100, seeds: seeds::lines },
    Target { name: "expression", run: entries::expression, rounds: 150, seeds: seeds::expressions },
    Target { name: "cfi", run: entries::cfi, rounds: 150, seeds: seeds::frames },
    Target { name: "record", run: entries::record, rounds: 150, seeds: seeds::records },
];
