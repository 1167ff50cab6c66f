//! Commands that pages, alert rules and help texts show: found, and split into words as a shell does.
#![allow(dead_code)] // each that includes it uses its own part

use std::path::{Path, PathBuf};

/// One shown command of `amends`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `docs/start.md:12`.
    pub place: String,
    /// As it stands there, with what redirects it.
    pub text: String,
    /// Its words, without `amends` itself.
    pub words: Vec<String>,
    /// Somebody may copy it as it is; else it is only spoken of.
    pub is_whole: bool,
}

/// Every command that the tree's pages and alert rules show.
pub fn of_pages() -> Vec<Shown> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for place in [
        "README.md",
        "GLOSSARY.md",
        "ARCHITECTURE.md",
        "docs",
        "deploy",
        "demo",
        "participants",
        "bench",
    ] {
        collect(&root.join(place), &mut files);
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("within").display().to_string();
        // Made of the commands themselves; their examples are found in their help.
        if name == "docs/reference/cli.md" {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a text");
        if name.ends_with(".yml") {
            all.extend(spoken(&name, &text).into_iter().map(|one| Shown { is_whole: true, ..one }));
        } else {
            all.extend(in_blocks(&name, &text));
            all.extend(spoken(&name, &text));
        }
    }
    all
}

fn collect(place: &Path, files: &mut Vec<PathBuf>) {
    if place.is_dir() {
        let name = place.file_name().unwrap_or_default();
        if name == "target" || name == "node_modules" {
            return;
        }
        for entry in std::fs::read_dir(place).expect("a folder") {
            collect(&entry.expect("an entry").path(), files);
        }
    } else if place.extension().is_some_and(|end| end == "md" || end == "yml") {
        files.push(place.to_owned());
    }
}

/// Those of the blocks that a shell or an init system would run.
fn in_blocks(name: &str, page: &str) -> Vec<Shown> {
    let mut all = Vec::new();
    let mut language: Option<&str> = None;
    let mut begun = String::new();
    for (n, line) in page.lines().enumerate() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            language = if language.is_some() { None } else { Some(fence) };
            continue;
        }
        let line = match language {
            Some("sh" | "bash" | "console") => line,
            Some("ini") => line.strip_prefix("ExecStart=").unwrap_or_default(),
            _ => continue,
        };
        begun.push_str(line);
        if begun.ends_with('\\') {
            begun.pop();
            continue;
        }
        all.extend(of_line(&format!("{name}:{}", n + 1), &std::mem::take(&mut begun)));
    }
    all
}

/// Those between backticks, outside of blocks.
fn spoken(name: &str, page: &str) -> Vec<Shown> {
    let mut open = false;
    let prose = page.lines().map(|line| {
        let is_fence = line.trim_start().starts_with("```");
        open ^= is_fence;
        if is_fence || open { "" } else { line }
    });
    let prose: Vec<&str> = prose.collect();
    let mut all = Vec::new();
    // A paragraph of its own has all its backticks in pairs.
    let mut at = 1;
    for paragraph in prose.split(|line| line.trim().is_empty()) {
        for span in paragraph.join("\n").split('`').skip(1).step_by(2) {
            let text = span.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\|", "|");
            let text = text.replace("{{ $labels.service }}", "payment");
            if text.starts_with("amends ") {
                let found = of_line(&format!("{name}:{at}"), &text);
                all.extend(found.into_iter().map(|one| Shown { is_whole: false, ..one }));
            }
        }
        at += paragraph.len() + 1;
    }
    all
}

/// The examples of a help text that is not folded.
pub fn of_help(command: &str, help: &str) -> Vec<Shown> {
    let examples = help.split("Example").nth(1).unwrap_or_default();
    let mut all = Vec::new();
    let mut begun = String::new();
    for line in examples.lines().skip(1).take_while(|line| line.starts_with("  ")) {
        begun.push_str(line.trim_start());
        if begun.ends_with('\\') {
            begun.pop();
            continue;
        }
        let line = std::mem::take(&mut begun);
        // What it does may stand behind it.
        let line = line.split("   ").next().unwrap_or_default();
        all.extend(of_line(&format!("amends {command} --help"), line));
    }
    all
}

