//! RFC 9457 problem details, and the one table from each problem of ours to its type and status.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Every `type` of ours is this plus the code; each resolves to a section of `docs/reference/problems.md`.
pub const PROBLEM_TYPE_BASE: &str = "https://amends.dev/problems/";

/// Body of every failed answer, `application/problem+json`. Programs decide by `type` (or `code`), never by `detail`.
///
/// A member that is `null` or can't be read counts as absent (RFC 9457 section 3.1): it must not cost what the rest
/// says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// URI of the kind of problem.
    #[serde(rename = "type", default = "blank", deserialize_with = "text_or_blank")]
    pub type_uri: String,
    /// Same text for every occurrence of the kind.
    #[serde(default, deserialize_with = "readable_or_absent")]
    pub title: String,
    /// Copy of the HTTP status.
    #[serde(default, deserialize_with = "readable_or_absent")]
    pub status: u16,
    /// This occurrence, for people: what is wrong, where, and how to mend it.
    #[serde(
        default,
        deserialize_with = "readable_or_absent",
        skip_serializing_if = "Option::is_none"
    )]
    pub detail: Option<String>,
    /// What it is about, as a path.
    #[serde(
        default,
        deserialize_with = "readable_or_absent",
        skip_serializing_if = "Option::is_none"
    )]
    pub instance: Option<String>,
    /// Our short stable code, the last part of `type`; for a failed action the code of the report about it.
    #[serde(
        default,
        deserialize_with = "readable_or_absent",
        skip_serializing_if = "Option::is_none"
    )]
    pub code: Option<String>,
    /// Whether the same request may succeed later, unchanged.
    #[serde(
        default,
        deserialize_with = "readable_or_absent",
        skip_serializing_if = "Option::is_none"
    )]
    pub retryable: Option<bool>,
    /// Each single mistake, when there are several of one kind.
    #[serde(
        default,
        deserialize_with = "readable_or_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub errors: Vec<String>,
}

fn blank() -> String {
    "about:blank".to_owned()
}

fn text_or_blank<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(readable_or_absent::<D, Option<String>>(d)?.unwrap_or_else(blank))
}

fn readable_or_absent<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let member = Value::deserialize(d)?;
    Ok(T::deserialize(member).unwrap_or_default())
}

macro_rules! problems {
    ($($(#[$meta:meta])* $variant:ident = $code:literal, $status:literal, $title:literal, $retryable:literal;)+) => {
        /// Every kind of problem that Amends answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode { $($(#[$meta])* $variant),+ }

        impl ProblemCode {
            /// The whole table, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Short stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// The same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// Whether the same request may succeed later, unchanged.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable),+ }
            }
        }
    };
}

problems! {
    /// The body is not what the resource takes.
    InvalidRequest = "invalid-request", 400, "The request is malformed", false;
    /// A query parameter is unknown or has a bad value.
    InvalidFilter = "invalid-filter", 400, "A filter or cursor is not valid", false;
    /// The CloudEvents envelope or the report in it is wrong.
    InvalidReport = "invalid-report", 400, "The report is malformed", false;
    /// The credentials are missing or wrong.
    Unauthorized = "unauthorized", 401, "The credentials are missing or wrong", false;
    /// The request comes from where it may not.
    Forbidden = "forbidden", 403, "This may not be done from there", false;
    /// A callback with a wrong proof, or without the proof that it needs.
    Unproven = "unproven", 403, "The callback does not prove that it comes from who was asked", false;
    /// No such thing.
    NotFound = "not-found", 404, "There is no such thing", false;
    /// The path exists, the method does not.
    MethodNotAllowed = "method-not-allowed", 405, "The resource does not take this method", false;
    /// The state of the thing does not allow the act.
    Conflict = "conflict", 409, "The current state does not allow this", false;
    /// The original is still running, or the same key is being worked on.
    InProgress = "in-progress", 409, "The same request is still running", true;
    /// The body is longer than the limit.
    TooLarge = "too-large", 413, "The body is too large", false;
    /// The content type is none that the resource reads.
    UnsupportedMediaType = "unsupported-media-type", 415, "The content type is not understood", false;
    /// The same key came with other contents.
    KeyReused = "key-reused", 422, "The same key came with different contents", false;
    /// A rulebook has errors; the active one stays.
    RulebookInvalid = "rulebook-invalid", 422, "The rulebook has errors", false;
    /// A participant refuses a step for good.
    Refused = "refused", 422, "The service refuses this for good", false;
    /// A late original met the tombstone of its compensation.
    SagaFenced = "saga-fenced", 409, "The saga is being undone; start a new one to try again", false;
    /// A participant's action failed and provably left no effect. The service picks the status; `code` is its report's.
    ActionFailed = "action-failed", 422, "The action failed without effect", false;
    /// A participant's action failed and may have left an effect. The service picks the status; `code` is its report's.
    EffectUnknown = "effect-unknown", 500, "The action failed and may have had an effect", false;
    /// Too much at once.
    Overloaded = "overloaded", 429, "Too many requests are queued", true;
    /// Our fault.
    Internal = "internal", 500, "The supervisor failed", true;
    /// Starting, stopping, or the store cannot be written.
    Unavailable = "unavailable", 503, "Not able to take requests now", true;
}

impl Problem {
    /// Whether it is of a kind that this protocol knows, rather than of somebody else's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.type_uri.starts_with(PROBLEM_TYPE_BASE)
    }

    /// A problem of the table, with what is special about this occurrence.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("{PROBLEM_TYPE_BASE}{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: Some(detail.into()),
            instance: None,
            code: Some(code.as_str().to_owned()),
            retryable: Some(code.retryable()),
            errors: Vec::new(),
        }
    }

    /// Whether the problem is of this kind, judged by its `type`.
    #[must_use]
    pub fn is(&self, code: ProblemCode) -> bool {
        self.type_uri.strip_prefix(PROBLEM_TYPE_BASE) == Some(code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_known_by_its_type() {
        let p = Problem::new(ProblemCode::Refused, "the card is gone");
        assert!(p.is(ProblemCode::Refused) && !p.is(ProblemCode::NotFound));
        let wire: Problem =
            serde_json::from_str("{\"title\":\"x\"}").expect("all members are optional");
        assert_eq!(wire.type_uri, "about:blank");
    }

    #[test]
    fn a_member_that_is_null_or_odd_costs_nothing_else() {
        let wire = r#"{"type":"https://amends.dev/problems/refused","title":null,"status":"422",
            "detail":7,"code":[],"retryable":"no","errors":[{"detail":null}],"instance":{}}"#;
        let problem: Problem = serde_json::from_str(wire).expect("an object is a problem");
        assert!(problem.is(ProblemCode::Refused));
        assert_eq!((problem.status, problem.detail, problem.retryable), (0, None, None));
        let blank: Problem = serde_json::from_str(r#"{"type":null}"#).expect("null is absent");
        assert_eq!(blank.type_uri, "about:blank");
    }

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = ProblemCode::ALL.iter().map(|c| c.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
    }
}
