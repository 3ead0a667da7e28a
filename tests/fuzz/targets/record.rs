//! `cargo fuzz run record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer_fuzz::entries::record(bytes));
