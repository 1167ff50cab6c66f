//! Rulebooks over the API.

use super::desk::{BOOK, Desk};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

fn yaml(method: &str, path: &str, text: &str) -> Request<Body> {
    let request =
        Request::builder().method(method).uri(path).header("content-type", "application/yaml");
    request.body(Body::from(text.to_owned())).expect("a request")
}

fn changed() -> String {
    format!("{BOOK}  - on: payment/*\n    compensate: [payment.pay]\n")
}

#[tokio::test]
async fn a_good_version_becomes_active_and_the_old_one_stays_readable() {
    let desk = Desk::open().await;
    let before = desk.get("/v1/rulebooks/shop").await.body;
    assert_eq!(
        (&before["active"], &before["services"], &before["rules"]),
        (&json!(true), &json!(2), &json!(2))
    );
    let put = desk.send(yaml("PUT", "/v1/rulebooks/shop?reason=more%20rules", &changed())).await;
    assert_eq!((put.status, &put.body["rules"]), (StatusCode::OK, &json!(3)), "{put:?}");
    assert_ne!(put.body["hash"], before["hash"]);
    assert_eq!(put.body["sources"][0]["text"], changed());

    let list = desk.get("/v1/rulebooks").await.body;
    let active: Vec<&Value> =
        list.as_array().expect("a list").iter().map(|b| &b["active"]).collect();
    assert_eq!(active, [&json!(true), &json!(false)]);
    let hash = before["hash"].as_str().expect("a hash");
    let old = desk.get(&format!("/v1/rulebooks/shop/versions/{hash}")).await.body;
    assert_eq!((&old["active"], &old["rules"]), (&json!(false), &json!(2)));
    assert_eq!(
        desk.get(&format!("/v1/rulebooks/other/versions/{hash}")).await.problem(),
        "not-found"
    );
    let acts = desk.get("/v1/acts").await.body;
    assert!(
        acts["items"].as_array().expect("acts").iter().any(|a| a["reason"] == "more rules"),
        "{acts}"
    );
}

#[tokio::test]
async fn a_version_with_errors_changes_nothing_and_says_all_that_is_wrong() {
    let desk = Desk::open().await;
    let hash = desk.get("/v1/rulebooks/shop").await.body["hash"].clone();
    let bad = BOOK
        .replace("compensate: [payment.pay]", "compensate: [payment.pai]")
        .replace("calls: [", "cals: [");
    let put = desk.send(yaml("PUT", "/v1/rulebooks/shop", &bad)).await;
    assert_eq!((put.status, put.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "rulebook-invalid"));
    let errors = put.body["errors"].to_string();
    assert!(errors.contains("payment.pai") && errors.contains("cals"), "{errors}");
    assert_eq!(desk.get("/v1/rulebooks/shop").await.body["hash"], hash);

    let check = desk.send(yaml("POST", "/v1/rulebooks:check", &bad)).await.body;
    assert_eq!(check["valid"], false);
    let found = check["diagnostics"].as_array().expect("diagnostics");
    assert!(found.len() >= 2 && found.iter().all(|d| d["line"].as_u64() > Some(1)), "{check}");
    assert!(check["rendered"].as_str().expect("text").contains("payment.pai"));
    let fine = desk.send(yaml("POST", "/v1/rulebooks:check", &changed())).await.body;
    assert_eq!((&fine["valid"], &fine["name"]), (&json!(true), &json!("shop")), "{fine}");
}

#[tokio::test]
async fn a_rulebook_must_fit_its_name_and_its_neighbours() {
    let desk = Desk::open().await;
    let misnamed = desk.send(yaml("PUT", "/v1/rulebooks/store", BOOK)).await;
    assert_eq!(misnamed.problem(), "invalid-request");
    assert!(misnamed.detail().contains("/v1/rulebooks/shop"), "{misnamed:?}");
    let rival = BOOK.replace("rulebook: shop", "rulebook: rival");
    let put = desk.send(yaml("PUT", "/v1/rulebooks/rival", &rival)).await;
    assert_eq!(put.problem(), "rulebook-invalid");
    let check = desk.send(yaml("POST", "/v1/rulebooks:check", &rival)).await.body;
    assert_eq!(check["valid"], false, "a service belongs to one rulebook: {check}");
}

#[tokio::test]
async fn several_files_come_as_json() {
    let desk = Desk::open().await;
    let manifest =
        "service: sms\nurl: \"http://127.0.0.1:1\"\nactions: { send: { on_failure: retry } }\n";
    let root = format!("import: [sms.yaml]\n{}", BOOK.trim_start());
    let sources =
        json!([{"path": "root.yaml", "text": root}, {"path": "sms.yaml", "text": manifest}]);
    let put = |body: &Value| {
        let request = Request::put("/v1/rulebooks/shop").header("content-type", "application/json");
        request.body(Body::from(body.to_string())).expect("a request")
    };
    let reply = desk.send(put(&json!({"sources": sources, "reason": "messages"}))).await;
    assert_eq!((reply.status, &reply.body["services"]), (StatusCode::OK, &json!(3)), "{reply:?}");
    assert_eq!(desk.send(put(&json!({"sources": []}))).await.problem(), "invalid-request");
    assert_eq!(desk.send(put(&json!({"files": []}))).await.problem(), "invalid-request");
    let form = Request::put("/v1/rulebooks/shop")
        .header("content-type", "multipart/form-data")
        .body(Body::empty());
    assert_eq!(desk.send(form.expect("a request")).await.problem(), "unsupported-media-type");
}
