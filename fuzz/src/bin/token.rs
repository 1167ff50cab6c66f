//! Lets cargo-fuzz drive the target `token` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("token", data));
