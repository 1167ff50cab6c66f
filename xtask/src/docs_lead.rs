//! Pages lead with an example: who opens one sees what it is about before it is explained.

use crate::sources::Source;

/// How far down the first example may stand.
const LINES: usize = 30;

/// Pages that are lists of others, or of sentences.
const LISTS: &[&str] = &[
    "docs/README.md",
    "docs/alerts/README.md",
    "docs/internals/conformance-sentences.md",
    "docs/reference/diagnostics.md",
    "docs/reference/schemas/README.md",
];

/// Every page of the documentation that explains for long before it shows anything.
pub fn check(pages: &[Source]) -> Vec<String> {
    let is_page = |page: &&Source| page.path.starts_with("docs/") || page.path == "README.md";
    let explains = |page: &&Source| !page.text.lines().take(LINES).any(is_example);
    let late = pages.iter().filter(is_page).filter(explains);
    late.filter(|page| !LISTS.contains(&page.path.as_str()))
        .map(|page| {
            format!("{}: its first {LINES} lines have no example; lead with one", page.path)
        })
        .collect()
}

/// A block of code begins.
fn is_example(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_only_explains_is_found() {
        let page = |path: &str, text: String| Source { path: path.to_owned(), text };
        let prose = "words\n".repeat(LINES);
        let pages = [
            page("docs/good.md", "# Good\n\n   ```sh\n   amends\n   ```\n".to_owned()),
            page("docs/late.md", format!("{prose}```sh\namends\n```\n")),
            page("docs/README.md", prose.clone()),
            page("crates/a/README.md", prose),
        ];
        assert_eq!(
            check(&pages),
            ["docs/late.md: its first 30 lines have no example; lead with one"]
        );
    }
}
