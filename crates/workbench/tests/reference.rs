//! `docs/reference/` says the truth: every kind of mistake has its entry, and every example does what is said of it.

use amends_protocol::{ActionName, Verb};
use amends_rulebook::{
    CODES, CodeInfo, Diagnostic, FoundBy, SourceFile, StillNeeded, check_activation,
    check_together, load, render, sources_together,
};
use amends_workbench::{CheckSettings, check_with};
use std::collections::{BTreeMap, BTreeSet};

const DIAGNOSTICS: &str = include_str!("../../../docs/reference/diagnostics.md");
const RULEBOOK: &str = include_str!("../../../docs/reference/rulebook.md");
const HOW_TO_SAY: &str = include_str!("../../../docs/guides/how-do-i-say-it.md");

/// Need thousands of rules, or the tests beside a rulebook, to show; `limits.rs` and `check.rs` do.
const WITHOUT_EXAMPLE: &[&str] = &[
    "conditions-too-entangled",
    "not-fully-checked",
    "not-proved",
    "rule-without-test",
    "unreadable-file",
];

/// Where the index of the page stands.
const INDEX: (&str, &str) = ("## All codes\n\n", "\n## The text itself");

/// The index as the entries make it: each code with the first sentence of its entry, in their order.
fn index() -> String {
    let mut index = String::from("| code | what is wrong |\n| --- | --- |\n");
    for entry in DIAGNOSTICS.split("\n### `").skip(1) {
        let (code, rest) = entry.split_once('`').expect("a code in backticks");
        let paragraph = rest.trim_start().split("\n\n").next().expect("it says something");
        let paragraph = paragraph.replace('\n', " ");
        let sentence = &paragraph[..first_sentence(&paragraph)];
        let sentence = sentence.trim_end_matches(['.', ':', ' ']).replace('|', "\\|");
        index.push_str(&format!("| [`{code}`](#{code}) | {sentence} |\n"));
    }
    index
}

/// Where the first sentence ends. A stop within code ends none.
fn first_sentence(text: &str) -> usize {
    let mut in_code = false;
    for (at, c) in text.char_indices() {
        match c {
            '`' => in_code = !in_code,
            '.' if !in_code && text[at + 1..].starts_with(' ') => return at,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn the_index_lists_every_entry() {
    let (before, rest) = DIAGNOSTICS.split_once(INDEX.0).expect("it has an index");
    let (written, after) = rest.split_once(INDEX.1).expect("entries follow");
    let wanted = index();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = format!("{before}{}{wanted}{}{after}", INDEX.0, INDEX.1);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/diagnostics.md");
        std::fs::write(path, page).expect("the page is there");
        return;
    }
    assert!(
        written == wanted,
        "the index is not what the entries say; write it anew with\n  \
         UPDATE_DOCS=1 cargo test --workspace --test reference -- the_index"
    );
}

/// Code -> its two examples.
fn entries() -> BTreeMap<&'static str, Vec<&'static str>> {
    let sections = DIAGNOSTICS.split("\n### `").skip(1);
    sections
        .map(|section| {
            let (code, rest) = section.split_once('`').expect("a code in backticks");
            (code, blocks(rest))
        })
        .collect()
}

fn blocks(text: &str) -> Vec<&str> {
    text.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap_or("")).collect()
}

fn files(example: &str) -> Vec<SourceFile> {
    let mut files: Vec<(String, String)> = vec![("shop.yaml".to_owned(), String::new())];
    for line in example.split_inclusive('\n') {
        match line.strip_prefix("# file: ") {
            Some(name) => files.push((name.trim().to_owned(), String::new())),
            None => files.last_mut().expect("never empty").1.push_str(line),
        }
    }
    files.retain(|(_, text)| text.lines().any(|l| !l.starts_with('#')));
    files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect()
}

fn info(code: &str) -> &'static CodeInfo {
    CODES.iter().find(|c| c.code == code).expect("a known code")
}

/// Everything that is found in an example of a code, and how it is shown. What only `check` finds is looked for in its own
/// examples alone: the others are about loading.
fn check(example: &str, about: FoundBy, code: &str) -> (Vec<Diagnostic>, String) {
    let files = files(example);
    let is_rulebook = |f: &&SourceFile| f.text.contains("rulebook:");
    let mut roots: Vec<_> = files.iter().filter(is_rulebook).cloned().collect();
    if roots.is_empty() {
        roots.push(files[0].clone());
    }
    let (mut found, mut shown, mut books) = (Vec::new(), String::new(), Vec::new());
    for root in roots {
        let loaded = load(root, &mut |path| {
            let file = files.iter().find(|f| f.path == path);
            file.map(|f| f.text.to_string()).ok_or_else(|| "no such file".to_owned())
        });
        shown += &render(&loaded.diagnostics, &loaded.sources, false);
        // A rulebook without a default is what some of these examples are about.
        found.extend(
            loaded
                .diagnostics
                .into_iter()
                .filter(|d| about == FoundBy::Load || d.code != "no-default-rule"),
        );
        for book in loaded.rulebook.iter() {
            let mut settings = CheckSettings::default();
            let more = match about {
                FoundBy::Load => Vec::new(),
                FoundBy::Check => check_with(book, &settings),
                FoundBy::CheckIfAsked => {
                    settings.set(code, Some(info(code).severity)).expect("can be set");
                    check_with(book, &settings)
                }
                FoundBy::Activation => check_activation(
                    book,
                    &[StillNeeded {
                        verb: Verb::Compensate,
                        action: ActionName::new("payment", "pay"),
                        cases: 1,
                    }],
                ),
            };
            shown += &render(&more, book.sources(), false);
            found.extend(more);
        }
        books.extend(loaded.rulebook);
    }
    let together = check_together(&books);
    shown += &render(&together, &sources_together(&books), false);
    found.extend(together);
    (found, shown)
}

#[test]
fn every_kind_of_mistake_has_its_entry() {
    let documented: BTreeSet<&str> = entries().into_keys().collect();
    let known: BTreeSet<&str> = CODES.iter().map(|c| c.code).collect();
    assert_eq!(documented, known);
}

#[test]
fn a_wrong_example_has_its_mistake_alone_and_the_right_one_has_none() {
    for (code, examples) in entries() {
        if WITHOUT_EXAMPLE.contains(&code) {
            continue;
        }
        let [wrong, right] = examples.as_slice() else {
            panic!("`{code}` has {} examples", examples.len());
        };
        let about = info(code).found_by;
        let (found, shown) = check(wrong, about, code);
        let codes: BTreeSet<_> = found.iter().map(|d| d.code).collect();
        assert_eq!(
            codes,
            BTreeSet::from([code]),
            "the wrong example of `{code}`\n{wrong}\n{shown}"
        );
        assert!(found.iter().all(|d| d.help.is_some()), "`{code}` says how to mend it\n{shown}");
        let (found, shown) = check(right, about, code);
        assert!(found.is_empty(), "the right example of `{code}`\n{right}\n{shown}");
    }
}

#[test]
fn the_examples_of_the_language_and_of_its_guide_are_rulebooks() {
    let pages = [RULEBOOK, HOW_TO_SAY].map(blocks).concat();
    let whole: Vec<_> = pages.into_iter().filter(|b| b.contains("rulebook:")).collect();
    assert!(whole.len() > 12);
    for example in whole {
        let (found, shown) = check(example, FoundBy::Check, "");
        assert!(found.is_empty(), "{example}\n{shown}");
    }
}
