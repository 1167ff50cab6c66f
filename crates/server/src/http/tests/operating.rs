//! Operators at work: finding cases, acting on them, and what the audit says afterwards.

use super::desk::{BOOK, Desk};
use crate::http::HttpLimits;
use crate::retention::look_at_audit;
use crate::shell::DriverOptions;
use amends_engine::StepReading;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_refused_step_is_waived_with_a_reason_and_the_audit_knows_who() {
    let desk = Desk::open().await;
    let (case, step) = desk.stuck("o-1").await;
    assert_eq!(desk.get(&format!("/v1/steps/{step}")).await.body["reason"], "refused");
    let path = format!("/v1/steps/{step}/acts");
    for reason in ["", "  "] {
        let reply = desk.post(&path, &json!({"act": "waive", "reason": reason})).await;
        assert_eq!(reply.problem(), "invalid-request", "an act needs a reason");
    }
    let reply = desk.post(&path, &json!({"act": "waive", "reason": "paid back in cash"})).await;
    assert_eq!(
        (reply.status, &reply.body["outcome"]),
        (StatusCode::OK, &json!("waived")),
        "{reply:?}"
    );
    let late = desk.post(&path, &json!({"act": "approve", "reason": "too late"})).await;
    assert_eq!((late.status, late.problem()), (StatusCode::CONFLICT, "conflict"));

    let acts = desk.get(&format!("/v1/acts?case={case}")).await.body;
    let act = &acts["items"][0];
    assert_eq!(
        (&act["actor"], &act["act"], &act["reason"]),
        (&json!("ann"), &json!("waive"), &json!("paid back in cash"))
    );
}

#[tokio::test]
async fn a_retried_step_goes_out_again() {
    let desk = Desk::open().await;
    let (case, step) = desk.stuck("o-1").await;
    desk.script
        .answer("payment.pay", StepReading::Done(amends_protocol::Outcome::NothingToCompensate));
    let reply = desk
        .post(&format!("/v1/cases/{case}/acts"), &json!({"act": "retry", "reason": "mended"}))
        .await;
    assert_eq!((reply.status, &reply.body["id"]), (StatusCode::OK, &json!(case)), "{reply:?}");
    let done = desk.payment_step(&case, "done").await;
    assert_eq!((&done["id"], &done["outcome"]), (&json!(step), &json!("nothing_to_compensate")));
}

#[tokio::test]
async fn many_steps_are_acted_on_at_once_after_a_dry_run() {
    let desk = Desk::open().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(desk.stuck(&format!("o-{n}")).await.1);
    }
    let act = json!({"act": "waive", "reason": "the shop is closed"});
    let filter = json!({"service": "payment", "state": "stuck"});
    let dry =
        desk.post("/v1/steps:act", &json!({"act": act, "filter": filter, "dryRun": true})).await;
    assert_eq!((&dry.body["matched"], &dry.body["done"]), (&json!(3), &json!(0)), "{dry:?}");
    assert_eq!(dry.body["ids"].as_array().map(Vec::len), Some(3));

    let missing = "s-99-1-0000000000000000";
    let some = json!({"act": act, "ids": [ids[0], ids[0], missing]});
    let reply = desk.post("/v1/steps:act", &some).await.body;
    assert_eq!(
        (&reply["matched"], &reply["done"]),
        (&json!(2), &json!(1)),
        "an id counts once: {reply}"
    );
    assert_eq!(reply["failed"][0]["id"], missing);

    let reply = desk
        .post("/v1/steps:act", &json!({"act": act, "filter": {"service": "payment"}}))
        .await
        .body;
    assert_eq!(
        (&reply["matched"], &reply["done"]),
        (&json!(2), &json!(2)),
        "finished steps are left alone: {reply}"
    );
}

