//! All of it on a newer PostgreSQL than the one that Debian brings: the suite, the races, the moves, the plans.

use std::process::Command;

/// Where `cargo xtask install` puts what `crates/private-server/postgres/pom.xml` names.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/postgres/bin");
/// As the servers of tests look for it.
const NAMED_BY: &str = "AMENDS_TEST_POSTGRES";

#[test]
fn all_of_it_holds_on_a_newer_postgresql() {
    let version = Command::new(format!("{PROGRAMS}/postgres")).arg("--version").output();
    let version = version.unwrap_or_else(|error| {
        panic!("{PROGRAMS} has no PostgreSQL ({error}); `cargo xtask install` brings it")
    });
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let mut tests = Command::new(std::env::current_exe().expect("this program"));
    tests.args(["postgres::", "moving::", "differential", "--skip", "newer_tests"]);
    // A base backup is made by a program that comes with the server, and only Debian's server has it.
    tests.args(["--skip", "standby"]);
    let done = tests.env(NAMED_BY, PROGRAMS).output().expect("this program runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{version}{said}{}", String::from_utf8_lossy(&done.stderr));
    let passed = said.rsplit_once("test result: ok. ").and_then(|(_, rest)| rest.split(' ').next());
    let passed: u32 = passed.and_then(|count| count.parse().ok()).expect("a count");
    assert!(passed > 80, "{version}{passed} tests are too few");
    println!("{passed} tests on {}", version.trim());
}
