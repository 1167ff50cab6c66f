//! Lets cargo-fuzz drive the target `key_set` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("key_set", data));
