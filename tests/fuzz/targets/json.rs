//! Fuzzes `provium_fuzz::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::json::run(data));
