#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fieldglow::fuzzing::run("tiles", data));
