//! PayPal's refunds of captures: JSON, tokens that are renewed, a refund that may take its time and may fail after all.
//!
//! As in <https://developer.paypal.com/docs/api/payments/v2/>. What becomes of a capture is in its id: `PENDING` and
//! `FAILS` ones take one look before they end, `REFUNDED` ones are paid back, `CLOSED` ones can't be refunded.

use super::{Answered, Got, answer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct PayPal {
    /// The token that counts now, once one has come; another one is too old.
    pub token: Option<String>,
    /// By request id: the refund.
    made: BTreeMap<String, Value>,
    /// Refunds that were really made: capture and amount of each, in order.
    pub refunds: Vec<(String, String)>,
}

impl PayPal {
    pub fn ask(&mut self, got: &Got) -> Answered {
        let token = got.header("authorization").trim_start_matches("Bearer ").to_owned();
        if *self.token.get_or_insert_with(|| token.clone()) != token {
            return answer(401, json!({"error": "invalid_token"}));
        }
        if let Some(id) = got.line.strip_prefix("GET /v2/payments/refunds/R-") {
            let capture = id.trim_end_matches(" HTTP/1.1");
            let status = if capture.contains("FAILS") { "FAILED" } else { "COMPLETED" };
            return answer(200, refund(capture, status));
        }
        let capture = got.line.strip_prefix("POST /v2/payments/captures/");
        let Some((capture, _)) = capture.and_then(|rest| rest.split_once("/refund ")) else {
            return answer(404, json!({"name": "RESOURCE_NOT_FOUND"}));
        };
        let key = got.header("paypal-request-id").to_owned();
        if let Some(first) = self.made.get(&key) {
            return answer(200, first.clone());
        }
        let asked: Value = serde_json::from_str(&got.body).expect("JSON");
        let Some(amount) = asked["amount"]["value"].as_str() else {
            return issue("INVALID_STRING_TYPE");
        };
        if capture.contains("REFUNDED") {
            return issue("CAPTURE_FULLY_REFUNDED");
        }
        if capture.contains("CLOSED") {
            return issue("REFUND_NOT_ALLOWED");
        }
        let takes_time = capture.contains("PENDING") || capture.contains("FAILS");
        let made = refund(capture, if takes_time { "PENDING" } else { "COMPLETED" });
        self.refunds.push((capture.to_owned(), amount.to_owned()));
        self.made.insert(key, made.clone());
        answer(201, made)
    }
}

fn refund(capture: &str, status: &str) -> Value {
    json!({"id": format!("R-{capture}"), "status": status, "links": []})
}

fn issue(issue: &str) -> Answered {
    let details = [json!({"issue": issue, "description": "…"})];
    answer(422, json!({"name": "UNPROCESSABLE_ENTITY", "details": details}))
}
