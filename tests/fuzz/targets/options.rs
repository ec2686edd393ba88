//! Fuzzes `provium_fuzz::options`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::options::run(data));
