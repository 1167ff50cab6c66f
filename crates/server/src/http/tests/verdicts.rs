//! The one verdict on a rulebook, over the API: at once by what can be seen, whole after playing, and before activation
//! if that is asked for.

use super::desk::{BOOK, Desk};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

fn yaml(method: &str, path: &str, text: &str) -> Request<Body> {
    let request =
        Request::builder().method(method).uri(path).header("content-type", "application/yaml");
    request.body(Body::from(text.to_owned())).expect("a request")
}

/// An order that fails after it was paid leaves the payment behind.
fn careless() -> String {
    BOOK.replace("[payment.pay]\n", "[order.place]\n").replace("recorded", "[order.place]")
}

fn codes(verdict: &Value) -> Vec<&str> {
    let findings = verdict["findings"].as_array().expect("a list").iter();
    findings.map(|finding| finding["code"].as_str().expect("a code")).collect()
}

#[tokio::test]
async fn a_put_says_what_can_be_seen_at_once_and_the_proof_comes_when_it_is_asked_for() {
    let desk = Desk::open().await;
    let put = desk.send(yaml("PUT", "/v1/rulebooks/shop", &careless())).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    assert_eq!(put.body["verdict"]["hash"], put.body["hash"]);
    let state = put.body["verdict"]["proof"].as_str().expect("a word");
    assert!(["pending", "proved"].contains(&state), "{put:?}");

    let whole = desk.get("/v1/rulebooks/shop/verdict?proof=wait").await.body;
    assert_eq!(whole["proof"], "proved", "{whole}");
    assert!(codes(&whole).contains(&"under-compensation"), "{whole}");
    // Kept by hash: now it is said at once.
    assert_eq!(desk.get("/v1/rulebooks/shop/verdict").await.body, whole);
    assert_eq!(desk.get("/v1/rulebooks/shop/verdict?proof=now").await.problem(), "invalid-filter");
    assert_eq!(desk.get("/v1/rulebooks/drinks/verdict").await.problem(), "not-found");
}

#[tokio::test]
async fn who_asks_for_the_proof_first_activates_nothing_that_leaves_something_behind() {
    let desk = Desk::open().await;
    let before = desk.get("/v1/rulebooks/shop").await.body["hash"].clone();
    let put = desk.send(yaml("PUT", "/v1/rulebooks/shop?proof=wait", &careless())).await;
    assert_eq!((put.status, put.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "rulebook-invalid"));
    assert!(put.body["errors"].to_string().contains("under-compensation"), "{put:?}");
    assert_eq!(desk.get("/v1/rulebooks/shop").await.body["hash"], before);

    let better = format!("{BOOK}settle: {{ quiet: 1s }}\n");
    let put = desk.send(yaml("PUT", "/v1/rulebooks/shop?proof=wait", &better)).await;
    assert_eq!((put.status, &put.body["verdict"]["proof"]), (StatusCode::OK, &json!("proved")));
    assert_ne!(put.body["hash"], before);
}

#[tokio::test]
async fn a_check_gives_the_same_verdict_and_the_console_shows_it() {
    let desk = Desk::open().await;
    let check = desk.send(yaml("POST", "/v1/rulebooks:check?proof=wait", &careless())).await.body;
    assert_eq!((&check["valid"], &check["verdict"]["proof"]), (&json!(true), &json!("proved")));
    desk.send(yaml("PUT", "/v1/rulebooks/shop", &careless())).await;
    let whole = desk.get("/v1/rulebooks/shop/verdict").await.body;
    assert_eq!(whole, check["verdict"], "one verdict on one content");
    let page = desk.get("/rules/shop").await;
    let page = page.body.as_str().expect("a page");
    assert!(
        page.contains("under-compensation") && page.contains("every single failure was played"),
        "{page}"
    );
}
