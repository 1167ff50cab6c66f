//! How tests went.

use super::coverage::Coverage;
use amends_rulebook::Span;
use serde_json::{Value, json};

/// How a test went.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// Its place.
    pub span: Span,
    /// Every difference, one line each; none if it passed.
    pub differences: Vec<String>,
}

/// How all tests of a rulebook went.
#[derive(Clone, Debug)]
pub struct TestReport {
    /// In the order written.
    pub results: Vec<TestResult>,
    /// What they have reached.
    pub coverage: Coverage,
}

impl TestReport {
    /// Tests that failed.
    pub fn failed(&self) -> impl Iterator<Item = &TestResult> {
        self.results.iter().filter(|r| !r.differences.is_empty())
    }

    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|r| {
                json!({ "name": r.name, "passed": r.differences.is_empty(), "differences": r.differences })
            })
            .collect();
        let failed = self.failed().count();
        json!({
            "tests": results,
            "passed": self.results.len() - failed,
            "failed": failed,
            "coverage": self.coverage.to_json(),
        })
    }
}
