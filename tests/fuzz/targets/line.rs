//! `cargo fuzz run line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer_fuzz::entries::line(bytes));
