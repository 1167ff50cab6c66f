//! The supervisor's requests: steps, readings of History, and looks at a step that was taken with 202; signed rightly, or
//! wrongly in one way. Builds them; sending is the context's.

use crate::finding::Stop;
use crate::wire::{Exchange, HttpAnswer, Sent};
use amends_protocol::wire::signature::SigningKey;
use amends_protocol::{CallbackProof, Outcome, ProblemCode, Verb, headers};
use http::Method;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far off the time of a signature is that must not be accepted: beyond the protocol's five minutes, by enough for a clock that is
/// a little off.
const OFF_SECONDS: i64 = 600;

/// How a request of the supervisor is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    Rightly,
    NotAtAll,
    /// By a key that the participant doesn't know.
    ByStranger,
    /// With the right key, at a time long ago.
    LongAgo,
    /// With the right key, at a time far ahead.
    LongAhead,
    /// With the right key, over another body.
    OverAnotherBody,
    /// Twice, as while a key is replaced: by a stranger, then rightly.
    ByBoth,
    /// Rightly, beside a signature of a version that nobody knows yet.
    BesideAnotherVersion,
    /// With the right bytes, under a version that nobody knows yet.
    AsAnotherVersion,
}

/// A step before it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) verb: Verb,
    pub(crate) saga: String,
    pub(crate) id: String,
    /// The action's name in the path.
    pub(crate) action: String,
    /// As it is sent; a check may spoil it.
    pub(crate) body: Value,
    /// The value of `Idempotency-Key`.
    pub(crate) key: String,
    pub(crate) signed: Signed,
}

/// What a step is about.
pub(crate) struct StepOf<'a> {
    pub(crate) service: &'a str,
    pub(crate) action: &'a str,
    pub(crate) saga: &'a str,
    pub(crate) case: String,
    pub(crate) id: String,
    pub(crate) code: &'a str,
}

impl Step {
    pub(crate) fn new(verb: Verb, of: &StepOf<'_>) -> Self {
        let body = json!({
            "sagaId": of.saga,
            "caseId": of.case,
            "stepId": of.id,
            "attempt": 1,
            "action": format!("{}.{}", of.service, of.action),
            "report": { "service": of.service, "code": of.code, "id": format!("report-{}", of.id) },
            "callback": { "proof": proof_of(&of.id) },
        });
        Self {
            verb,
            saga: of.saga.to_owned(),
            id: of.id.clone(),
            action: of.action.to_owned(),
            body,
            key: format!("\"{}\"", of.id),
            signed: Signed::Rightly,
        }
    }

    /// The same step, asked for once more.
    pub(crate) fn again(&self) -> Self {
        let mut again = self.clone();
        let attempt = again.body["attempt"].as_u64().unwrap_or(0) + 1;
        again.body["attempt"] = json!(attempt);
        again
    }

    pub(crate) fn signed(mut self, signed: Signed) -> Self {
        self.signed = signed;
        self
    }

    /// With a member of the body set.
    pub(crate) fn with(mut self, member: &str, value: Value) -> Self {
        self.body[member] = value;
        self
    }

    /// Its request.
    pub(crate) fn request(&self, signer: Option<&SigningKey>) -> Sent {
        let path = format!("/amends/v1/{}/{}", self.verb, self.action);
        let mut sent = Sent::json(Method::POST, path, &self.body);
        sent.set(headers::SAGA_ID, &self.saga);
        sent.set(headers::IDEMPOTENCY_KEY, &self.key);
        if let Some(signer) = signer {
            sign(&mut sent, signer, &self.id, self.signed);
        }
        sent
    }
}

/// What a late answer to a step must carry.
pub(crate) fn proof_of(step: &str) -> CallbackProof {
    CallbackProof::new(format!("proof-of-{step}"))
}

/// Puts the signature into a request.
pub(crate) fn sign(sent: &mut Sent, signer: &SigningKey, id: &str, signed: Signed) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let seconds = match signed {
        Signed::LongAgo => now - OFF_SECONDS,
        Signed::LongAhead => now + OFF_SECONDS,
        Signed::Rightly
        | Signed::NotAtAll
        | Signed::ByStranger
        | Signed::OverAnotherBody
        | Signed::ByBoth
        | Signed::BesideAnotherVersion
        | Signed::AsAnotherVersion => now,
    };
    let right = signer.sign(id, seconds, &sent.body);
    let signature = match signed {
        Signed::NotAtAll => return,
        Signed::Rightly | Signed::LongAgo | Signed::LongAhead => right,
        Signed::ByStranger => stranger().sign(id, seconds, &sent.body),
        Signed::OverAnotherBody => signer.sign(id, seconds, b"{\"another\":\"body\"}"),
        Signed::BesideAnotherVersion => format!("v9,{} {right}", "A".repeat(86)),
        Signed::AsAnotherVersion => right.replacen("v1,", "v9,", 1),
        Signed::ByBoth => format!("{} {right}", stranger().sign(id, seconds, &sent.body)),
    };
    sent.set(headers::WEBHOOK_ID, id);
    sent.set(headers::WEBHOOK_TIMESTAMP, &seconds.to_string());
    sent.set(headers::WEBHOOK_SIGNATURE, &signature);
}

/// A step's last answer, and the outcome if it was one.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) exchange: Exchange,
    pub(crate) outcome: Option<Outcome>,
}

impl Done {
    /// A finding about how the step ended.
    pub(crate) fn unlike(&self, expected: impl Into<String>) -> Stop {
        match self.outcome {
            Some(outcome) => self.exchange.wrong(expected, format!("the outcome `{outcome}`")),
            None => self.exchange.unlike(expected),
        }
    }

    /// Whether the service says that it can't, for good.
    pub(crate) fn is_refusal(&self) -> bool {
        let failed = |answer: &HttpAnswer| (400..=599).contains(&answer.status);
        self.outcome == Some(Outcome::Refused)
            || self.exchange.came.as_ref().is_ok_and(failed)
                && self.exchange.says(ProblemCode::Refused)
    }
}

/// The outcome that an answer gives, as the supervisor reads it.
pub(crate) fn outcome_of(verb: Verb, exchange: &Exchange) -> Option<Outcome> {
    let answer = exchange.came.as_ref().ok()?;
    match answer.status {
        200 => answer.json()["outcome"].as_str()?.parse().ok(),
        204 => Some(verb.ends_as()),
        _ => None,
    }
}

/// A key that no participant was told.
fn stranger() -> SigningKey {
    SigningKey::of_bytes(b"a key that no participant was told")
}
