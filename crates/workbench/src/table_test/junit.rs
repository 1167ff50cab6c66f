//! Test results as JUnit XML, as CI systems read it.

use super::report::TestReport;
use amends_protocol::wire::xml::escape;
use std::fmt::Write as _;

/// What came of one test file.
#[derive(Clone, Debug)]
pub enum Suite<'r> {
    /// Its tests ran.
    Ran(&'r TestReport),
    /// It, or its rulebook, could not be read, for these reasons: no test of it ran.
    Broken(String),
}

/// One `testsuite` for each test file, named after it. A file that could not be read is an error of its own, so that a
/// CI system doesn't take what is missing for passed.
#[must_use]
pub fn junit(suites: &[(String, Suite<'_>)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (file, suite) in suites {
        let file = escape(file);
        match suite {
            Suite::Ran(report) => ran(&file, report, &mut out),
            Suite::Broken(why) => broken(&file, why, &mut out),
        }
    }
    out.push_str("</testsuites>\n");
    out
}

fn ran(file: &str, report: &TestReport, out: &mut String) {
    let (tests, failed) = (report.results.len(), report.failed().count());
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

fn broken(file: &str, why: &str, out: &mut String) {
    let why = escape(why);
    let _ = writeln!(
        out,
        "  <testsuite name=\"{file}\" tests=\"1\" failures=\"0\" errors=\"1\">\n    \
         <testcase classname=\"{file}\" name=\"the file can be read\">\n      \
         <error message=\"it has mistakes\">{why}</error>\n    </testcase>\n  </testsuite>"
    );
}
