//! Lets cargo-fuzz drive the target `configuration` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("configuration", data));
