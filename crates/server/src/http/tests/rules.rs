//! Rulebooks over the API.

use super::desk::{BOOK, Desk};
use amends_store::Archive;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

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

/// The version that new cases are planned with, that the store calls active, and that the API shows.
async fn versions_in_use(desk: &Desk, saga: &str) -> [String; 3] {
    let text = |value: &Value| value.as_str().expect("a hash").to_owned();
    let case = desk.report(saga, &format!("r-{saga}")).await;
    let engine = text(&desk.get(&format!("/v1/cases/{case}")).await.body["rulebookHash"]);
    let rows = desk.supervisor.store().rulebooks().await.expect("readable");
    let active: Vec<_> = rows.iter().filter(|row| row.active).map(|row| &*row.hash).collect();
    [engine, active.join(" "), text(&desk.get("/v1/rulebooks/shop").await.body["hash"])]
}

#[track_caller]
fn assert_all_the_same(versions: &[String; 3], when: &str) {
    let [engine, store, api] = versions;
    assert!(engine == store && store == api, "{when}: engine, store, API: {versions:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_four_activations_at_once_the_same_one_is_last_for_everybody() {
    const ROUNDS: usize = 200;
    const ROUNDS_OF_ONE_LIFE: usize = 40;
    let mut desk = Desk::open().await;
    for round in 0..ROUNDS {
        let puts = (0..4).map(|n| {
            // Four versions that come again and again: most rounds activate what is stored already.
            let text = format!("{BOOK}# {n}\n");
            let mut request = yaml("PUT", "/v1/rulebooks/shop", &text);
            request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
            let router = desk.router.clone();
            tokio::spawn(async move { router.oneshot(request).await.expect("answers").status() })
        });
        for put in puts.collect::<Vec<_>>() {
            assert_eq!(put.await.expect("no panic"), StatusCode::OK);
        }
        let after = versions_in_use(&desk, &format!("s-{round}")).await;
        assert_all_the_same(&after, &format!("after round {round}"));
        if round % ROUNDS_OF_ONE_LIFE == ROUNDS_OF_ONE_LIFE - 1 {
            desk = desk.restart().await;
            let restarted = versions_in_use(&desk, &format!("s-{round}-again")).await;
            assert_all_the_same(&restarted, &format!("after a restart in round {round}"));
            assert_eq!(restarted, after);
        }
    }
}
