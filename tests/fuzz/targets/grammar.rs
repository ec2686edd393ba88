//! Fuzzes `provium_fuzz::grammar`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::grammar::run(data));
