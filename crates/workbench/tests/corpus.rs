//! A corpus of rulebooks as files: some with one planted mistake each, whose whole output is compared, and some that are
//! right, in which nothing is found. `AMENDS_BLESS=1 cargo test` writes the outputs anew, for a person to read.
//!
//! The first lines of a file say what to do: `# expects: code`, `# along-with: code` (what follows from the mistake),
//! `# severity: code=word`, `# tested: rule …` (the rules that
//! tests reach), `# needed: 3 compensate card.charge` (steps of open cases). `# file: name` begins another file.

use amends_rulebook::{
    CODES, Diagnostic, Severity, SourceFile, StillNeeded, check_activation, check_together, load,
    render, sources_together,
};
use amends_workbench::{CheckSettings, as_json, check_with, format, sarif};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Need thousands of rules to show; `limits.rs` and `scale.rs` do.
const NOT_IN_FILES: &[&str] =
    &["conditions-too-entangled", "not-fully-checked", "not-proved", "unreadable-file"];

fn files(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus").join(folder);
    let mut all: Vec<PathBuf> = fs::read_dir(path)
        .expect("the corpus is there")
        .map(|e| e.expect("readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    all.sort();
    all
}

struct Case {
    name: String,
    text: String,
    files: Vec<SourceFile>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("readable");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut files = vec![(format!("{name}.yaml"), String::new())];
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("# file: ") {
                Some(file) => files.push((file.trim().to_owned(), String::new())),
                None => files.last_mut().expect("never empty").1.push_str(line),
            }
        }
        let files = files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() });
        Self { name, text: text.clone(), files: files.collect() }
    }

    fn head(&self, key: &str) -> Option<&str> {
        let lines = self.text.lines().take_while(|l| l.starts_with('#'));
        lines.into_iter().find_map(|l| l.strip_prefix(&format!("# {key}: ")))
    }

    fn roots(&self) -> impl Iterator<Item = &SourceFile> {
        let more = self.files[1..].iter().filter(|f| f.text.contains("rulebook:"));
        std::iter::once(&self.files[0]).chain(more)
    }

    /// What `amends rules check` finds and shows.
    fn check(&self) -> (Vec<Diagnostic>, String) {
        let (mut all, mut shown, mut books) = (Vec::new(), String::new(), Vec::new());
        for root in self.roots() {
            let loaded = load(root.clone(), &mut |path| {
                let file = self.files[1..].iter().find(|f| f.path == path);
                file.map(|f| f.text.to_string()).ok_or_else(|| "no such file".to_owned())
            });
            let mut found = loaded.diagnostics;
            for book in loaded.rulebook.iter() {
                let mut settings = CheckSettings::default();
                if let Some((code, word)) = self.head("severity").and_then(|s| s.split_once('=')) {
                    let severity =
                        if word == "error" { Severity::Error } else { Severity::Warning };
                    settings.set(code, Some(severity)).expect("a code");
                }
                settings.tested = self.head("tested").map(|rules| {
                    let of =
                        |on: &str| book.rules().iter().find(|r| r.on == on).expect("a rule").id;
                    rules.split(' ').map(of).collect()
                });
                found.extend(check_with(book, &settings));
                let needed = self.head("needed").map(|text| {
                    let mut words = text.split(' ');
                    let mut next = || words.next().expect("three words");
                    StillNeeded {
                        cases: next().parse().expect("a number"),
                        verb: next().parse().expect("a verb"),
                        action: next().parse().expect("an action"),
                    }
                });
                found.extend(check_activation(book, needed.as_slice()));
            }
            shown += &render(&found, &loaded.sources, false);
            all.extend(found);
            books.extend(loaded.rulebook);
        }
        let together = check_together(&books);
        shown += &render(&together, &sources_together(&books), false);
        all.extend(together);
        (all, shown)
    }
}

#[test]
fn each_planted_mistake_is_found_alone_and_shown_in_full() {
    let mut seen = BTreeSet::new();
    let paths = files("mistakes");
    assert!(paths.len() >= 200, "{}", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let case = Case::read(&path);
        let (found, shown) = case.check();
        let expected = case.head("expects").expect("it says what it expects");
        let codes: BTreeSet<_> = found.iter().map(|d| d.code).collect();
        let with = case.head("along-with");
        if codes != BTreeSet::from_iter([expected].into_iter().chain(with)) {
            wrong.push(format!("{}: {codes:?}\n{shown}", case.name));
            continue;
        }
        assert!(found.iter().all(|d| d.help.is_some()), "{} says how to mend it", case.name);
        seen.insert(expected.to_owned());
        let kept = path.with_extension("out");
        if std::env::var_os("AMENDS_BLESS").is_some() {
            fs::write(&kept, &shown).expect("writable");
        }
        let before = fs::read_to_string(&kept).unwrap_or_default();
        assert_eq!(before, shown, "{}", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let known: BTreeSet<String> = CODES
        .iter()
        .map(|c| c.code.to_owned())
        .filter(|c| !NOT_IN_FILES.contains(&c.as_str()))
        .collect();
    assert_eq!(seen, known, "every kind of mistake at least once");
}

#[test]
fn in_the_right_ones_nothing_is_found() {
    let paths = files("good");
    assert!(paths.len() >= 40, "{}", paths.len());
    for path in paths {
        let case = Case::read(&path);
        let (found, shown) = case.check();
        assert!(found.is_empty(), "{}\n{shown}", case.name);
    }
}

#[test]
fn formatting_keeps_the_meaning_and_every_comment_and_is_done_once() {
    let all = files("mistakes").into_iter().chain(files("good"));
    let mut formatted = 0;
    for path in all {
        for source in Case::read(&path).files {
            let Ok(once) = format(&source.text) else {
                continue;
            };
            formatted += 1;
            assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "{}", source.path);
            assert_eq!(as_json(&once), as_json(&source.text), "{}", source.path);
            let comments = |text: &str| {
                text.lines()
                    .filter_map(|l| l.find("# ").map(|n| l[n..].trim_end().to_owned()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(comments(&once), comments(&source.text), "{}", source.path);
        }
    }
    assert!(formatted > 80, "{formatted}");
}

#[test]
fn findings_in_sarif_stand_at_the_same_places() {
    for path in files("mistakes") {
        let case = Case::read(&path);
        let root = case.files[0].clone();
        let loaded = load(root, &mut |_| Err("no such file".to_owned()));
        let found = loaded.diagnostics;
        let all = sarif(&[(&found, &loaded.sources)]);
        let run = &all["runs"][0];
        let results = run["results"].as_array().expect("a list");
        assert_eq!(results.len(), found.len());
        for (result, diagnostic) in results.iter().zip(&found) {
            let json = diagnostic.to_json(&loaded.sources);
            let region = &result["locations"][0]["physicalLocation"]["region"];
            assert_eq!(
                (&region["startLine"], &region["endColumn"]),
                (&json["line"], &json["endColumn"])
            );
            let rule = result["ruleIndex"].as_u64().expect("known") as usize;
            assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], Value::from(diagnostic.code));
        }
    }
}