/// The commands of one line of a shell.
fn of_line(place: &str, line: &str) -> Vec<Shown> {
    let mut all = Vec::new();
    for (text, mut words) in split(line) {
        while words.first().is_some_and(|word| word.contains('=') && !word.starts_with('-')) {
            words.remove(0);
        }
        if words.starts_with(&["cargo".to_owned(), "run".to_owned()]) {
            let Some(at) = words.iter().position(|word| word == "--") else { continue };
            let is_ours = !words.contains(&"-p".to_owned());
            words.drain(..=at);
            if is_ours {
                all.push(Shown { place: place.to_owned(), text, words, is_whole: true });
            }
        } else if words.first().is_some_and(|word| word.rsplit('/').next() == Some("amends")) {
            words.remove(0);
            all.push(Shown { place: place.to_owned(), text, words, is_whole: true });
        }
    }
    all
}

/// The simple commands of a line: each as it stands, and its words without quotes and redirections.
fn split(line: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let (mut text, mut words) = (String::new(), Vec::new());
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut is_target = false;
    let mut chars = line.chars().peekable();
    loop {
        let next = chars.next();
        let ends_word = match (next, quote) {
            (None, _) => true,
            (Some(c), Some(open)) if c == open => {
                quote = None;
                text.push(c);
                continue;
            }
            (Some('$'), Some('"')) if chars.peek() == Some(&'(') => true,
            (Some(c), Some(_)) => {
                text.push(c);
                word.get_or_insert_default().push(c);
                continue;
            }
            (Some(c @ ('\'' | '"')), None) => {
                quote = Some(c);
                text.push(c);
                word.get_or_insert_default();
                continue;
            }
            (Some('$'), None) if chars.peek() == Some(&'(') => true,
            (Some(c), None) if c.is_whitespace() || "|;&()<>".contains(c) => true,
            (Some('#'), None) if word.is_none() => true,
            (Some(c), None) => {
                text.push(c);
                word.get_or_insert_default().push(c);
                continue;
            }
        };
        debug_assert!(ends_word, "all else has gone on");
        if let Some(word) = word.take()
            && !std::mem::take(&mut is_target)
        {
            words.push(word);
        }
        match next {
            Some(c) if c.is_whitespace() => text.push(c),
            Some(c @ ('<' | '>')) => {
                is_target = true;
                text.push(c);
            }
            end => {
                quote = None;
                found.push((
                    std::mem::take(&mut text).trim().to_owned(),
                    std::mem::take(&mut words),
                ));
                if end.is_none() || end == Some('#') {
                    found.retain(|(_, words)| !words.is_empty());
                    return found;
                }
            }
        }
    }
}

#[cfg(test)]
mod commands_are_found {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        of_line("", line).iter().map(|one| one.words.join("|")).collect()
    }

    #[test]
    fn wherever_a_shell_would_run_them() {
        assert_eq!(words("amends cases show c-1   # tells"), ["cases|show|c-1"]);
        assert_eq!(words("copy=\"$(amends backup)\""), ["backup"]);
        assert_eq!(
            words("step=$(amends cases show c-7 --json | head -1)"),
            ["cases|show|c-7|--json"]
        );
        assert_eq!(words("X=1 target/release/amends top && amends audit > x"), ["top", "audit"]);
        assert_eq!(words("amends rules fmt - < a.yaml"), ["rules|fmt|-"]);
        assert_eq!(words("amends audit --reason 'a | b; c'"), ["audit|--reason|a | b; c"]);
        assert_eq!(words("cargo run --release -- demo --stay"), ["demo|--stay"]);
        assert!(words("install target/release/amends /usr/bin/amends; # amends top").is_empty());
    }
}
