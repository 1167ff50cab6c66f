//! With signing keys, only the supervisor can ask for steps.

use crate::base::Base;
use crate::rig::{Answer, Service, exchange, send, step_body};
use amends_service::signing_key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

const OLD_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_KEY: &str = "whsec_bmV3IGtleSBuZXcga2V5IG5ldyBrZXkgbmV3";

fn sign(key: &str, id: &str, seconds: u64, body: &Value) -> String {
    sign_text(key, id, seconds, &body.to_string())
}

fn sign_text(key: &str, id: &str, seconds: u64, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&signing_key(key).expect("a key")).expect("any length");
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

async fn compensate<B: Base>(payment: &Service<B>, signature: &str, seconds: u64) -> Answer {
    let url = format!("{}/amends/v1/compensate/pay", payment.url);
    let seconds = seconds.to_string();
    let headers =
        [("webhook-id", "s-1"), ("webhook-timestamp", &seconds), ("webhook-signature", signature)];
    send(&url, &headers, &step_body("payment", "pay", "order-1", 1)).await
}

async fn a_step_needs_a_fresh_signature_of_an_accepted_key<B: Base>() {
    let keys = || vec![signing_key(OLD_KEY).expect("a key"), signing_key(NEW_KEY).expect("a key")];
    let payment = Service::<B>::configured("payment", |config| config.signing_keys = keys()).await;
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    let body = step_body("payment", "pay", "order-1", 1);
    let stranger = "whsec_c3RyYW5nZXIgc3RyYW5nZXIgc3RyYW5nZXIh";

    let unsigned = payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!((unsigned.status, unsigned.problem()), (401, "unauthorized"));
    for (what, signature, seconds) in [
        ("a stranger's", sign(stranger, "s-1", now(), &body), now()),
        ("of another message", sign(OLD_KEY, "s-2", now(), &body), now()),
        ("of another body", sign(OLD_KEY, "s-1", now(), &json!({})), now()),
        ("too old", sign(OLD_KEY, "s-1", now() - 400, &body), now() - 400),
        ("from the future", sign(OLD_KEY, "s-1", now() + 400, &body), now() + 400),
        ("nonsense", "v1,!!!".to_owned(), now()),
        ("of another scheme", sign(OLD_KEY, "s-1", now(), &body).replace("v1,", "v1a,"), now()),
    ] {
        assert_eq!(compensate(&payment, &signature, seconds).await.status, 401, "{what}");
    }
    assert_eq!(payment.ledger("order-1").await, (30, 1));

    // While keys are rotated a request may carry several signatures, and one that fits is enough.
    let time = now();
    let both =
        format!("{} {}", sign(stranger, "s-1", time, &body), sign(NEW_KEY, "s-1", time, &body));
    assert_eq!(compensate(&payment, &both, time).await.outcome(), "compensated");
    assert_eq!(
        compensate(&payment, &sign(OLD_KEY, "s-1", time, &body), time).await.outcome(),
        "compensated"
    );
}

async fn a_reading_of_history_is_signed_too<B: Base>() {
    let keys = vec![signing_key(OLD_KEY).expect("a key")];
    let payment = Service::<B>::configured("payment", |config| config.signing_keys = keys).await;
    let read = async |signature: Option<String>| {
        let mut request =
            http::Request::get(format!("{}/amends/v1/history/order%2F1", payment.url));
        if let Some(signature) = signature {
            let seconds = now().to_string();
            request =
                request.header("webhook-id", "history-c-1").header("webhook-timestamp", seconds);
            request = request.header("webhook-signature", signature);
        }
        exchange(request, String::new()).await
    };
    assert_eq!(read(None).await.problem(), "unauthorized");
    let answer = read(Some(sign_text(OLD_KEY, "history-c-1", now(), ""))).await;
    assert_eq!((answer.status, answer.body), (200, json!({ "sagaId": "order/1", "entries": [] })));
}

crate::on_each_database!(
    a_step_needs_a_fresh_signature_of_an_accepted_key,
    a_reading_of_history_is_signed_too,
);
