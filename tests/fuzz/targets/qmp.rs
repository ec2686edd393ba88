//! Fuzzes `provium_fuzz::qmp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provium_fuzz::qmp::run(data));
