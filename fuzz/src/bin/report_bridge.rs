//! Lets cargo-fuzz drive the target `report_bridge` of `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amends_fuzz::run("report_bridge", data));
