//! Lets cargo-fuzz drive the target `step_answer` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("step_answer", data));
