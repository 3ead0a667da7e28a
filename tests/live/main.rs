//! Tests on the real kernel: real uprobes in real processes. They need root, and fail where they
//! can't run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod absent;
mod access;
mod against_gdb;
mod bad_input;
mod bench;
mod bombs;
mod capabilities;
mod chaos;
mod containers;
mod corrupted;
mod cost;
mod daemon;
mod ending;
mod entry_probe;
mod entry_values;
mod equation;
mod everywhere;
mod fallback;
mod find_doctor;
mod forms;
mod guardian;
mod hostile;
mod inlined;
mod instructions;
mod kernel_log;
mod kernels;
mod late;
mod locations;
mod metrics;
mod parser;
mod pending;
mod privilege;
mod race;
mod rust_values;
mod sites;
mod stack;
mod storm;
mod sweep;
mod trips;
mod values;
mod vars;
