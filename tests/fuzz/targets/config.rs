//! Fuzzes `provium_fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::config::run(data));
