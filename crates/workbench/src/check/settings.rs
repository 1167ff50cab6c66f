//! How strictly a rulebook is checked.

use amends_rulebook::{CODES, CodeInfo, Diagnostic, FoundBy, RuleId, Severity};
use std::collections::{BTreeMap, BTreeSet};

/// How strictly to look.
#[derive(Clone, Debug, Default)]
pub struct CheckSettings {
    /// Severity by code: none leaves the kind out. A kind that stands here is looked for even if it usually isn't.
    pub severities: BTreeMap<&'static str, Option<Severity>>,
    /// The rules that some test reaches; needed for `rule-without-test`.
    pub tested: Option<BTreeSet<RuleId>>,
}

impl CheckSettings {
    /// Sets the severity of a kind; none leaves it out.
    ///
    /// # Errors
    /// If there is no such code.
    pub fn set(&mut self, code: &str, severity: Option<Severity>) -> Result<(), String> {
        let known: Option<&CodeInfo> = CODES.iter().find(|c| {
            c.code == code && matches!(c.found_by, FoundBy::Check | FoundBy::CheckIfAsked)
        });
        match known {
            Some(info) => {
                self.severities.insert(info.code, severity);
                Ok(())
            }
            None => Err(format!("`{code}` is no kind of finding whose severity can be set")),
        }
    }

    /// A finding with the severity that its kind has here; none if the kind is left out.
    #[must_use]
    pub fn rated(&self, mut finding: Diagnostic) -> Option<Diagnostic> {
        finding.severity = self.severity(finding.code)?;
        Some(finding)
    }

    pub(super) fn severity(&self, code: &str) -> Option<Severity> {
        match self.severities.get(code) {
            Some(severity) => *severity,
            None => {
                let info = CODES.iter().find(|c| c.code == code)?;
                (info.found_by != FoundBy::CheckIfAsked).then_some(info.severity)
            }
        }
    }
}
