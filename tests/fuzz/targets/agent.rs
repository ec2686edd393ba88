//! Fuzzes `provium_fuzz::agent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::agent::run(data));
