//! Fuzzes `provium_fuzz::attach`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::attach::run(data));
