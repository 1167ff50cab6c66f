//! What was found at a broker, in lines or as JSON.

use crate::failure::{Failure, Outcome};
use crate::output;
use amends_server::{BrokerError, Finding, Severity};
use anyhow::anyhow;
use serde_json::json;

/// Prints findings.
///
/// # Errors
/// One of them means that reports don't come or can be lost.
pub(super) fn print(findings: &[Finding], as_json: bool) -> Outcome {
    let word = |severity| match severity {
        Severity::Good => "ok",
        Severity::Warning => "warn",
        Severity::Error => "fail",
    };
    if as_json {
        let all =
            findings.iter().map(|one| json!({ "verdict": word(one.severity), "text": one.text }));
        output::json(&all.collect::<Vec<_>>())?;
    } else {
        for finding in findings {
            output::line(&format!("{:<4} {}", word(finding.severity), finding.text))?;
        }
    }
    match findings.iter().any(|finding| finding.severity == Severity::Error) {
        false => Ok(()),
        true => Err(Failure::Findings),
    }
}

/// Why nothing was found.
pub(super) fn failure(addresses: &[String], error: BrokerError) -> Failure {
    match error {
        BrokerError::Away(why) => Failure::Unreachable { url: addresses.join(", "), why },
        BrokerError::Refused(why) => Failure::Local(anyhow!("{why}")),
    }
}