#[tokio::test]
async fn a_bulk_act_never_means_everything_by_mistake() {
    let desk = Desk::open().await;
    let act = json!({"act": "waive", "reason": "why"});
    for body in [
        json!({"act": act}),
        json!({"act": act, "filter": {}}),
        json!({"act": act, "filter": {"service": "payment"}, "ids": ["s-1-1-0"]}),
        json!({"act": act, "filter": {"service": "payment"}, "dry_run": true}),
        json!({"act": {"act": "waive"}, "ids": ["s-1-1-0"]}),
        json!({"act": {"act": "delete", "reason": "x"}, "ids": ["s-1-1-0"]}),
    ] {
        let reply = desk.post("/v1/steps:act", &body).await;
        assert_eq!(reply.problem(), "invalid-request", "{body}");
    }
    let unknown = json!({"act": act, "filter": {"servce": "payment"}});
    assert_eq!(desk.post("/v1/steps:act", &unknown).await.problem(), "invalid-filter");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let desk = Desk::open().await;
    for n in 0..5 {
        desk.report(&format!("o-{n}"), &format!("r-{n}")).await;
    }
    let one = desk.get("/v1/cases?saga=o-3").await.body;
    assert_eq!(one["items"][0]["sagaId"], "o-3");
    assert_eq!(one["items"].as_array().map(Vec::len), Some(1));
    let mut sagas = Vec::new();
    let mut path = "/v1/cases?limit=2&report=order/*".to_owned();
    loop {
        let page = desk.get(&path).await.body;
        sagas.extend(page["items"].as_array().expect("rows").iter().map(|c| c["sagaId"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/cases?limit=2&report=order/*&cursor={next}");
    }
    assert_eq!(json!(sagas), json!(["o-4", "o-3", "o-2", "o-1", "o-0"]));
    let steps = desk.get("/v1/steps?verb=compensate&action=payment.pay&saga=o-1").await.body;
    assert_eq!(steps["items"].as_array().map(Vec::len), Some(1), "{steps}");
    for path in [
        "/v1/cases?cursor=junk",
        "/v1/steps?verb=undo",
        "/v1/acts?limit=9999",
        "/v1/cases?sate=open",
    ] {
        let reply = desk.get(path).await;
        assert_eq!(
            (reply.status, reply.problem()),
            (StatusCode::BAD_REQUEST, "invalid-filter"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_that_says_so() {
    let desk = Desk::open().await;
    for path in [
        "/v1/cases/c-99",
        "/v1/cases/99",
        "/v1/steps/s-1-1-0",
        "/v1/steps/x",
        "/nowhere",
        "/v1/rulebooks/none",
        "/v1/rulebooks/%FF",
        "/v1/rulebooks/a/versions/%FF",
    ] {
        let reply = desk.get(path).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::NOT_FOUND, "not-found"), "{path}");
    }
    assert!(desk.get("/v1/cases/99").await.detail().contains("as in `c-17`"));
    let reply =
        desk.send(Request::delete("/v1/cases").body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (reply.status, reply.problem()),
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
    );
    assert!(reply.header("allow").contains("GET"), "{reply:?}");
    let head = desk.send(Request::head("/v1/cases").body(Body::empty()).expect("a request")).await;
    assert_eq!((head.status, head.body), (StatusCode::OK, json!("")));
}

#[tokio::test]
async fn acts_are_json_and_name_their_actor() {
    let desk = Desk::open().await;
    let act = |kind: &str, actor: &str, body: &str| {
        let request = Request::post("/v1/cases/c-1/acts")
            .header("content-type", kind)
            .header("amends-actor", actor);
        request.body(Body::from(body.to_owned())).expect("a request")
    };
    let good = "{\"act\":\"replan\",\"reason\":\"why\"}";
    assert_eq!(desk.send(act("text/plain", "ann", good)).await.problem(), "unsupported-media-type");
    assert_eq!(desk.send(act("application/json", " ", good)).await.problem(), "invalid-request");
    let reply = desk.send(act("application/json", "ann", "{\"act\":\"replan\"}")).await;
    assert!(reply.detail().contains("reason"), "{reply:?}");
    assert_eq!(desk.send(act("application/json", "ann", good)).await.problem(), "not-found");
    // As a proxy leaves them that adds its header and does not take the sender's away.
    let mut twice = act("application/json", "mallory", good);
    twice.headers_mut().append("amends-actor", HeaderValue::from_static("ann"));
    let reply = desk.send(twice).await;
    assert!(
        reply.problem() == "invalid-request" && reply.detail().contains("several"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn a_service_is_paused_and_resumed() {
    let desk = Desk::open().await;
    let paused = desk.post("/v1/services/payment/pause", &json!({"reason": "maintenance"})).await;
    assert_eq!(
        (paused.status, &paused.body["name"]),
        (StatusCode::OK, &json!("payment")),
        "{paused:?}"
    );
    let shown = |wanted: bool| {
        move |body: &Value| body[1]["name"] == "payment" && body[1]["paused"] == wanted
    };
    desk.until("/v1/services", shown(true)).await;
    let case = desk.report("o-1", "r-1").await;
    assert_eq!(desk.payment_step(&case, "due").await["attempts"], 0, "nothing is sent meanwhile");
    assert_eq!(
        desk.post("/v1/services/payment/resume", &json!({"reason": "back"})).await.status,
        StatusCode::OK
    );
    desk.payment_step(&case, "done").await;
    assert_eq!(
        desk.post("/v1/services/nobody/pause", &json!({"reason": "x"})).await.problem(),
        "not-found"
    );
    assert_eq!(
        desk.post("/v1/services/payment/pause", &json!({})).await.problem(),
        "invalid-request"
    );
}

#[tokio::test]
async fn what_is_set_for_a_service_is_shown_audited_and_survives_a_restart() {
    let desk = Desk::open().await;
    desk.post("/v1/services/order/pause", &json!({"reason": "maintenance until ten"})).await;
    let limits = json!({"concurrency": 2, "perSecond": 50, "reason": "it is slow today"});
    let reply = desk.post("/v1/services/payment/limits", &limits).await;
    assert_eq!((reply.status, &reply.body["perSecond"]), (StatusCode::OK, &json!(50)), "{reply:?}");
    let made = desk.post("/v1/backups", &json!({"reason": "before the upgrade"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");

    let desk = desk.restart().await;
    let services = desk.get("/v1/services").await.body;
    let (order, payment) = (&services[0], &services[1]);
    assert_eq!((&order["paused"], &order["pause"]["by"]), (&json!(true), &json!("ann")));
    assert_eq!((&payment["concurrency"], &payment["perSecond"]), (&json!(2), &json!(50)));
    assert_eq!(payment["limits"]["reason"], "it is slow today");

    let back = desk.post("/v1/services/payment/limits", &json!({"reason": "fast again"})).await;
    assert!(back.body["limits"].is_null() && back.body["concurrency"] != 2, "{back:?}");
    let none = json!({"concurrency": 0, "reason": "x"});
    assert_eq!(desk.post("/v1/services/payment/limits", &none).await.problem(), "invalid-request");
    let acts = desk.get("/v1/acts").await.body;
    let words: Vec<_> =
        acts["items"].as_array().expect("acts").iter().map(|a| a["act"].clone()).collect();
    assert_eq!(json!(words), json!(["limit", "backup", "limit", "pause", "activate"]));
    assert_eq!(acts["items"][1]["reason"], "before the upgrade");
    assert_eq!(acts["items"][2]["detail"]["perSecond"], 50);
}

#[tokio::test]
async fn a_case_shows_the_rule_that_holds_its_steps_back_too() {
    let desk = Desk::open().await;
    let limited =
        BOOK.replacen("- on: order/failed", "- on: order/failed\n    limit: 1 per minute", 1);
    let put = Request::put("/v1/rulebooks/shop").header("content-type", "application/yaml");
    let put = desk.send(put.body(Body::from(limited)).expect("a request")).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    for (saga, state) in [("o-1", "done"), ("o-2", "stuck")] {
        let case = desk.report(saga, &format!("r-{saga}")).await;
        desk.payment_step(&case, state).await;
        let shown = desk.get(&format!("/v1/cases/{case}")).await.body;
        assert_eq!(shown["reports"][0]["rule"], "order/failed", "{saga}: {shown}");
    }
}

#[tokio::test]
async fn old_entries_of_the_audit_go_and_its_chain_stays_whole() {
    let options = DriverOptions { trust_after: Duration::ZERO, ..DriverOptions::default() };
    let desk = Desk::driven(HttpLimits::default(), options).await;
    for path in ["pause", "resume", "pause"] {
        let acted =
            desk.post(&format!("/v1/services/payment/{path}"), &json!({"reason": "x"})).await;
        assert_eq!(acted.status, StatusCode::OK, "{acted:?}");
    }
    let head = desk.get("/v1/acts/head").await.body;
    let kept = look_at_audit(&desk.supervisor, Duration::from_secs(3_600)).await.expect("looks");
    assert_eq!(kept, 0, "they are young");
    // The clock of the wall goes on by a millisecond at least.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    let gone = look_at_audit(&desk.supervisor, Duration::ZERO).await.expect("looks");
    assert!(gone > 0, "nothing went");
    let after = desk.get("/v1/acts/head").await.body;
    assert_eq!((&after["number"], &after["digest"]), (&head["number"], &head["digest"]), "{after}");
    assert_eq!(after["removed"]["number"].as_u64(), Some(gone as u64), "{after}");
    let left = desk.get("/v1/acts?sort=oldest").await.body;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "the newest stays: {left}");
}
