//! A rule that does harm is held over the API and in the console: its cases are shown as ever, with who holds what and
//! why, and go on at the release.

use super::desk::{Desk, send_form};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

const HOLD: &str = "/v1/rulebooks/shop/hold";
const OF_RULE: &str = "/v1/rulebooks/shop/hold?rule=order%2Ffailed";

fn ask(method: &str, path: &str, body: Option<Value>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("amends-actor", "ann");
    let request = request.header("content-type", "application/json");
    request
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .expect("a request")
}

fn put(path: &str) -> Request<Body> {
    ask("PUT", path, Some(json!({"reason": "it refunds twice"})))
}

fn delete(path: &str) -> Request<Body> {
    ask("DELETE", path, None)
}

#[tokio::test]
async fn a_held_rule_opens_and_shows_its_cases_and_sends_nothing_before_the_release() {
    let desk = Desk::open().await;
    let held = desk.send(put(OF_RULE)).await;
    let hold = &held.body[0];
    assert_eq!(
        (held.status, &hold["rule"], &hold["by"]),
        (StatusCode::OK, &json!("order/failed"), &json!("ann"))
    );

    let case = desk.report("o-1", "r-1").await;
    let step = desk.payment_step(&case, "waiting").await;
    assert_eq!((&step["cause"], &step["held"]), (&json!("held"), hold), "{step}");
    let message = step["message"].as_str().expect("a text");
    assert!(
        message.starts_with("held: rule order/failed of rulebook shop, by ann since "),
        "{message}"
    );
    assert!(message.ends_with(", because it refunds twice"), "{message}");
    assert_eq!(desk.get(&format!("/v1/cases/{case}")).await.body["state"], "open");
    let sentence = desk.get(&format!("/v1/cases/{case}")).await.body["sentence"].clone();
    assert!(
        sentence.as_str().is_some_and(|text| text.contains("waits for the release of its rule")),
        "{sentence}"
    );

    // Everybody who looks is told.
    assert_eq!(desk.get(HOLD).await.body, held.body);
    assert_eq!(desk.get("/v1/rulebooks/shop").await.body["holds"], held.body);
    let overview = desk.get("/v1/overview").await.body;
    assert_eq!(overview["holds"], held.body);
    let group = desk.until("/v1/groups", |groups| groups[0]["cause"] == "held").await;
    assert!(
        group[0]["title"].to_string().contains("rule `order/failed` of rulebook `shop`"),
        "{group}"
    );
    let export = desk.get("/v1/cases:export?format=csv").await.body;
    assert!(export.to_string().contains("waits for the release of its rule"), "{export}");
    let metrics = desk.get("/metrics").await.body;
    assert!(
        metrics.to_string().contains("amends_rulebook_holds{rulebook=\\\"shop\\\"} 1"),
        "{metrics}"
    );
    for (page, told) in [
        ("/rules", "What held rules ask for"),
        ("/rules/shop", "it refunds twice"),
        ("/", "Rule order/failed of rulebook shop is held."),
        (&format!("/cases/{case}"), "held: rule order/failed of rulebook shop, by ann"),
    ] {
        let page = desk.get(page).await.body;
        assert!(page.as_str().is_some_and(|text| text.contains(told)), "{told}: {page}");
    }

    let desk = desk.restart().await;
    assert_eq!(desk.get(HOLD).await.body, held.body, "a hold survives a restart");
    assert_eq!(desk.payment_step(&case, "waiting").await["attempts"], 0);
    let released = desk.send(delete(&format!("{OF_RULE}&reason=mended"))).await;
    assert_eq!((released.status, &released.body), (StatusCode::OK, &json!([])), "{released:?}");
    desk.payment_step(&case, "done").await;
    let acts = desk.get("/v1/acts").await.body;
    assert_eq!(
        (&acts["items"][0]["act"], &acts["items"][0]["reason"]),
        (&json!("release"), &json!("mended"))
    );
    assert_eq!(
        (&acts["items"][1]["act"], &acts["items"][1]["detail"]["rule"]),
        (&json!("hold"), &json!("order/failed"))
    );
}

#[tokio::test]
async fn what_cannot_be_held_or_released_is_said_with_the_way_on() {
    let desk = Desk::open().await;
    let unknown = desk.send(put("/v1/rulebooks/shop/hold?rule=order%2Fother")).await;
    assert_eq!(unknown.problem(), "not-found");
    assert!(unknown.detail().contains("order/failed"), "{unknown:?}");
    assert_eq!(desk.send(put("/v1/rulebooks/drinks/hold")).await.problem(), "not-found");
    assert_eq!(desk.get("/v1/rulebooks/drinks/hold").await.problem(), "not-found");
    assert_eq!(desk.send(ask("PUT", HOLD, Some(json!({})))).await.problem(), "invalid-request");
    assert_eq!(desk.send(delete(HOLD)).await.problem(), "invalid-request");
    assert_eq!(desk.send(put(HOLD)).await.status, StatusCode::OK);
    let part = desk.send(delete(&format!("{OF_RULE}&reason=x"))).await;
    assert!(part.problem() == "conflict" && part.detail().contains("as a whole"), "{part:?}");
}

#[tokio::test]
async fn a_rule_is_held_and_released_in_the_console() {
    let desk = Desk::open().await;
    let act = |act| {
        [("act", act), ("rule", "order/failed"), ("reason", "it refunds twice"), ("actor", "ann")]
    };
    let held = send_form(&desk, "/rules/shop/holds", &act("hold")).await;
    assert_eq!(held.header("location"), "/rules/shop#holds", "{held:?}");
    assert_eq!(desk.get(HOLD).await.body[0]["reason"], "it refunds twice");
    let whole = [("act", "hold"), ("rule", ""), ("reason", "all of it"), ("actor", "ann")];
    send_form(&desk, "/rules/shop/holds", &whole).await;
    let page = desk.get("/rules/shop").await.body;
    let page = page.as_str().expect("a page");
    assert!(page.contains("<b>all rules</b>") && page.contains("<b>order/failed</b>"), "{page}");
    send_form(&desk, "/rules/shop/holds", &act("release")).await;
    assert_eq!(desk.get(HOLD).await.body.as_array().map(Vec::len), Some(1));
    let wrong = send_form(&desk, "/rules/shop/holds", &act("stop")).await;
    assert!(
        wrong.body.as_str().is_some_and(|page| page.contains("no act of this form")),
        "{wrong:?}"
    );
}
