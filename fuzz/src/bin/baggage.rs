//! Lets cargo-fuzz drive the target `baggage` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("baggage", data));
