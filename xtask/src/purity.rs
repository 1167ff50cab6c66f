//! The pure crates' sources name no clock, disk, network, environment or thread, outside their tests.

use crate::manifests::PURE;
use crate::sources::{Source, is_test_file, program_lines};

/// Paths that begin with `std::` and lead outside.
const MODULES: &[&str] = &["env", "fs", "net", "process", "thread"];
/// Names that are a clock or a connection wherever they are written.
const NAMES: &[&str] =
    &["SystemTime", "Instant", "TcpStream", "TcpListener", "UdpSocket", "thread_rng"];

/// Every impure line.
pub fn check(sources: &[Source]) -> Vec<String> {
    let pure = sources.iter().filter(|s| PURE.iter().any(|(_, folder)| s.path.starts_with(folder)));
    pure.filter(|s| !is_test_file(&s.path)).flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_std_group = false;
    for (number, line) in program_lines(&source.text) {
        let mut tell = |what: &str| {
            found.push(format!(
                "{}:{number}: `{what}` in a pure crate; let it come in as an argument",
                source.path
            ));
        };
        for name in NAMES.iter().filter(|n| words(&line).any(|w| w == **n)) {
            tell(name);
        }
        for module in MODULES.iter().filter(|m| words_after(&line, "std::").any(|w| w == **m)) {
            tell(&format!("std::{module}"));
        }
        in_std_group |= line.contains("std::{");
        if in_std_group {
            for module in MODULES.iter().filter(|m| words(&line).any(|w| w == **m)) {
                tell(&format!("std::{module}"));
            }
            in_std_group = !line.contains(';');
        }
    }
    found
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// The word that follows each `mark`.
fn words_after<'a>(line: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    line.split(mark).skip(1).filter_map(|rest| words(rest).next().filter(|w| rest.starts_with(w)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::sources::Source;

    fn lines_of(text: &str) -> Vec<String> {
        let source = Source { path: "crates/engine/src/x.rs".to_owned(), text: text.to_owned() };
        check(&[source])
    }

    #[test]
    fn clocks_and_disks_are_found_wherever_they_are_imported() {
        for bad in [
            "let now = std::time::Instant::now();",
            "use std::fs;",
            "use std::{collections::BTreeMap, env};",
            "use std::{\n    fmt,\n    net::IpAddr,\n};",
            "fn f(t: SystemTime) {}",
        ] {
            assert_eq!(lines_of(bad).len(), 1, "{bad}: {:?}", lines_of(bad));
        }
    }

    #[test]
    fn comments_tests_and_other_words_are_left_alone() {
        for good in [
            "// not SystemTime",
            "let s = env!(\"CARGO_PKG_NAME\");",
            "use std::fmt;\nlet fs = 1;",
            "#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
        ] {
            assert!(lines_of(good).is_empty(), "{good}: {:?}", lines_of(good));
        }
    }
}
