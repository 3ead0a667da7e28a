//! `cargo fuzz run cfi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer_fuzz::entries::cfi(bytes));
