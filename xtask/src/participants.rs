//! Brings what the participants in other languages, the chart, and the tools, brokers and identity providers of the
//! tests need, by their lock files.
//! Only this part of the test command asks package registries, so that no test does; and only when a lock file is
//! newer than what is there.

use crate::sources::root;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Where the tool is put that judges third-party crates.
pub const JUDGE: &str = "xtask/supply";
/// What the chart is rendered and judged with.
const CHART: &str = "xtask/chart";
/// Oldest Python that the participant runs on.
const FITS: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

/// Installs for all of them; fails if one failed.
pub fn run() -> anyhow::Result<()> {
    if install()? { Ok(()) } else { bail!("failed: install") }
}

/// Installs for all of them; says how each went.
pub fn install() -> anyhow::Result<bool> {
    let participants = root().join("participants");
    let tests = root().join("crates/server/tests");
    // All of them, whatever became of the ones before.
    let went = [
        node(&participants.join("typescript"))?,
        python(&participants.join("python"))?,
        python(&tests.join("document"))?,
        python(&root().join(JUDGE))?,
        chart(&root().join(CHART))?,
        node(&tests.join("providers/node"))?,
        python(&tests.join("providers/python"))?,
        maven(
            &root().join("crates/private-server/kafka"),
            &root().join("target/kafka"),
            ("copy-dependencies", ""),
        )?,
        maven(
            &root().join("crates/private-server/postgres"),
            &root().join("target/postgres"),
            ("unpack-dependencies", "tar -xJf postgres-linux-*.txz && rm postgres-linux-*.txz"),
        )?,
    ];
    Ok(went.into_iter().all(|went| went))
}

/// `npm ci`: `node_modules`, as the lock file says.
fn node(folder: &Path) -> anyhow::Result<bool> {
    let lock = folder.join("package-lock.json");
    if is_newer(&folder.join("node_modules/.package-lock.json"), &lock)? {
        return Ok(true);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder);
    step(&mut npm, "install the packages `nodejs` and `npm`")
}

/// `.venv`: the Python of this machine with exactly the packages that are listed.
pub fn python(folder: &Path) -> anyhow::Result<bool> {
    let (lock, own) = (folder.join("requirements.txt"), folder.join(".venv"));
    let installed = own.join("installed");
    if is_newer(&installed, &lock)? {
        return Ok(true);
    }
    let mut make = Command::new(of_this_machine()?);
    make.args(["-m", "venv", "--clear"]).arg(&own);
    let mut fill = Command::new(own.join("bin/python"));
    fill.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&lock);
    let advice = "install the packages `python3` and `python3-venv`";
    let done = step(&mut make, advice)? && step(&mut fill, advice)?;
    if done {
        fs::write(&installed, "").context("cannot write into the new environment")?;
    }
    Ok(done)
}

/// What `pom.xml` in the folder names, brought to where it says by a goal of its plugin; then shell text runs there.
fn maven(folder: &Path, own: &Path, (goal, then): (&str, &str)) -> anyhow::Result<bool> {
    let installed = own.join("installed");
    if is_newer(&installed, &folder.join("pom.xml"))? {
        return Ok(true);
    }
    // What an older list named may not stay.
    if own.exists() {
        fs::remove_dir_all(own).with_context(|| format!("cannot empty {}", own.display()))?;
    }
    let mut copy = Command::new("mvn");
    copy.args(["--batch-mode", "--quiet", &format!("dependency:{goal}")]).current_dir(folder);
    let mut rest = Command::new("sh");
    rest.args(["-euc", then]).current_dir(own);
    let done = step(&mut copy, "install the packages `maven` and `default-jre-headless`")?
        && (then.is_empty() || step(&mut rest, "install the package `xz-utils`")?);
    if done {
        fs::write(&installed, "").with_context(|| format!("cannot write {}", own.display()))?;
    }
    Ok(done)
}

/// `target/chart/chart`: what renders the chart, built by the Go that is among the listed packages, of the modules of
/// `go.sum`. Of two minutes' work only the program is kept; the rest is more than a gigabyte.
fn chart(folder: &Path) -> anyhow::Result<bool> {
    if !python(folder)? {
        return Ok(false);
    }
    let store = root().join("target/chart");
    let made = store.join("chart");
    if is_newer(&made, &folder.join("go.sum"))? && is_newer(&made, &folder.join("main.go"))? {
        return Ok(true);
    }
    let mut go = Command::new(folder.join(".venv/bin/go"));
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&made).current_dir(folder);
    go.env("GOPATH", &store).env("GOCACHE", store.join("cache"));
    // The Go that is there, no C, and modules that can be removed again.
    go.envs([("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0"), ("GOFLAGS", "-modcacherw")]);
    let done = step(&mut go, "remove `xtask/chart/.venv` and try again")?;
    for rest in
        ["cache", "pkg"].map(|name| store.join(name)).iter().filter(|rest| done && rest.exists())
    {
        fs::remove_dir_all(rest).with_context(|| format!("cannot remove {}", rest.display()))?;
    }
    Ok(done)
}

/// A Python that is new enough: the first in the `PATH`, or the system's.
fn of_this_machine() -> anyhow::Result<PathBuf> {
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let looked = Command::new(python).args(["-c", FITS]).status();
        looked.is_ok_and(|status| status.success())
    });
    match found {
        Some(python) => Ok(PathBuf::from(python)),
        None => {
            bail!("there is no Python 3.11: install the packages `python3` and `python3-venv`")
        }
    }
}

/// Whether the first file is there, and not older than the second.
fn is_newer(made: &Path, from: &Path) -> anyhow::Result<bool> {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let from = changed(from)
        .with_context(|| format!("cannot look at the lock file {}", from.display()))?;
    Ok(changed(made).is_ok_and(|made| made >= from))
}

fn step(command: &mut Command, advice: &str) -> anyhow::Result<bool> {
    let began = Instant::now();
    eprintln!("== install: {command:?}");
    let status = command.status().with_context(|| format!("cannot run {command:?}; {advice}"))?;
    let verdict = if status.success() { "ok" } else { "FAILED" };
    eprintln!("== install: {verdict} after {} s", began.elapsed().as_secs());
    Ok(status.success())
}
