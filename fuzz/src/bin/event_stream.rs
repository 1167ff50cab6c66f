//! Lets cargo-fuzz drive the target `event_stream` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("event_stream", data));
