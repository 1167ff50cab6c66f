//! `cargo xtask notices`: writes `THIRD-PARTY-NOTICES.txt`, what we owe the crates that the binary is made of.

use super::{Shipped, licences, shipped};
use crate::sources::root;
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const FILE: &str = "THIRD-PARTY-NOTICES.txt";
const HEAD: &str = "\
Third-party notices of Amends

The binary `amends` of a release is made of these crates. Of licences that a crate offers as alternatives one is taken, and its text
stands here. Made by `cargo xtask notices` out of Cargo.lock and the packages; a test holds it to them.

SQLite, which the crate libsqlite3-sys brings, is in the public domain. mimalloc, which the crate libmimalloc-sys
brings, is under the licence MIT, Copyright (c) 2018-2025 Microsoft Corporation, Daan Leijen.
";

/// Writes the file.
pub fn run() -> anyhow::Result<()> {
    let path = root().join(FILE);
    std::fs::write(&path, made(&shipped()?)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

fn made(shipped: &[Shipped]) -> anyhow::Result<String> {
    let apache = std::fs::read_to_string(root().join("LICENSE-APACHE"))
        .context("cannot read LICENSE-APACHE")?;
    let mut by_licence: BTreeMap<&str, Vec<&Shipped>> = BTreeMap::new();
    for crate_ in shipped.iter().filter(|one| !one.is_ours()) {
        for licence in licences::chosen(crate_)? {
            by_licence.entry(licence).or_default().push(crate_);
        }
    }
    let mut out = HEAD.to_owned();
    for (licence, crates) in by_licence {
        let _ = write!(out, "\n{}\nTaken under {licence}\n\n", "=".repeat(80));
        for crate_ in &crates {
            let from = crate_.repository.as_deref().unwrap_or("https://crates.io");
            let _ = writeln!(out, "  {} {} ({from})", crate_.id.name, crate_.id.version);
        }
        // The text of Apache-2.0 names nobody; the others name whose work it is.
        let texts = match licence {
            "Apache-2.0" => {
                BTreeMap::from([(apache.trim_matches('\n').to_owned(), BTreeSet::new())])
            }
            _ => own_texts(&crates, licence)?,
        };
        for (text, names) in &texts {
            told(&mut out, names, text);
        }
        for (text, names) in &gathered(&crates, licences::notices)? {
            told(&mut out, names, text);
        }
    }
    let all: Vec<&Shipped> = shipped.iter().collect();
    let _ = write!(out, "\n{}\nLibraries of others, which crates bring\n", "=".repeat(80));
    for (text, names) in &gathered(&all, licences::brought)? {
        told(&mut out, names, text);
    }
    Ok(out)
}

fn own_texts(crates: &[&Shipped], licence: &str) -> anyhow::Result<Texts> {
    gathered(crates, |one| {
        let texts = licences::texts(one, licence)?;
        let none = format!("Its package carries no text of {licence}.");
        Ok(if texts.is_empty() { vec![none] } else { texts })
    })
}

/// Each text once, with the names of those who have it.
type Texts = BTreeMap<String, BTreeSet<String>>;

fn gathered(
    crates: &[&Shipped],
    of: impl Fn(&Shipped) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Texts> {
    let mut found = Texts::new();
    for crate_ in crates {
        for text in of(crate_)? {
            found.entry(text).or_default().insert(crate_.id.name.clone());
        }
    }
    Ok(found)
}

fn told(out: &mut String, names: &BTreeSet<String>, text: &str) {
    let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let _ = write!(out, "\n{}\n", "-".repeat(80));
    if !names.is_empty() {
        let _ = write!(out, "{names}:\n\n");
    }
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::{FILE, made, shipped};
    use crate::sources::root;

    #[test]
    fn the_notices_are_those_of_the_crates_that_are_shipped() {
        let shipped = shipped().expect("cargo knows");
        let now = made(&shipped).expect("every licence can be chosen");
        let kept = std::fs::read_to_string(root().join(FILE)).unwrap_or_default();
        let first = now.lines().zip(kept.lines()).find(|(now, kept)| now != kept);
        assert!(now == kept, "{FILE} is old ({first:?}); write it anew with `cargo xtask notices`");
        for one in shipped.iter().filter(|one| !one.is_ours()) {
            let line = format!("  {} {} (", one.id.name, one.id.version);
            assert!(kept.contains(&line), "{} is not named", one.id.name);
        }
    }
}
