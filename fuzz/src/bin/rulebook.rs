//! Lets cargo-fuzz drive the target `rulebook` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("rulebook", data));
