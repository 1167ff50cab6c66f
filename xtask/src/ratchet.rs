//! Numbers that may only shrink: what there is too much of today, and never more of. They stand in `xtask/ratchet.txt`,
//! each kind with its items, so that whoever adds one is told which.

use crate::circles;
use crate::modules::Crate;
use crate::sources::{Source, root};
use anyhow::Context;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Past this, a function is several.
const FUNCTION_LIMIT: usize = 70;
/// Past this, a comment is cut off by most screens.
const COMMENT_LIMIT: usize = 120;
/// Past this, a file should be several; past tidy's own limit it must be.
const FILE_LIMIT: usize = 600;
/// Where the numbers are.
const FILE: &str = "xtask/ratchet.txt";

/// What is counted: the name of the kind, and what to do about one.
const KINDS: &[(&str, &str)] = &[
    ("long function", "split it by what it does"),
    ("long comment", "break the line at 120 columns"),
    ("long file", "split it by what it does"),
    ("circle", "move what both need to a file of its own"),
];

/// The items of each kind, sorted.
type Items = BTreeMap<&'static str, Vec<String>>;

/// What has grown, and what has shrunk without the file being lowered.
pub fn check(sources: &[Source], crates: &[Crate<'_>]) -> anyhow::Result<Vec<String>> {
    let path = root().join(FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(compare(&read(&text), &count(sources, crates)))
}

/// Writes the file anew, if nothing has grown; says what is in the way otherwise.
pub fn lower(sources: &[Source], crates: &[Crate<'_>]) -> anyhow::Result<Vec<String>> {
    let path = root().join(FILE);
    let now = count(sources, crates);
    let held = std::fs::read_to_string(&path).map(|text| read(&text)).unwrap_or_default();
    let grown = grown(&held, &now);
    if held.is_empty() || grown.is_empty() {
        std::fs::write(&path, written(&now))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if held.is_empty() { Vec::new() } else { grown })
}

fn count(sources: &[Source], crates: &[Crate<'_>]) -> Items {
    let mut items: Items = KINDS.iter().map(|(kind, _)| (*kind, Vec::new())).collect();
    let mut add = |kind: &'static str, item: String| items.entry(kind).or_default().push(item);
    for source in sources {
        for (name, lines) in functions(&source.text).filter(|(_, l)| *l > FUNCTION_LIMIT) {
            add("long function", format!("{} {name} {lines}", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            if line.contains("//") && line.chars().count() > COMMENT_LIMIT && is_comment(line) {
                add("long comment", format!("{}:{}", source.path, number + 1));
            }
        }
        let lines = source.text.lines().count();
        if lines > FILE_LIMIT {
            add("long file", format!("{} {lines}", source.path));
        }
    }
    for circle in circles::all(crates) {
        add("circle", circle.join(" "));
    }
    items.values_mut().for_each(|items| items.sort());
    items
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") || line.contains(" // ")
}

/// Functions with their lines, from the line of `fn` to the brace in the same column, as rustfmt writes it.
fn functions(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let begins: Vec<(usize, &str)> =
        lines.iter().enumerate().filter_map(|(n, line)| Some((n, function(line)?))).collect();
    begins.into_iter().filter_map(move |(begin, name)| {
        let indent = lines[begin].len() - lines[begin].trim_start().len();
        let ends = |line: &&str| {
            line.trim_end() == format!("{}}}", " ".repeat(indent))
                || line.ends_with(");") && line.len() - line.trim_start().len() == indent
        };
        let end = lines[begin..].iter().position(|line| ends(line))?;
        Some((name, end + 1))
    })
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let mut words = line.trim_start().split(' ');
    let known = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
    let first = words.by_ref().find(|word| !known.contains(word))?;
    let name = (first == "fn").then(|| words.next()).flatten()?;
    name.split(['(', '<']).next()
}

fn compare(held: &Held, now: &Items) -> Vec<String> {
    let mut found = grown(held, now);
    for (kind, _) in KINDS {
        let (was, is) = (held.get(*kind).map_or(0, Vec::len), now[kind].len());
        if is < was {
            found.push(format!(
                "there are {is} of the kind `{kind}`, and no more {was}; run `cargo xtask tidy --lower`"
            ));
        }
    }
    found
}

/// What there is more of than before. Which item is the new one is told by its name without its numbers, so that one
/// that was moved along within its file is none.
fn grown(held: &Held, now: &Items) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, mend) in KINDS {
        let before = held.get(*kind).map_or(&[][..], Vec::as_slice);
        let items = &now[kind];
        if *kind == "circle" {
            // A smaller circle within an old one is a step out of it.
            let is_within = |item: &str| {
                before
                    .iter()
                    .any(|old| item.split(' ').all(|file| old.split(' ').any(|o| o == file)))
            };
            let new = items.iter().filter(|item| !is_within(item));
            found.extend(new.map(|item| format!("a new circle of files: {item}; {mend}")));
        } else if items.len() > before.len() {
            let mut left: Vec<&str> = before.iter().map(|old| unnumbered(old)).collect();
            for item in items {
                match left.iter().position(|old| *old == unnumbered(item)) {
                    Some(at) => drop(left.swap_remove(at)),
                    None => found.push(format!("{item}: a new {kind}; {mend}")),
                }
            }
        }
    }
    found
}

/// An item without what changes when lines move: `a.rs f 80` and `a.rs:17`.
fn unnumbered(item: &str) -> &str {
    item.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches([' ', ':'])
}

type Held = BTreeMap<String, Vec<String>>;

fn written(items: &Items) -> String {
    let mut text = String::from(
        "# What there is too much of, and may only become less of. Written by `cargo xtask tidy --lower`; after a conflict\n\
         # take either side and run that.\n",
    );
    for (kind, _) in KINDS {
        let _ = writeln!(text, "\n{kind}: {}", items[kind].len());
        for item in &items[kind] {
            let _ = writeln!(text, "  {item}");
        }
    }
    text
}

fn read(text: &str) -> Held {
    let mut held = Held::new();
    let mut kind = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match line.strip_prefix("  ") {
            Some(item) => held.entry(kind.clone()).or_default().push(item.to_owned()),
            None => {
                kind = line.split(':').next().unwrap_or_default().to_owned();
                held.entry(kind.clone()).or_default();
            }
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::{Items, KINDS, compare, functions, grown, read, written};

    fn items(given: &[(&'static str, &[&str])]) -> Items {
        let mut items: Items = KINDS.iter().map(|(kind, _)| (*kind, Vec::new())).collect();
        for (kind, of) in given {
            items.insert(kind, of.iter().map(|item| (*item).to_owned()).collect());
        }
        items
    }

    #[test]
    fn what_grew_is_named_and_what_shrank_asks_to_be_lowered() {
        let before = items(&[
            ("long function", &["a.rs f 80", "b.rs g 90"]),
            ("long comment", &["a.rs:3"]),
            ("circle", &["a.rs b.rs c.rs"]),
        ]);
        let held = read(&written(&before));
        assert!(compare(&held, &before).is_empty());
        let more = items(&[
            ("long function", &["a.rs f 81", "a.rs h 75", "b.rs g 90"]),
            ("circle", &["a.rs b.rs", "c.rs d.rs"]),
        ]);
        let found = compare(&held, &more);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("a.rs h 75: a new long function"), "{found:?}");
        assert!(found[1].starts_with("a new circle of files: c.rs d.rs"), "{found:?}");
        assert!(found[2].contains("0 of the kind `long comment`, and no more 1"), "{found:?}");
        assert!(grown(&held, &items(&[("long function", &["moved.rs f 80"])])).is_empty());
    }

    #[test]
    fn the_lines_of_a_function_are_counted() {
        let text = "impl A {\n    pub(crate) async fn f<T>(\n        t: T,\n    ) -> T {\n        t\n    }\n}\n\nfn g() {}\n";
        let found: Vec<_> = functions(text).collect();
        assert_eq!(found[0], ("f", 5));
    }
}
