//! Lets cargo-fuzz drive the target `history_answer` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("history_answer", data));
