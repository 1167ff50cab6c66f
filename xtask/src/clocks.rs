//! Which files of the server may read the machine's clocks: the clock itself, and those that wait for something outside
//! of the loop. Everybody else takes the time from a `Clock`, so that it can be another one.

use crate::sources::{Source, is_test_file, program_lines};

/// Where the rule holds.
const FOLDER: &str = "crates/server/src/";
/// What reads a clock.
const READS: &[&str] = &["SystemTime::now", "Instant::now", "Timestamp::now"];
/// Who may, and why. The list may only shrink.
const ALLOWED: &[(&str, &str)] = &[
    ("alerts/send.rs", "pauses between two looks"),
    ("books.rs", "pauses between two looks at files"),
    ("clock.rs", "it is the clock"),
    ("connections/seats.rs", "how long a connection has been idle"),
    ("console/live.rs", "pauses between two signs to a browser"),
    ("heartbeat.rs", "whether the loop stands, whatever its clock says"),
    ("telemetry/export.rs", "how long a collector is waited for"),
    ("telemetry/log_writer.rs", "how long a stopped reader is waited for"),
];

/// Every line that reads a clock where it may not, and every file of the list that does not need to be there.
pub fn check(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut unused: Vec<&str> = ALLOWED.iter().map(|(file, _)| *file).collect();
    for source in sources.iter().filter(|s| !is_test_file(&s.path)) {
        let Some(file) = source.path.strip_prefix(FOLDER) else { continue };
        for (number, line) in program_lines(&source.text) {
            let Some(read) = READS.iter().find(|read| line.contains(**read)) else { continue };
            if ALLOWED.iter().any(|(allowed, _)| *allowed == file) {
                unused.retain(|allowed| *allowed != file);
            } else {
                found.push(format!(
                    "{}:{number}: `{read}` reads the machine's clock; take the time from a `Clock`",
                    source.path
                ));
            }
        }
    }
    let unused = unused.iter().filter(|_| sources.iter().any(|s| s.path.starts_with(FOLDER)));
    found.extend(unused.map(|file| {
        format!("xtask/src/clocks.rs: `{file}` reads no clock any more; take it off the list")
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        let mut found = check(&[source]);
        found.retain(|line| !line.contains("off the list"));
        found
    }

    #[test]
    fn a_clock_is_read_only_where_it_may_be() {
        let reads = "//! Reads.\nfn f() { let _ = std::time::Instant::now(); }\n";
        assert_eq!(found("crates/server/src/throughput.rs", reads).len(), 1);
        assert!(found("crates/server/src/clock.rs", reads).is_empty());
        assert!(found("crates/cli/src/main.rs", reads).is_empty());
        assert!(found("crates/server/src/throughput_tests.rs", reads).is_empty());
        assert!(found("crates/server/src/throughput.rs", "// not Instant::now\n").is_empty());
    }

    #[test]
    fn a_file_that_needs_it_no_longer_leaves_the_list() {
        let text = "//! Reads none.\n".to_owned();
        let quiet = Source { path: "crates/server/src/clock.rs".to_owned(), text };
        assert!(check(&[quiet]).iter().any(|line| line.contains("`clock.rs`")));
    }
}
