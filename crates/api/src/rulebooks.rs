//! Rulebooks as the supervisor keeps them, and what it finds in one. Plain data.

use crate::FindingSeverity;
use crate::sentence::date_and_time;
use amends_protocol::{Timestamp, words};
use serde::{Deserialize, Serialize};

/// A rulebook of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookView {
    /// Its name.
    pub name: String,
    /// Its content hash.
    pub hash: String,
    /// Whether new cases are planned with it.
    pub active: bool,
    /// When it was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub stored_at: Timestamp,
    /// Number of services.
    pub services: usize,
    /// Number of rules.
    pub rules: usize,
    /// Its files, root first; only when one rulebook is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceView>,
    /// What the last reload of its file found wrong; the version shown here stays active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<DiagnosticView>,
    /// Its file says something else than this active version, e.g. after a rollback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs_from_file: bool,
    /// What operators hold of it, whatever the version: what that asks for is planned, and waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<RuleHoldView>,
    /// What is wrong with it; in the answer of a `PUT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RulebookVerdict>,
}

words! {
    /// How far every single failure of a rulebook has been played.
    ProofState, "state of a proof" {
        /// It is under way, or nobody has asked for it yet: the findings are what can be seen without playing. Of what
        /// they say is left behind, playing may take some back, and find more.
        Pending = "pending",
        /// All of it: the findings say what is left behind, and nothing else is.
        Proved = "proved",
        /// It is too much to be played; the findings are what can be seen without.
        NotProved = "not_proved",
        /// It ended by a fault of the supervisor, which its log tells; the findings are what can be seen without.
        Failed = "failed",
    }
}

/// What is wrong with a version of a rulebook, as `amends rules check` says it: answer of
/// `GET /v1/rulebooks/{name}/verdict`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookVerdict {
    /// Content hash of the version.
    pub hash: String,
    /// How far its failures have been played.
    pub proof: ProofState,
    /// Everything that was found, by place.
    pub findings: Vec<DiagnosticView>,
}

/// A rulebook or one of its rules that an operator holds: nothing that it asks for is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleHoldView {
    /// The rulebook.
    pub rulebook: String,
    /// The rule, by its label; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl RuleHoldView {
    /// `rule payment/* of rulebook shop`.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.rule {
            Some(rule) => format!("rule {rule} of rulebook {}", self.rulebook),
            None => format!("rulebook {}", self.rulebook),
        }
    }

    /// `held: rule payment/* of rulebook shop, by ann since 2026-11-29 02:31:07 UTC, because it refunds twice`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (at, by, reason) = (date_and_time(self.at), &self.by, &self.reason);
        format!("held: {}, by {by} since {at}, because {reason}", self.what())
    }
}

/// One file of a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceView {
    /// Its path as loaded.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A finding in a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiagnosticView {
    /// Stable code.
    pub code: String,
    /// How bad it is.
    pub severity: FindingSeverity,
    /// Path of the file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The files of a rulebook: JSON body of `PUT /v1/rulebooks/{name}` and `POST /v1/rulebooks:check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookSources {
    /// Its files, root first; imports are resolved among them.
    pub sources: Vec<SourceView>,
    /// Why it is put, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: Option<String>,
}

/// Answer of `POST /v1/rulebooks:check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookCheck {
    /// Whether a `PUT` of the same would be taken; warnings don't hinder it.
    pub valid: bool,
    /// Its name, if it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its content hash, if it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Everything that was found.
    pub diagnostics: Vec<DiagnosticView>,
    /// The same as text for people, with the source lines.
    pub rendered: String,
    /// What is wrong with the rules themselves, if it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RulebookVerdict>,
}
