//! The words that GLOSSARY.md has given up stand nowhere any more: not in names, not in messages, not in docs; and a
//! name that it gives to one thing is declared for that thing only.

use crate::sources::Source;

/// Where the given up words are listed.
const GLOSSARY: &str = "GLOSSARY.md";
/// Its own tests are about such words.
const ITSELF: &str = "xtask/src/words.rs";
/// The heading of the list.
const HEADING: &str = "## Given up words";
/// The heading of the list of names that one type has to itself.
const ONE_THING: &str = "## Names of one thing";

/// One line of the list.
struct GivenUp {
    /// `CamelCase` forbids it as a part of such names, `snake_case` as a part of such names and as a word of a text;
    /// with a space in it, it is a phrase.
    word: String,
    better: String,
    /// Paths that begin so may have it: there it means something else.
    allowed: Vec<String>,
}

/// Every place where a given up word stands, with the word to use.
pub fn check(sources: &[Source]) -> Vec<String> {
    let Some(glossary) = sources.iter().find(|s| s.path == GLOSSARY) else {
        return vec![format!("{GLOSSARY} is missing")];
    };
    let list = read(&glossary.text);
    if list.is_empty() {
        return vec![format!("{GLOSSARY}: there is no list under `{HEADING}`")];
    }
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.path != GLOSSARY && s.path != ITSELF) {
        let banned: Vec<&GivenUp> = list
            .iter()
            .filter(|it| !it.allowed.iter().any(|a| source.path.starts_with(a)))
            .collect();
        let places = std::iter::once((0, source.path.as_str()));
        for (line, text) in places.chain((1..).zip(source.text.lines())) {
            for it in banned.iter().filter(|it| holds(text, &it.word)) {
                let path = &source.path;
                found
                    .push(format!("{path}:{line}: `{}` is given up; say `{}`", it.word, it.better));
            }
        }
    }
    found.extend(declared_twice(sources, &glossary.text));
    found
}

/// Every type of the product's sources that has a name which another type has to itself. Tests may name their fakes as
/// they like.
fn declared_twice(sources: &[Source], glossary: &str) -> Vec<String> {
    let names = rows(glossary, ONE_THING);
    if names.is_empty() {
        return vec![format!("{GLOSSARY}: there is no list under `{ONE_THING}`")];
    }
    let is_product = |path: &str| {
        path.starts_with("crates/") && path.contains("/src/") && !path.contains("/tests/")
    };
    let mut found = Vec::new();
    for [names, _, homes] in &names {
        for name in names {
            let missing = homes.iter().filter(|home| {
                !sources.iter().any(|s| s.path == **home && !declarations(&s.text, name).is_empty())
            });
            found.extend(missing.map(|home| format!("{home}: `{name}` is not declared here")));
            for source in sources.iter().filter(|s| is_product(&s.path) && !homes.contains(&s.path))
            {
                for line in declarations(&source.text, name) {
                    let (path, home) = (&source.path, homes.join("`, `"));
                    found.push(format!(
                        "{path}:{line}: `{name}` is the type in `{home}`; name this one otherwise"
                    ));
                }
            }
        }
    }
    found
}

/// Lines that declare a type of this very name.
fn declarations(text: &str, name: &str) -> Vec<usize> {
    let declares = |line: &str| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let kind =
            words.by_ref().find(|word| !matches!(*word, "" | "pub" | "crate" | "super" | "in"));
        matches!(kind, Some("struct" | "enum" | "trait" | "type")) && words.next() == Some(name)
    };
    (1..).zip(text.lines()).filter(|(_, line)| declares(line)).map(|(n, _)| n).collect()
}

/// The words in backticks of each cell of the table under a heading.
fn rows(glossary: &str, heading: &str) -> Vec<[Vec<String>; 3]> {
    let section = glossary.split_once(heading).map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(first, _)| first);
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let ticked = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        std::array::from_fn(|_| ticked(cells.next().unwrap_or_default()))
    })
    .collect()
}

/// The rows of the table `| not | but | may stand in |`.
fn read(glossary: &str) -> Vec<GivenUp> {
    let rows = rows(glossary, HEADING).into_iter();
    rows.flat_map(|[words, better, allowed]| {
        let better = better.join("`, `");
        words.into_iter().map(move |word| GivenUp {
            word,
            better: better.clone(),
            allowed: allowed.clone(),
        })
    })
    .collect()
}

/// Whether a line has a word, as a part of a name or in a sentence.
fn holds(line: &str, word: &str) -> bool {
    let is_camel = word.starts_with(|c: char| c.is_ascii_uppercase());
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_lowercase());
        let begins = match is_camel {
            true => !before.is_some_and(|c| c.is_ascii_uppercase()),
            false => !before.is_some_and(|c| c.is_ascii_alphabetic()),
        };
        begins && ends(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_given_up_word_is_found_in_names_texts_and_paths_and_only_as_a_whole() {
        let glossary = "# Words\n\n## Given up words\n\n| not | but | may stand in |\n| --- | --- | --- |\n| `Lane`, \
                        `lane` | `ServiceQueue` | |\n| `errand` | `effect` | `demo/` |\n| `for a yes` | `for approval` \
                        | |\n\n## Names of one thing\n\n| `Event` | | `a/lane.rs` |\n\n## \
                        More\n\n| `more` | | |\n";
        let sources = [
            source("GLOSSARY.md", glossary),
            source(
                "a/lane.rs",
                "struct LaneStatus; // the plane, Planet and more\nfn of_lane() {}\nenum Event {}\n",
            ),
            source("demo/errands.rs", "an errand\n"),
            source("b.md", "It waits for a yes, on an errand."),
        ];
        let found = check(&sources);
        assert_eq!(
            found,
            [
                "a/lane.rs:0: `lane` is given up; say `ServiceQueue`",
                "a/lane.rs:1: `Lane` is given up; say `ServiceQueue`",
                "a/lane.rs:2: `lane` is given up; say `ServiceQueue`",
                "b.md:1: `errand` is given up; say `effect`",
                "b.md:1: `for a yes` is given up; say `for approval`",
            ]
        );
        assert_eq!(check(&[source("GLOSSARY.md", "# Words\n")]).len(), 1);
    }

    #[test]
    fn a_name_of_one_thing_is_declared_for_nothing_else() {
        let glossary = "## Given up words\n\n| `x` | `y` | |\n\n## Names of one thing\n\n| name | is | where |\n| \
                        --- | --- | --- |\n| `Event` | what happened | `crates/engine/src/effect.rs` |\n| `Place` | where \
                        | `crates/a/src/place.rs` |\n";
        let sources = [
            source("GLOSSARY.md", glossary),
            source("crates/engine/src/effect.rs", "\npub struct Event {\n}\n"),
            source(
                "crates/b/src/lib.rs",
                "struct EventView;\n    pub(crate) enum Event {\nuse Event as E;\n",
            ),
            source("crates/b/tests/story.rs", "struct Event;\n"),
            source("crates/b/src/tests/rig.rs", "struct Event;\n"),
        ];
        assert_eq!(
            check(&sources),
            [
                "crates/b/src/lib.rs:2: `Event` is the type in `crates/engine/src/effect.rs`; name this one otherwise",
                "crates/a/src/place.rs: `Place` is not declared here",
            ]
        );
    }
}
