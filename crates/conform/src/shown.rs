//! A run as CI systems read it: JUnit XML.

use crate::finding::{Lack, Verdict};
use crate::run::{CheckResult, Examination};
use amends_protocol::wire::xml::escape;
use std::fmt::Write as _;

/// One `testsuite` with a `testcase` for every check and subject. Skipped and blocked ones are `skipped`, since nothing
/// is known of them.
#[must_use]
pub fn junit(examination: &Examination) -> String {
    let results = &examination.results;
    let count = |verdict| examination.count(verdict);
    let total: f64 = results.iter().map(|result| result.took.as_secs_f64()).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        out,
        "  <testsuite name=\"amends conform {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{total:.3}\">",
        escape(&examination.service),
        results.len(),
        count("failed"),
        count("skipped") + count("blocked"),
    );
    for result in results {
        testcase(&mut out, &examination.service, result);
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn testcase(out: &mut String, service: &str, result: &CheckResult) {
    let class = match &result.on {
        Some(on) => format!("{service}.{on}"),
        None => service.to_owned(),
    };
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        escape(&class),
        escape(result.check.id),
        result.took.as_secs_f64()
    );
    let inner = match &result.verdict {
        Verdict::Passed => {
            out.push_str("/>\n");
            return;
        }
        Verdict::Failed(finding) => {
            let (title, why) = (result.check.title, result.check.why);
            let mut text =
                format!("promise:  {title}\nwhy:      {why}\npage:     {}\n", result.check.page());
            text.push_str(&finding.lines().join("\n"));
            let message = format!("expected {}, came {}", finding.expected, finding.came);
            format!("<failure message=\"{}\">{}</failure>", escape(&message), escape(&text))
        }
        Verdict::Skipped(Lack { reason, add }) => {
            let add = add.map_or(String::new(), |add| format!("; add `{add}`"));
            format!("<skipped message=\"{}\"/>", escape(&format!("{reason}{add}")))
        }
        Verdict::Blocked { by } => {
            format!("<skipped message=\"{}\"/>", escape(&format!("`{by}` failed before")))
        }
    };
    let _ = writeln!(out, ">\n      {inner}\n    </testcase>");
}

#[cfg(test)]
mod tests {
    use crate::CHECKS;
    use std::fmt::Write as _;
    use std::fs;
    use std::path::PathBuf;

    const BEGIN: &str = "<!-- the checks: made from the program -->\n";
    const END: &str = "<!-- the end of the checks -->\n";

    #[test]
    fn the_reference_lists_every_check() {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/conformance.md");
        let page = fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = page.split_once(BEGIN).expect("the table's beginning");
        let (_, after) = rest.split_once(END).expect("the table's end");
        let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &wanted).expect("the page can be written");
            return;
        }
        assert!(
            page == wanted,
            "docs/reference/conformance.md does not list the checks as they are; write it anew with\n  \
             UPDATE_DOCS=1 cargo test -p amends-conform the_reference_lists"
        );
    }

    fn table() -> String {
        let mut out = String::from(
            "\n| check | promise | why it matters | what it cannot see |\n| --- | --- | --- | --- |\n",
        );
        for check in CHECKS.iter() {
            let (id, title, why) = (check.id, check.title, check.why);
            let (section, leaves) = (check.section, check.leaves.unwrap_or(""));
            let _ =
                writeln!(out, "| `{id}` | [{title}](protocol.md#{section}) | {why} | {leaves} |");
        }
        out.push('\n');
        out
    }
}
