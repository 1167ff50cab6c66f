//! The threat model of `SECURITY.md`: each line names a defence and the tests that attack it, which are there.

use crate::sources::{Source, root};

const FILE: &str = "SECURITY.md";
/// Cells of the head of a table whose lines must name tests, in the last cell.
const HEAD: [&str; 3] = ["threat", "defence", "attacked by"];

/// Every line that names no test, or one that is not there.
pub fn check(documents: &[Source]) -> Vec<String> {
    let Some(document) = documents.iter().find(|d| d.path == FILE) else {
        return vec![format!("{FILE} is not there")];
    };
    let read = |path: &str| std::fs::read_to_string(root().join(path)).ok();
    findings(&document.text, &read)
}

fn findings(text: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let rows = rows(text);
    let mut found = Vec::new();
    if rows.is_empty() {
        found.push(format!("{FILE}: there is no table with the head `{}`", HEAD.join(" | ")));
    }
    for (number, cells) in rows {
        let mut tell = |what: String| found.push(format!("{FILE}:{number}: {what}"));
        let [threat, defence, tests] = cells.as_slice() else {
            tell(format!("a line of three cells is wanted, not of {}", cells.len()));
            continue;
        };
        if threat.is_empty() || defence.is_empty() {
            tell("a threat and its defence are wanted".to_owned());
        }
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            tell(format!("no test attacks the defence against `{threat}`"));
        }
        for test in named {
            match test.split_once("::") {
                None => tell(format!("`{test}` is no test; write `FILE::NAME`")),
                Some((path, name)) => {
                    let is_there = read(path).is_some_and(|file| holds(&file, name));
                    if !is_there {
                        tell(format!("there is no test `{name}` in `{path}`"));
                    }
                }
            }
        }
    }
    found
}

/// Whether a file has a test of this name: by its attribute, or as a story that becomes one for each database.
fn holds(file: &str, name: &str) -> bool {
    let stories =
        file.split("on_each_database!(").skip(1).filter_map(|rest| rest.split(')').next());
    if stories.flat_map(|names| names.split(',')).any(|story| story.trim() == name) {
        return true;
    }
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let declares = |line: &&str| {
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    lines.iter().enumerate().filter(|(_, line)| declares(line)).any(|(at, _)| {
        let above =
            lines[..at].iter().rev().take_while(|l| l.starts_with("#[") || l.starts_with("//"));
        above
            .into_iter()
            .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// The lines of the tables with the right head, with their numbers and cells.
fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut within = false;
    for (number, line) in text.lines().enumerate() {
        let Some(line) = line.trim().strip_prefix('|').and_then(|l| l.strip_suffix('|')) else {
            within = false;
            continue;
        };
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        if cells == HEAD {
            within = true;
        } else if within && !cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
            found.push((number + 1, cells));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::findings;

    #[test]
    fn a_defence_that_no_test_attacks_is_found() {
        let file = "#[test]\nfn it_is_refused() {}\n\nfn no_test() {}\n\n#[tokio::test(flavor = \"x\")]\n\
                    async fn it_is_refused_too() {}\n\ncrate::on_each_database!(\n    a_story, another_one,\n);\n";
        let read = |path: &str| (path == "tests/a.rs").then(|| file.to_owned());
        let table = |tests: &str| {
            format!(
                "# x\n\n| threat | defence | attacked by |\n| --- | --- | --- |\n| a lie | no | {tests} |\n\nEnd.\n"
            )
        };
        let of = |tests: &str| findings(&table(tests), &read);
        assert!(of("`tests/a.rs::it_is_refused`, `tests/a.rs::it_is_refused_too`").is_empty());
        assert!(of("`tests/a.rs::a_story`, `tests/a.rs::another_one`").is_empty());
        for (tests, says) in [
            ("`tests/a.rs::another`", "no test `another`"),
            ("", "SECURITY.md:5: no test attacks"),
            ("`tests/a.rs`", "is no test"),
            ("`tests/a.rs::no_test`", "no test `no_test` in `tests/a.rs`"),
            ("`tests/a.rs::it_is`", "no test `it_is`"),
            ("`tests/b.rs::it_is_refused`", "in `tests/b.rs`"),
        ] {
            assert!(of(tests).iter().any(|found| found.contains(says)), "{tests}: {:?}", of(tests));
        }
        assert_eq!(findings("# Nothing\n", &read).len(), 1);
    }
}
