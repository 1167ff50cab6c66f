//! axe-core on a page, at both widths, in both schemes: no serious and no critical finding passes.

use crate::browser::{Browser, Scheme, WIDTHS};
use serde_json::Value;

const AXE: &str = include_str!("vendor/axe-core-4.14.1.min.js");

/// WCAG 2.2 AA, and what axe-core's authors hold to be good practice.
const RUN: &str = "const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return axe.run(document, { runOnly: tags, resultTypes: ['violations'] }).then(found => found.violations)";

/// Fails the test with a list of what keeps people from using the page: a line per rule, one per element below it.
#[track_caller]
pub fn is_accessible(browser: &Browser) {
    let found = findings(browser);
    assert!(found.is_empty(), "{}\n{}", browser.address(), found.join("\n"));
}

/// The serious and critical findings at both widths, in both schemes. Leaves the browser as it begins: wide and light.
#[track_caller]
pub fn findings(browser: &Browser) -> Vec<String> {
    let mut found = Vec::new();
    for scheme in Scheme::BOTH.into_iter().rev() {
        for width in WIDTHS.into_iter().rev() {
            browser.scheme(scheme);
            browser.width(width);
            browser.script(&format!("if (!window.axe) {{ {AXE} }}"), &[]);
            let result = browser.script(RUN, &[]);
            let rules = result.as_array().unwrap_or_else(|| panic!("axe-core failed: {result}"));
            let shown = rules.iter().filter(|rule| is_bad(rule)).map(describe);
            found.extend(shown.map(|rule| format!("{width} {}: {rule}", scheme.name())));
        }
    }
    found
}

fn is_bad(rule: &Value) -> bool {
    matches!(rule["impact"].as_str(), Some("serious" | "critical"))
}

fn describe(rule: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!(
        "{} {}: {} ({})",
        word(&rule["impact"]),
        word(&rule["id"]),
        word(&rule["help"]),
        word(&rule["helpUrl"])
    )];
    for node in rule["nodes"].as_array().into_iter().flatten() {
        let why = word(&node["failureSummary"]).replace('\n', " ");
        lines.push(format!("    {}: {why}\n        {}", node["target"], word(&node["html"])));
    }
    lines.join("\n")
}
