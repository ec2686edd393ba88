//! Fuzzes `provium_fuzz::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::log::run(data));
