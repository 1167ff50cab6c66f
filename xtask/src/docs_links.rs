//! Links between the documents: the file is there, and so is the heading.

use crate::sources::{Source, root};

/// Every relative link that leads nowhere.
pub fn check(documents: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents {
        for (line, target) in links(&document.text) {
            if let Some(why) = broken(document, &target, documents) {
                found.push(format!("{}:{line}: link `{target}`: {why}", document.path));
            }
        }
    }
    found
}

fn broken(from: &Source, target: &str, documents: &[Source]) -> Option<String> {
    let is_elsewhere =
        target.contains("://") || target.starts_with("mailto:") || target.starts_with('/');
    if is_elsewhere || target.is_empty() {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.path.clone() } else { resolve(&from.path, file) };
    let Some(document) = documents.iter().find(|d| d.path == path) else {
        return (!root().join(&path).exists()).then(|| format!("there is no `{path}`"));
    };
    let is_there = anchor.is_empty() || headings(&document.text).any(|h| h == anchor);
    (!is_there).then(|| format!("`{path}` has no heading for `#{anchor}`"))
}

/// The path of `file` as written in the document `from`.
fn resolve(from: &str, file: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Targets of `[text](target)` with their lines; code is left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // What stands between backticks is code.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                found.push((number, target.split(' ').next().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}

/// Lines outside fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(n, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((n + 1, line))
    })
}

/// Headings as anchors, the way GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter_map(|(_, line)| {
        let heading = line.starts_with('#').then(|| line.trim_start_matches('#').trim())?;
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::sources::Source;

    #[test]
    fn a_link_needs_its_file_and_its_heading() {
        let text = "# One, two\n[a](#one-two) [b](#three) [c](../README.md) [d](nowhere.md) [e](https://x.example)\n\
            `[f](code.md)`\n```\n[g](fenced.md)\n```\n";
        let page = Source { path: "docs/page.md".to_owned(), text: text.to_owned() };
        let found = check(&[page]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("#three") && found[1].contains("docs/nowhere.md"), "{found:?}");
    }
}
