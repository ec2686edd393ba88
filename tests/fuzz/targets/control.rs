//! Fuzzes `provium_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::control::run(data));
