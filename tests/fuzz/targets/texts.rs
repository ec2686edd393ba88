//! Fuzzes `provium_fuzz::texts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::texts::run(data));
