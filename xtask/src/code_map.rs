//! The files that the pages about the code name are there: a map with a house that was torn down leads nowhere.

use crate::sources::Source;

/// Every file of Rust that a page names between backticks and that is not there. A name may be the end of a path, or
/// begin with the name of a crate.
pub fn check(pages: &[Source], rust: &[Source]) -> Vec<String> {
    let is_about_code =
        |page: &&Source| page.path == "ARCHITECTURE.md" || page.path.starts_with("docs/internals/");
    let mut found = Vec::new();
    for page in pages.iter().filter(is_about_code) {
        for (number, line) in (1..).zip(page.text.lines()) {
            let named = line.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs"));
            let missing = named.filter(|name| !is_there(name, rust));
            found.extend(
                missing.map(|name| format!("{}:{number}: there is no `{name}`", page.path)),
            );
        }
    }
    found
}

fn is_there(name: &str, rust: &[Source]) -> bool {
    let end = format!("/{name}");
    let of_crate = name.split_once('/').map(|(own, rest)| format!("crates/{own}/src/{rest}"));
    let is_it =
        |path: &String| path == name || path.ends_with(&end) || Some(path) == of_crate.as_ref();
    rust.iter().any(|source| is_it(&source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_renamed_is_found_where_it_is_still_named() {
        let source =
            |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let rust = [
            source("crates/server/src/open_case_queries.rs", ""),
            source("crates/cli/src/a.rs", ""),
        ];
        let text = "`open_case_queries.rs`, `cli/a.rs`, `crates/cli/src/a.rs`\n`desk.rs`, no file: `desk`\n";
        let pages = [source("ARCHITECTURE.md", text), source("docs/guides/a.md", "`b.rs`")];
        assert_eq!(check(&pages, &rust), ["ARCHITECTURE.md:2: there is no `desk.rs`"]);
    }
}
