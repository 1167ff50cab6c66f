//! Test results as JUnit XML, as CI systems read it.

use super::TestReport;
use std::fmt::Write as _;

/// One `testsuite` named after the test file.
#[must_use]
pub fn junit(suites: &[(String, &TestReport)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (file, report) in suites {
        let (file, tests) = (escape(file), report.results.len());
        let failed = report.failed().count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\">"
        );
        for result in &report.results {
            let name = escape(&result.name);
            if result.differences.is_empty() {
                let _ = writeln!(out, "    <testcase classname=\"{file}\" name=\"{name}\"/>");
                continue;
            }
            let first = result.differences.first().map_or(String::new(), |d| escape(d));
            let all = escape(&result.differences.join("\n"));
            let _ = writeln!(
                out,
                "    <testcase classname=\"{file}\" name=\"{name}\">\n      <failure message=\"{first}\">{all}</failure>\n    </testcase>"
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Characters that mean something in XML; control characters can't stand in it at all.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
