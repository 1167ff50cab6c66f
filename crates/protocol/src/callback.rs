//! A service's late word on a step: the callback, and the proof that it comes from whoever was asked for the step.

use crate::evidence::{null_is_absent, text_or_nothing};
use crate::{Outcome, Testimony};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::fmt;
use subtle::ConstantTimeEq;

/// What stands in place of a proof where people see a request.
const HIDDEN: &str = "(not shown)";

/// A secret of one step, which its request carries: who knows it was asked for the step. Never shown, and compared in
/// constant time.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CallbackProof(String);

impl CallbackProof {
    /// As it stands on the wire.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// That of a request that people look at.
    #[must_use]
    pub fn hidden() -> Self {
        Self::new(HIDDEN)
    }

    /// As it stands on the wire. For the request alone: whoever sees it can answer for the step.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is what was given. Takes as long wherever they differ.
    #[must_use]
    pub fn is(&self, given: &Self) -> bool {
        self.0.as_bytes().ct_eq(given.0.as_bytes()).into()
    }

    /// A text of its receiver, which may repeat it, without it.
    #[must_use]
    pub fn hide_in(&self, text: String) -> String {
        if text.contains(&self.0) { text.replace(&self.0, HIDDEN) } else { text }
    }
}

impl fmt::Debug for CallbackProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackProof(…)")
    }
}

/// What is no text is a proof all the same: a wrong one.
impl<'de> Deserialize<'de> for CallbackProof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    }
}

/// How a service that takes a step with 202 tells its outcome later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Callback {
    /// Goes back with the outcome. The same on every attempt.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub proof: CallbackProof,
    /// Where the outcome goes, if the supervisor knows how services reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Body of `POST /v1/steps/{id}/outcome`: the late answer to a step that was taken with 202.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeCallback {
    /// How it ended; `waived` is not a service's to say.
    pub outcome: Outcome,
    /// The proof of the step's `callback`. Without it, the outcome counts only of a step that was taken with 202.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub proof: Option<CallbackProof>,
    /// For people.
    #[serde(
        default,
        deserialize_with = "text_or_nothing",
        skip_serializing_if = "Option::is_none"
    )]
    pub message: Option<String>,
    /// Further evidence.
    #[serde(default, skip_serializing_if = "is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::Evidence>))]
    pub history: Testimony,
}

impl OutcomeCallback {
    /// An outcome and nothing else.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, proof: None, message: None, history: Testimony::default() }
    }

    /// The same with a proof.
    #[must_use]
    pub fn proven(self, proof: CallbackProof) -> Self {
        Self { proof: Some(proof), ..self }
    }
}

pub(crate) fn is_absent(history: &Testimony) -> bool {
    !history.is_given()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> OutcomeCallback {
        serde_json::from_value(body).expect("an outcome")
    }

    #[test]
    fn a_proof_is_compared_as_a_whole_and_never_shown() {
        let proof = CallbackProof::new("p-1");
        assert!(proof.is(&CallbackProof::new("p-1")));
        for other in ["", "p-", "p-2", "p-11", "P-1"] {
            assert!(!proof.is(&CallbackProof::new(other)), "{other}");
        }
        assert!(!format!("{proof:?}").contains("p-1"));
        assert_eq!(proof.hide_in("no p-1 here".to_owned()), "no (not shown) here");
    }

    #[test]
    fn a_proof_may_be_absent_and_what_is_no_text_is_a_wrong_one() {
        let said = |proof: Value| read(json!({ "outcome": "compensated", "proof": proof })).proof;
        assert_eq!(said(Value::Null), None);
        assert_eq!(read(json!({ "outcome": "compensated" })).proof, None);
        assert_eq!(said(json!("p-1")), Some(CallbackProof::new("p-1")));
        assert!(said(json!(7)).is_some_and(|proof| !proof.is(&CallbackProof::new("p-7"))));
    }
}
