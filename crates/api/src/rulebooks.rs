//! Rulebooks as the supervisor keeps them, and what it finds in one. Plain data.

use amends_protocol::Timestamp;
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
}

/// One file of a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `error` or `warning`.
    pub severity: String,
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
}
