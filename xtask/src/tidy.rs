//! The tree's own rules, which no compiler checks. Runs as a test, so that nobody has to remember them.

use crate::sources::{Source, all, is_test_file};
use crate::{
    clocks, code_map, docs_lead, docs_links, hashing, manifests, modules, purity, ratchet, threats,
    words,
};
use anyhow::bail;

/// Past this, a file is several files.
const LINES_LIMIT: usize = 1_000;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "types"];

/// Writes the numbers that may only shrink as they are now, if none has grown.
pub fn lower() -> anyhow::Result<()> {
    let rust = all("rs")?;
    let grown = ratchet::lower(&rust, &modules::crates(&rust))?;
    if grown.is_empty() {
        return Ok(());
    }
    bail!("these are more than before:\n{}", grown.join("\n"))
}

/// All findings; fails if there is one.
pub fn run() -> anyhow::Result<()> {
    let found = findings()?;
    if found.is_empty() {
        eprintln!("the tree is tidy");
        return Ok(());
    }
    bail!("the tree is not tidy:\n{}", found.join("\n"))
}

fn findings() -> anyhow::Result<Vec<String>> {
    let rust = all("rs")?;
    let mut found = manifests::check()?;
    found.extend(purity::check(&rust));
    found.extend(clocks::check(&rust));
    found.extend(hashing::check(&rust));
    found.extend(rust.iter().flat_map(check_file));
    let crates = modules::crates(&rust);
    found.extend(modules::dead(&rust, &crates));
    found.extend(ratchet::check(&rust, &crates)?);
    let pages = all("md")?;
    found.extend(code_map::check(&pages, &rust));
    found.extend(docs_lead::check(&pages));
    found.extend(docs_links::check(&pages));
    found.extend(threats::check(&pages));
    let texts: Vec<Source> = rust.into_iter().chain(pages).chain(all("html")?).collect();
    found.extend(words::check(&texts));
    Ok(found)
}

fn check_file(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut found = Vec::new();
    if !source.text.starts_with("//!") {
        found
            .push(format!("{path}:1: the first line must be `//!` and say what the file promises"));
    }
    let lines = source.text.lines().count();
    if lines > LINES_LIMIT {
        found.push(format!(
            "{path}: {lines} lines; at most {LINES_LIMIT}, split it by what it does"
        ));
    }
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    if EMPTY_NAMES.contains(&name) {
        found.push(format!("{path}: the name says nothing; use a noun of the domain"));
    }
    found.extend(unfinished(source));
    found
}

/// Marks of unfinished work. They are put together here so that this file doesn't find itself.
fn unfinished(source: &Source) -> Vec<String> {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimple", "mented!"),
        concat!("to", "do!"),
    ];
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for mark in marks.iter().filter(|m| line.contains(**m)) {
            found.push(format!(
                "{}:{}: `{mark}`; finish it, or write it down elsewhere",
                source.path,
                number + 1
            ));
        }
    }
    // Waiting by the clock makes a test slow on a fast machine and wrong on a slow one.
    if is_test_file(&source.path)
        && source.text.contains(concat!("thread::", "sleep(Duration::from_secs"))
    {
        found.push(format!(
            "{}: a test sleeps for seconds; poll with a deadline instead",
            source.path
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{check_file, findings};
    use crate::sources::Source;

    #[test]
    fn the_tree_is_tidy() {
        let found = findings().expect("the tree can be read");
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let file = |path: &str, text: &str| {
            check_file(&Source { path: path.to_owned(), text: text.to_owned() })
        };
        assert_eq!(file("crates/x/src/a.rs", "//! Fine.\n").len(), 0);
        assert_eq!(file("crates/x/src/a.rs", "fn f() {}\n").len(), 1);
        assert_eq!(file("crates/x/src/utils.rs", "//! Fine.\n").len(), 1);
        assert_eq!(
            file("crates/x/src/a.rs", &format!("//! Long.\n{}", "\n".repeat(1_000))).len(),
            1
        );
        let unfinished = concat!("//! Fine.\n// TO", "DO: more\n");
        assert_eq!(file("crates/x/src/a.rs", unfinished).len(), 1);
    }
}
