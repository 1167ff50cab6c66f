//! A run as other programs read it: JUnit XML for CI, and the table of checks for the documentation.

use crate::check::CHECKS;
use crate::finding::{Lack, Verdict};
use crate::run::{CheckResult, Examination};
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

/// Characters that mean something in XML; what XML can't hold at all becomes a blank.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The table of all checks in `docs/reference/conformance.md`.
#[must_use]
pub fn page_table() -> String {
    let mut out = String::from("| check | promise | why it matters |\n| --- | --- | --- |\n");
    for check in CHECKS.iter() {
        let _ = writeln!(
            out,
            "| `{}` | [{}](protocol.md#{}) | {} |",
            check.id, check.title, check.section, check.why
        );
    }
    out
}
