//! `cargo xtask test`: everything that must be green. All parts run, whatever the earlier ones said; the tests come
//! last, so that the output ends with their summary and the count. Installs nothing but the participants' packages.

use crate::participants;
use crate::release::FEATURES;
use crate::sources::root;
use crate::supply;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Runs all parts; fails if one did.
pub fn run() -> anyhow::Result<()> {
    let runner = Runner::of_this_machine();
    println!("tests run by {}", runner.name());
    let mut bad = Vec::new();
    let parts: [(&str, &[&str]); 5] = [
        ("format", &["fmt", "--all", "--check"]),
        (
            "lints",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--features",
                FEATURES,
                "--",
                "-D",
                "warnings",
            ],
        ),
        (
            "build without demo and tls",
            &["clippy", "--package", "amends", "--no-default-features", "--", "-D", "warnings"],
        ),
        ("the kit on SQLite alone", &["check", "--package", "amends-service"]),
        (
            "the kit on PostgreSQL alone",
            &[
                "check",
                "--package",
                "amends-service",
                "--no-default-features",
                "--features",
                "postgres",
            ],
        ),
    ];
    for (name, arguments) in parts {
        if !part(name, arguments)? {
            bad.push(name);
        }
    }
    if !participants::install()? {
        bad.push("install");
    }
    if let Err(error) = supply::deny::run() {
        eprintln!("== third-party crates: FAILED: {error:#}");
        bad.push("third-party crates");
    }
    let mut count = Count::default();
    let (ok, documentation) = counted("documentation tests", &["test", "--workspace", "--doc"])?;
    count.add(documentation);
    if !ok {
        bad.push("documentation tests");
    }
    let (ok, tests) = counted("tests", runner.arguments())?;
    count.add(tests);
    if !ok {
        bad.push("tests");
    }
    println!("{} passed, {} failed; tests run by {}", count.passed, count.failed, runner.name());
    if bad.is_empty() { Ok(()) } else { bail!("failed: {}", bad.join(", ")) }
}

/// What runs the tests. With both, as many tests run at a time as there are cores, and at most two Chromiums
/// (`.config/nextest.toml`, `Turn` in `crates/cli/tests/console/browser.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    /// Each test in a process of its own, tests of all binaries side by side.
    Nextest,
    /// The tests of a binary as threads of one process, one binary after the other.
    CargoTest,
}

impl Runner {
    fn of_this_machine() -> Self {
        let output = cargo(&["nextest", "--version"]).stderr(Stdio::null()).output();
        let is_there = output.is_ok_and(|o| o.status.success());
        if is_there { Self::Nextest } else { Self::CargoTest }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nextest => "cargo nextest",
            Self::CargoTest => "cargo test (cargo-nextest is not installed)",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nextest => &[
                "nextest",
                "run",
                "--workspace",
                "--all-targets",
                "--features",
                FEATURES,
                "--no-fail-fast",
            ],
            Self::CargoTest => {
                &["test", "--workspace", "--all-targets", "--features", FEATURES, "--no-fail-fast"]
            }
        }
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command =
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(arguments).current_dir(root());
    command
}

fn part(name: &str, arguments: &[&str]) -> anyhow::Result<bool> {
    let began = begin(name, arguments);
    let status = cargo(arguments).status().context("cannot run cargo")?;
    end(name, status.success(), began);
    Ok(status.success())
}

/// Runs tests, shows their output as it comes, and reads the counts from it.
fn counted(name: &str, arguments: &[&str]) -> anyhow::Result<(bool, Count)> {
    let began = begin(name, arguments);
    let mut child = cargo(arguments)
        // Colours would stand in the way of reading the counts.
        .env("CARGO_TERM_COLOR", "never")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    // nextest writes its summary to standard error, cargo test to standard output.
    let errors =
        child.stderr.take().map(|e| std::thread::spawn(move || pass_on(e, std::io::stderr())));
    let mut count =
        child.stdout.take().map_or_else(Count::default, |o| pass_on(o, std::io::stdout()));
    if let Some(Ok(more)) = errors.map(std::thread::JoinHandle::join) {
        count.add(more);
    }
    let ok = child.wait().context("cannot wait for cargo")?.success();
    end(name, ok, began);
    Ok((ok, count))
}

fn pass_on(from: impl Read, mut to: impl Write) -> Count {
    let mut count = Count::default();
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // Whoever reads us may have gone; the tests go on for their exit code.
        let _ = to.write_all(&line);
        count.add(summary(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    count
}

/// The counts of a summary line: `Summary [ 1.2s] 3 tests run: 2 passed (1 slow), 1 failed, 0 skipped` of nextest, or
/// `test result: ok. 3 passed; 0 failed; …` of cargo test. With space before it, a failed test printed it.
fn summary(line: &str) -> Count {
    let rest = match line.trim_start().strip_prefix("Summary [") {
        Some(rest) => rest.split_once("run:").map(|(_, rest)| rest),
        None => line.strip_prefix("test result:"),
    };
    let Some(rest) = rest else { return Count::default() };
    let words: Vec<&str> = rest.split([' ', ',', ';']).filter(|w| !w.is_empty()).collect();
    let before = |word: &str| {
        words
            .windows(2)
            .filter(|w| w[1] == word)
            .filter_map(|w| w[0].parse::<u64>().ok())
            .sum::<u64>()
    };
    Count { passed: before("passed"), failed: before("failed") + before("timed") }
}

fn begin(name: &str, arguments: &[&str]) -> Instant {
    eprintln!("== {name}: cargo {}", arguments.join(" "));
    Instant::now()
}

fn end(name: &str, ok: bool, began: Instant) {
    let verdict = if ok { "ok" } else { "FAILED" };
    eprintln!("== {name}: {verdict} after {} s", began.elapsed().as_secs());
}

#[cfg(test)]
mod tests {
    use super::{Count, summary};

    #[test]
    fn both_runners_are_understood() {
        let nextest = "     Summary [   1.204s] 12/13 tests run: 10 passed (1 slow, 2 leaky), 2 failed, 1 skipped";
        assert_eq!(summary(nextest), Count { passed: 10, failed: 2 });
        let cargo = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(summary(cargo), Count { passed: 3, failed: 1 });
        assert_eq!(summary("test the_summary ... ok"), Count::default());
        let shown_again =
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 22 filtered out";
        assert_eq!(summary(shown_again), Count::default());
    }
}
