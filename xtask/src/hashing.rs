//! What services name (sagas, reports, requests) is never the key of a hash without a seed: whoever picks the names
//! could make all of them collide, and each look-up a walk through them all. An ordered map has no such case.

use crate::sources::{Source, is_test_file, program_lines};

/// The programs that hold what comes from outside.
const FOLDERS: &[&str] = &[
    "crates/engine/src/",
    "crates/node/src/",
    "crates/rulebook/src/plan/",
    "crates/server/src/",
    "crates/store/src/",
];
/// Types of keys that others pick.
const OUTSIDE: &[&str] = &["SagaId", "ReportKey", "Evidence", "String"];

/// Every such line.
pub fn check(sources: &[Source]) -> Vec<String> {
    let held = sources.iter().filter(|s| FOLDERS.iter().any(|f| s.path.starts_with(f)));
    held.filter(|s| !is_test_file(&s.path)).flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<String> {
    let lines = program_lines(&source.text);
    let found = lines.into_iter().filter_map(|(number, line)| Some((number, outside_key(&line)?)));
    found
        .map(|(number, key)| {
            format!(
                "{}:{number}: `{key}` as the key of a hash without a seed; others pick it, so take a `BTreeMap` or \
                 `BTreeSet`",
                source.path
            )
        })
        .collect()
}

/// The key's type, if others pick it.
fn outside_key(line: &str) -> Option<&'static str> {
    let keys = ["FxHashMap<", "FxHashSet<"].into_iter().flat_map(|map| line.split(map).skip(1));
    keys.filter_map(|rest| rest.split([',', '>']).next())
        .find_map(|key| OUTSIDE.iter().copied().find(|name| key.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::outside_key;

    #[test]
    fn what_others_pick_is_told_from_what_is_ours() {
        assert_eq!(outside_key("    by_saga: FxHashMap<SagaId, CaseId>,"), Some("SagaId"));
        assert_eq!(outside_key("let said: FxHashSet<&Evidence> = x;"), Some("Evidence"));
        assert_eq!(outside_key("    cases: FxHashMap<CaseId, Box<Case>>,"), None);
        assert_eq!(outside_key("    by: BTreeMap<SagaId, CaseId>,"), None);
    }
}
