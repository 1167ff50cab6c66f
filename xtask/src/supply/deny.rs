//! `cargo xtask deny`: cargo-deny judges all third-party crates by `deny.toml`: licences, bans, sources, and what the
//! snapshot of the advisory database knows against them. It asks nobody on the internet.

use super::advisories::{self, Snapshot};
use crate::{participants, sources::root};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// As cargo-deny names the folder of the database that `deny.toml` names.
const DATABASE: &str = "advisory-db-3157b0e258782691";

/// Installs the tool if it is not there, and judges.
pub fn run() -> anyhow::Result<()> {
    if !participants::python(&root().join(participants::JUDGE))? {
        bail!("cargo-deny can't be installed");
    }
    fetch()?;
    let snapshot = advisories::kept()?;
    eprintln!("advisories as of {} ({})", snapshot.as_of, &snapshot.commit[..12]);
    let output = judged(&snapshot, &fs::read_to_string(root().join("deny.toml"))?, None)?;
    for told in [&output.stderr, &output.stdout] {
        eprint!("{}", String::from_utf8_lossy(told));
    }
    if !output.status.success() {
        bail!("a crate is not what deny.toml demands");
    }
    Ok(())
}

/// Gets crates that only other systems need: builds here leave them out, and cargo-deny looks at all.
fn fetch() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["fetch", "--locked"]).current_dir(root()).status();
    if !status.context("cannot run cargo")?.success() {
        bail!("the crates of `Cargo.lock` can't be fetched");
    }
    Ok(())
}

/// What cargo-deny says of the tree with this configuration, with a database in a folder of its own.
fn judged(snapshot: &Snapshot, rules: &str, within: Option<&Path>) -> anyhow::Result<Output> {
    let folder = within.map_or_else(|| root().join("target/advisory-dbs"), Path::to_owned);
    lay_out(snapshot, &folder)?;
    let file = folder.join("deny.toml");
    let rules = rules.replace("target/advisory-dbs", &folder.to_string_lossy());
    fs::write(&file, rules).context("cannot write the configuration of cargo-deny")?;
    Command::new(tool())
        .args(["--offline", "--locked", "--config"])
        .arg(&file)
        .args(["check", "--deny", "unmatched-skip"])
        .current_dir(root())
        .output()
        .with_context(|| format!("cannot run {}; run `cargo xtask deny`", tool().display()))
}

fn tool() -> PathBuf {
    root().join(participants::JUDGE).join(".venv/bin/cargo-deny")
}

/// The database as cargo-deny wants it: a git repository whose last commit is as old as the snapshot.
fn lay_out(snapshot: &Snapshot, folder: &Path) -> anyhow::Result<()> {
    let database = folder.join(DATABASE);
    if database.exists() {
        fs::remove_dir_all(&database).context("cannot remove the old database")?;
    }
    for (path, text) in &snapshot.advisories {
        let file = database.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&database))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    for arguments in [
        ["init", "--quiet"].as_slice(),
        &["add", "--all"],
        &[
            "-c",
            "commit.gpgsign=false",
            "commit",
            "--quiet",
            "--no-verify",
            "--message",
            "snapshot",
        ],
    ] {
        let status = Command::new("git")
            .args(arguments)
            .current_dir(&database)
            .envs([("GIT_AUTHOR_NAME", "snapshot"), ("GIT_AUTHOR_EMAIL", "snapshot@invalid")])
            .envs([("GIT_COMMITTER_NAME", "snapshot"), ("GIT_COMMITTER_EMAIL", "snapshot@invalid")])
            .envs([("GIT_AUTHOR_DATE", &snapshot.as_of), ("GIT_COMMITTER_DATE", &snapshot.as_of)])
            .status()
            .context("cannot run git")?;
        if !status.success() {
            bail!("git {} failed in {}", arguments.join(" "), database.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judged;
    use crate::sources::root;
    use crate::supply::advisories::{self, Snapshot};

    fn rules() -> String {
        std::fs::read_to_string(root().join("deny.toml")).expect("it is there")
    }

    /// What the tool says, and whether it takes the tree.
    fn verdict(snapshot: &Snapshot, rules: &str) -> (bool, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let output = judged(snapshot, rules, Some(folder.path())).expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn all_third_party_crates_are_what_they_may_be() {
        let (fits, told) = verdict(&advisories::kept().expect("a snapshot"), &rules());
        assert!(fits, "{told}");
    }

    #[test]
    fn an_advisory_against_a_crate_of_ours_is_found() {
        let text = "```toml\n[advisory]\nid = \"RUSTSEC-2026-9999\"\npackage = \"tokio\"\ndate = \"2026-08-01\"\n\n\
                    [versions]\npatched = []\n```\n\n# Planted\n";
        let mut snapshot = advisories::kept().expect("a snapshot");
        snapshot.advisories.push(("crates/tokio/RUSTSEC-2026-9999.md".to_owned(), text.to_owned()));
        let (fits, told) = verdict(&snapshot, &rules());
        assert!(!fits && told.contains("RUSTSEC-2026-9999"), "{told}");
    }

    #[test]
    fn a_licence_a_banned_crate_and_a_second_version_are_found() {
        let snapshot = advisories::kept().expect("a snapshot");
        for (old, new, says) in [
            ("\"Unicode-3.0\", ", "", "license is not explicitly allowed"),
            ("crate = \"openssl\",", "crate = \"rusqlite\",", "crate 'rusqlite = 0.39"),
            (
                "crate = \"base64@0.22\"",
                "crate = \"sha2@0.99\"",
                "duplicate entries for crate 'base64'",
            ),
        ] {
            let spoilt = rules().replacen(old, new, 1);
            assert_ne!(spoilt, rules(), "{old} is not in deny.toml");
            let (fits, told) = verdict(&snapshot, &spoilt);
            assert!(!fits && told.contains(says), "{old}: {told}");
        }
    }
}
