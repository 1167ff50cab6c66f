//! Lets cargo-fuzz drive the target `signing_key` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("signing_key", data));
