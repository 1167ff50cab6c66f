//! `amends demo`, run to its end by the binary under test, and what it sums up.

use amends_demo::Summary;
use std::process::Command;

/// Runs `amends demo --json` with these options besides; it has to end well. Gives its one JSON object.
#[track_caller]
pub fn summary(options: &[&str]) -> Summary {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["demo", "--json"])
        .args(options)
        // What `cargo xtask install` brings, for a run with Kafka.
        .env("KAFKA_HOME", concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/kafka"))
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).expect("one JSON object on standard output")
}
