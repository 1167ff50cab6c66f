//! Numbers that may only shrink: what there is too much of today, and never more of. They stand in `xtask/ratchet.txt`,
//! each kind with its items, so that whoever adds to one is told where.

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

/// Of each kind its items, each with its number: lines, comments, or files of a circle.
type Items = BTreeMap<String, BTreeMap<String, usize>>;

/// What has grown, and what has shrunk without the file being lowered.
pub fn check(sources: &[Source], crates: &[Crate<'_>]) -> anyhow::Result<Vec<String>> {
    let path = root().join(FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(compare(&read(&text), &count(sources, crates)))
}

/// Writes the file anew if nothing has grown; gives what has. An empty file is one that begins.
pub fn lower(sources: &[Source], crates: &[Crate<'_>]) -> anyhow::Result<Vec<String>> {
    let path = root().join(FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let now = count(sources, crates);
    let held = read(&text);
    let grown = if held.is_empty() { Vec::new() } else { grown(&held, &now) };
    if grown.is_empty() {
        std::fs::write(&path, written(&now))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(grown)
}

fn count(sources: &[Source], crates: &[Crate<'_>]) -> Items {
    let mut items = Items::new();
    let mut add = |kind: &str, item: String, number: usize| {
        *items.entry(kind.to_owned()).or_default().entry(item).or_default() += number;
    };
    for source in sources {
        for (name, lines) in functions(&source.text).filter(|(_, l)| *l > FUNCTION_LIMIT) {
            add("long function", format!("{} {name}", source.path), lines);
        }
        let too_long = |line: &&str| line.chars().count() > COMMENT_LIMIT && is_comment(line);
        let comments = source.text.lines().filter(too_long).count();
        if comments > 0 {
            add("long comment", source.path.clone(), comments);
        }
        let lines = source.text.lines().count();
        if lines > FILE_LIMIT {
            add("long file", source.path.clone(), lines);
        }
    }
    for circle in circles::all(crates) {
        add("circle", circle.join(" "), circle.len());
    }
    items
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//") || line.contains(" // ")
}

/// Functions with their lines, from the line of `fn` to the end in the same column, as rustfmt writes it.
fn functions(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let begins: Vec<(usize, &str)> =
        lines.iter().enumerate().filter_map(|(n, line)| Some((n, function(line)?))).collect();
    begins.into_iter().filter_map(move |(begin, name)| {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let ends = |line: &&str| {
            indent(line) == indent(lines[begin])
                && (line.ends_with(';') || line.trim() == "}" || line.ends_with("{}"))
        };
        Some((name, lines[begin..].iter().position(ends)? + 1))
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

fn compare(held: &Items, now: &Items) -> Vec<String> {
    let mut found = grown(held, now);
    for (kind, _) in KINDS {
        let (was, is) = (sum(held, kind), sum(now, kind));
        if is < was {
            found.push(format!(
                "{FILE}: `{kind}` stands at {was} and is {is} now; run `cargo xtask tidy --lower`"
            ));
        }
    }
    found
}

/// Each kind whose sum has grown, with the items that are new or larger. What only moved is no growth.
fn grown(held: &Items, now: &Items) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, mend) in KINDS {
        let (was, is) = (sum(held, kind), sum(now, kind));
        if is <= was {
            continue;
        }
        let before = |item: &String| held.get(*kind).and_then(|items| items.get(item));
        for (item, number) in now.get(*kind).into_iter().flatten() {
            let why = match before(item) {
                None => format!("a new {kind} ({number})"),
                Some(old) if number > old => format!("its {kind} grew from {old} to {number}"),
                Some(_) => continue,
            };
            found.push(format!("{item}: {why}, and the sum from {was} to {is}; {mend}"));
        }
    }
    found
}

fn sum(items: &Items, kind: &str) -> usize {
    items.get(kind).map_or(0, |items| items.values().sum())
}

fn written(items: &Items) -> String {
    let mut text = String::from(
        "# What there is too much of, and may only become less of. Written by `cargo xtask tidy --lower`; after a conflict\n\
         # take the side with the larger numbers and run that.\n",
    );
    for (kind, _) in KINDS {
        let _ = writeln!(text, "\n{kind}: {}", sum(items, kind));
        for (item, number) in items.get(*kind).into_iter().flatten() {
            let _ = writeln!(text, "  {number:4} {item}");
        }
    }
    text
}

fn read(text: &str) -> Items {
    let mut held = Items::new();
    let mut kind = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix("  "), line.split_once(':')) {
            (Some(item), _) => {
                let (number, item) = item.trim_start().split_once(' ').unwrap_or_default();
                let number = number.parse().unwrap_or_default();
                held.entry(kind.to_owned()).or_default().insert(item.to_owned(), number);
            }
            (None, Some((name, _))) => kind = name,
            (None, None) => {}
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::{Items, compare, functions, grown, read, written};

    fn items(given: &[(&str, &str, usize)]) -> Items {
        let mut items = Items::new();
        for (kind, item, number) in given {
            items.entry((*kind).to_owned()).or_default().insert((*item).to_owned(), *number);
        }
        items
    }

    #[test]
    fn what_grew_is_named_and_what_shrank_asks_to_be_lowered() {
        let before = items(&[
            ("long function", "a.rs f", 80),
            ("long function", "b.rs g", 90),
            ("long comment", "a.rs", 3),
            ("circle", "a.rs b.rs c.rs", 3),
        ]);
        let held = read(&written(&before));
        assert_eq!(held, before);
        assert!(compare(&held, &before).is_empty());
        let more = items(&[
            ("long function", "a.rs f", 80),
            ("long function", "a.rs h", 75),
            ("long function", "b.rs g", 91),
            ("long comment", "a.rs", 2),
            ("circle", "b.rs c.rs", 2),
        ]);
        let found = compare(&held, &more);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("a.rs h: a new long function (75), and the sum"), "{found:?}");
        assert!(found[1].starts_with("b.rs g: its long function grew from 90 to 91"), "{found:?}");
        assert!(found[2].contains("`long comment` stands at 3 and is 2 now"), "{found:?}");
        let moved = items(&[("long function", "moved.rs f", 80), ("long function", "b.rs g", 90)]);
        assert!(grown(&held, &moved).is_empty());
    }

    #[test]
    fn the_lines_of_a_function_are_counted() {
        let text = "impl A {\n    pub(crate) async fn f<T>(\n        t: T,\n    ) -> T {\n        t\n    }\n}\n\n\
            trait B {\n    fn g();\n    fn h(\n        x: u8,\n    );\n}\nfn i() {}\n";
        let found: Vec<_> = functions(text).collect();
        assert_eq!(found, [("f", 5), ("g", 1), ("h", 3), ("i", 1)]);
    }
}
