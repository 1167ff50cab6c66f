//! `cargo xtask mutants`: plants known faults in a copy of the product, one at a time, and measures how many seeds the
//! simulator needs to find each. A fault that it does not find is a hole in the simulator.
//!
//! A mutant is a patch in `crates/sim/mutants`. What stands before its first `---` line is for people; a line
//! `corpus: honest` there picks the corpus, `faults: 2` says that it takes two things at once.

use crate::sim;
use crate::sources::root;
use anyhow::{Context, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Seeds that may be needed.
const SEEDS: u64 = 2_000;

/// Where the five searches begin: far enough from each other to share no seed.
const STARTS: [u64; 5] = [1, 1_000_001, 2_000_001, 3_000_001, 4_000_001];

/// One planted fault.
struct Mutant {
    name: String,
    path: PathBuf,
    corpus: &'static str,
    faults: u32,
}

/// How it was found.
struct Found {
    checkers: Vec<String>,
    /// Of each start; none if it was not found.
    seeds: Vec<Option<u64>>,
}

/// Tries all of them, or those whose name contains a word.
pub fn run(only: Option<&str>) -> anyhow::Result<()> {
    let tree = root();
    let scratch = tree.join("target").join("mutants");
    let copy = scratch.join("tree");
    copy_tree(&tree, &copy)?;
    let mut table = String::from(
        "| mutant | faults at once | found by | seeds, median of 5 |\n| --- | --- | --- | --- |\n",
    );
    let mut missed = Vec::new();
    for mutant in mutants(&tree)? {
        if only.is_some_and(|word| !mutant.name.contains(word)) {
            continue;
        }
        eprintln!("== {}", mutant.name);
        if !patch(&copy, &mutant.path, &[])? {
            missed.push(format!("{} (does not apply)", mutant.name));
            continue;
        }
        let found = hunt(&copy, &scratch.join("target"), &mutant);
        if !patch(&copy, &mutant.path, &["--reverse"])? {
            bail!("{} cannot be taken back", mutant.name);
        }
        let row = match found {
            Ok(found) => row(&mutant, &found, &mut missed),
            Err(why) => {
                missed.push(format!("{} ({why})", mutant.name));
                continue;
            }
        };
        eprint!("{row}");
        table.push_str(&row);
    }
    println!("{table}");
    if missed.is_empty() { Ok(()) } else { bail!("not found: {}", missed.join(", ")) }
}

fn mutants(tree: &Path) -> anyhow::Result<Vec<Mutant>> {
    let folder = tree.join("crates/sim/mutants");
    let mut all = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "patch") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let head = text.split("\n--- ").next().unwrap_or_default();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let corpus = if head.contains("corpus: honest") { "honest" } else { "hostile" };
        let faults = if head.contains("faults: 2") { 2 } else { 1 };
        all.push(Mutant { name, path, corpus, faults });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Brings a copy up to date with the tree. Files that are the same are left alone, so that little is built again.
fn copy_tree(tree: &Path, copy: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(tree)
        .output()
        .context("cannot run git")?;
    // What is gone from the tree would be built all the same.
    for folder in ["crates", "xtask"] {
        remove_strangers(tree, copy, &copy.join(folder))?;
    }
    for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (tree.join(name), copy.join(name));
        let Ok(new) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|old| old == new) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, new)?;
    }
    Ok(())
}

/// Removes files of the copy that the tree no longer has.
fn remove_strangers(tree: &Path, copy: &Path, folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            remove_strangers(tree, copy, &path)?;
        } else if path.strip_prefix(copy).is_ok_and(|name| !tree.join(name).exists()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn patch(copy: &Path, path: &Path, more: &[&str]) -> anyhow::Result<bool> {
    // Outside of any repository, so that git looks at the files alone.
    let status = Command::new("git")
        .args(["apply", "--unsafe-paths", "--whitespace=nowarn"])
        .args(more)
        .arg(path)
        .current_dir(copy)
        .env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy))
        .status()
        .context("cannot run git")?;
    Ok(status.success())
}

fn hunt(copy: &Path, target: &Path, mutant: &Mutant) -> anyhow::Result<Found> {
    let program = sim::build(copy, target)?;
    let mut found = Found { checkers: Vec::new(), seeds: Vec::new() };
    for start in STARTS {
        let output = Command::new(&program)
            .args(["--quiet", "--corpus", mutant.corpus])
            .args(["--from", &start.to_string(), "--seeds", &SEEDS.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run the simulator")?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mut parts = line.split('\t');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("-"), ..) => found.seeds.push(None),
            (Some(_), Some(checker), Some(count)) => {
                found.seeds.push(Some(count.parse().context("a number of seeds")?));
                if !found.checkers.iter().any(|known| known == checker) {
                    found.checkers.push(checker.to_owned());
                }
            }
            _ => bail!("it says `{line}` and ends with {}", output.status),
        }
    }
    Ok(found)
}

fn row(mutant: &Mutant, found: &Found, missed: &mut Vec<String>) -> String {
    let mut seeds = found.seeds.clone();
    // Not found sorts last.
    seeds.sort_by_key(|n| n.unwrap_or(u64::MAX));
    let median = seeds[seeds.len() / 2];
    if median.is_none() {
        missed.push(mutant.name.clone());
    }
    let median = median.map_or_else(|| format!("more than {SEEDS}"), |n| n.to_string());
    let mut row = String::new();
    let _ = writeln!(
        row,
        "| {} | {} | {} | {median} |",
        mutant.name,
        mutant.faults,
        found.checkers.join(", ")
    );
    row
}
