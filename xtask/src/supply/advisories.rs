//! The dated snapshot of the RustSec advisory database that is in the tree: `xtask/supply/advisories.txt`, the heads of
//! all advisories in one file. `cargo xtask advisories --from CLONE` writes it anew.

use crate::sources::root;
use anyhow::{Context, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

const FILE: &str = "xtask/supply/advisories.txt";
const HEAD: &str = "\
What is known against crates of crates.io: the heads of the advisories of https://github.com/rustsec/advisory-db, without
those that were withdrawn. Public domain (CC0-1.0) where an advisory does not name another licence and its source.
Written by `cargo xtask advisories --from CLONE`; cargo-deny reads it by `cargo xtask deny`.
";
/// Stands before each advisory, with its path in the database.
const MARK: &str = "==== ";

/// The snapshot, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When the database was as it is here, RFC 3339.
    pub as_of: String,
    /// Which state of it that was.
    pub commit: String,
    /// Path within the database, and text.
    pub advisories: Vec<(String, String)>,
}

/// Writes the file from a clone of the database.
pub fn run(clone: &str) -> anyhow::Result<()> {
    let snapshot = of_clone(Path::new(clone))?;
    fs::write(root().join(FILE), written(&snapshot)).context("cannot write the snapshot")?;
    eprintln!("wrote {FILE}: {} advisories, as of {}", snapshot.advisories.len(), snapshot.as_of);
    Ok(())
}

/// The snapshot of the tree.
pub fn kept() -> anyhow::Result<Snapshot> {
    let text =
        fs::read_to_string(root().join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    read(&text)
}

fn of_clone(clone: &Path) -> anyhow::Result<Snapshot> {
    let last = |format: &str| -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.arg("-C")
            .arg(clone)
            .args(["log", "-1", "--date=iso-strict"])
            .arg(format!("--format={format}"));
        let output = git.output().context("cannot run git")?;
        if !output.status.success() {
            bail!("{} is no clone of the database", clone.display());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut advisories = Vec::new();
    for folder in sorted(&clone.join("crates"))? {
        for file in sorted(&folder)? {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let head = head(&text).with_context(|| format!("no advisory: {}", file.display()))?;
            if !head.lines().any(|line| line.starts_with("withdrawn")) {
                let path = file.strip_prefix(clone).unwrap_or(&file);
                advisories.push((path.to_string_lossy().into_owned(), head));
            }
        }
    }
    Ok(Snapshot { as_of: last("%cd")?, commit: last("%H")?, advisories })
}

/// The entries of a folder, by name.
fn sorted(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

/// An advisory as far as a tool needs it: its fields and its title. What it tells is in the database.
fn head(text: &str) -> Option<String> {
    let fields = text.strip_prefix("```toml\n")?;
    let (fields, rest) = fields.split_once("\n```")?;
    let title = rest.lines().find(|line| line.starts_with("# "))?;
    Some(format!("```toml\n{fields}\n```\n\n{title}\n"))
}

fn written(snapshot: &Snapshot) -> String {
    let mut out = format!("{HEAD}\nas of: {}\ncommit: {}\n", snapshot.as_of, snapshot.commit);
    for (path, text) in &snapshot.advisories {
        let _ = write!(out, "\n{MARK}{path}\n{text}");
    }
    out
}

fn read(text: &str) -> anyhow::Result<Snapshot> {
    let mark = format!("\n{MARK}");
    let mut parts = text.split(mark.as_str());
    let about = parts.next().unwrap_or_default();
    let value = |key: &str| {
        let found = about.lines().find_map(|line| line.strip_prefix(key));
        Ok::<_, anyhow::Error>(found.with_context(|| format!("{FILE} has no `{key}`"))?.to_owned())
    };
    let advisories = parts
        .map(|part| {
            let (path, text) = part.split_once('\n').context("an advisory without a text")?;
            Ok((path.to_owned(), text.to_owned()))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Snapshot { as_of: value("as of: ")?, commit: value("commit: ")?, advisories })
}

#[cfg(test)]
mod tests {
    use super::{Snapshot, head, kept, read, written};

    const ADVISORY: &str =
        "```toml\n[advisory]\nid = \"RUSTSEC-2020-0001\"\npackage = \"x\"\n```\n\n# It leaks\n";

    #[test]
    fn what_is_written_is_read_again() {
        let snapshot = Snapshot {
            as_of: "2026-08-21T08:28:40+02:00".to_owned(),
            commit: "bf5c0d24".to_owned(),
            advisories: vec![
                ("crates/x/RUSTSEC-2020-0001.md".to_owned(), ADVISORY.to_owned()),
                ("crates/y/RUSTSEC-2020-0002.md".to_owned(), ADVISORY.to_owned()),
            ],
        };
        assert_eq!(read(&written(&snapshot)).expect("it was written so"), snapshot);
        assert_eq!(head(&format!("{ADVISORY}\nA long story.\n")).as_deref(), Some(ADVISORY));
        assert_eq!(head("A story."), None);
    }

    #[test]
    fn the_snapshot_is_whole() {
        let kept = kept().expect("it can be read");
        assert!(kept.advisories.len() > 900, "{} advisories", kept.advisories.len());
        assert!(
            kept.as_of.len() == 25 && kept.commit.len() == 40,
            "{} {}",
            kept.as_of,
            kept.commit
        );
    }
}
