//! Stripe's refunds: forms, a key that replays the first answer whatever it was, and a code for money that is back.
//!
//! As in <https://docs.stripe.com/api/refunds> and <https://docs.stripe.com/api/idempotent_requests>. What becomes of a
//! payment intent is in its id: `declined` ones were never charged, `refunded` ones are paid back, `pending` ones take
//! one look, `fails` ones fail at that look; the first answer about a `lost` one is lost, about a `broken` one a 500.

use super::{Answered, Got, answer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub const KEY: &str = "sk_test_51Hx0000";

#[derive(Default)]
pub struct Stripe {
    /// By key: the form that it came with, and the answer.
    seen: BTreeMap<String, (String, Answered)>,
    /// Refunds that were really made: the payment intent of each, in order.
    pub refunds: Vec<String>,
}

impl Stripe {
    pub fn ask(&mut self, got: &Got) -> Answered {
        if got.header("authorization") != format!("Bearer {KEY}") {
            return error(401, "invalid_request_error", None, "Invalid API Key provided");
        }
        if let Some(id) = got.line.strip_prefix("GET /v1/refunds/re_") {
            let intent = id.trim_end_matches(" HTTP/1.1");
            return refund(intent, if intent.contains("fails") { "failed" } else { "succeeded" });
        }
        if !got.line.starts_with("POST /v1/refunds ") {
            return error(404, "invalid_request_error", None, "Unrecognized request URL");
        }
        if got.header("content-type") != "application/x-www-form-urlencoded" {
            return error(400, "invalid_request_error", None, "a form is expected");
        }
        let key = got.header("idempotency-key").to_owned();
        if let Some((form, first)) = self.seen.get(&key) {
            return match *form == got.body {
                true => first.clone(),
                false => error(400, "idempotency_error", None, "Keys for idempotent requests …"),
            };
        }
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(got.body.as_bytes()).into_owned().collect();
        let intent = form.get("payment_intent").cloned().unwrap_or_default();
        let answered = self.refund(&intent);
        self.seen.insert(key, (got.body.clone(), answered.clone()));
        if intent.contains("lost") { None } else { answered }
    }

    fn refund(&mut self, intent: &str) -> Answered {
        if intent.contains("declined") {
            let text = "This PaymentIntent does not have a successful charge to refund.";
            return error(400, "invalid_request_error", None, text);
        }
        if intent.contains("refunded") || self.refunds.iter().any(|one| one == intent) {
            let code = Some("charge_already_refunded");
            return error(400, "invalid_request_error", code, "Charge has already been refunded.");
        }
        if intent.contains("broken") {
            return error(500, "api_error", None, "something is broken at Stripe's end");
        }
        self.refunds.push(intent.to_owned());
        let takes_time = intent.contains("pending") || intent.contains("fails");
        refund(intent, if takes_time { "pending" } else { "succeeded" })
    }
}

fn refund(intent: &str, status: &str) -> Answered {
    let id = format!("re_{intent}");
    answer(200, json!({"id": id, "object": "refund", "payment_intent": intent, "status": status}))
}

fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Answered {
    let mut error = json!({"type": kind, "message": message});
    if let Some(code) = code {
        error["code"] = Value::from(code);
    }
    answer(status, json!({"error": error}))
}
