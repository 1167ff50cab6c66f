//! Lets cargo-fuzz drive the target `claims` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("claims", data));
