//! Bulk acts: looked at first, let out in a ramp, stopped by themselves when they do not help.

use super::desk::Desk;
use amends_engine::StepReading;
use amends_protocol::Outcome;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// Refused steps of so many sagas.
async fn refused(desk: &Desk, sagas: usize) {
    desk.script.answer("payment.pay", StepReading::Refused);
    for n in 0..sagas {
        desk.report(&format!("o-{n}"), &format!("r-{n}")).await;
    }
    let wish = |body: &Value| body["cases"]["stuck"] == sagas;
    desk.until("/v1/overview", wish).await;
}

fn retry(dry_run: bool) -> Value {
    let filter = json!({"service": "payment", "state": "stuck"});
    json!({"act": "retry", "reason": "payment is mended", "filter": filter, "dryRun": dry_run})
}

async fn made(desk: &Desk, wanted: &Value) -> String {
    let made = desk.post("/v1/bulk", wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    format!("/v1/bulk/{}", made.body["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn what_is_meant_is_frozen_shown_and_then_drained_in_waves() {
    let desk = Desk::open().await;
    refused(&desk, 30).await;
    let dry = desk.post("/v1/bulk", &retry(true)).await;
    assert_eq!((dry.status, &dry.body["matched"]), (StatusCode::OK, &json!(30)), "{dry:?}");
    assert_eq!(
        dry.body["counts"],
        json!([{"service": "payment", "action": "pay", "cause": "refused", "count": 30}])
    );
    assert_eq!(dry.body["sample"].as_array().map(Vec::len), Some(20));
    assert_eq!(desk.get("/v1/bulk").await.body, json!([]), "a dry run leaves nothing");

    let job = made(&desk, &retry(false)).await;
    desk.report("o-later", "r-later").await;
    desk.until("/v1/overview", |body| body["cases"]["stuck"] == 31).await;
    desk.script.answer("payment.pay", StepReading::Done(Outcome::Compensated));
    let started = desk.post(&format!("{job}/start"), &json!({})).await;
    assert_eq!((started.status, &started.body["state"]), (StatusCode::OK, &json!("running")));
    let done = desk.until(&job, |body| body["state"] == "done").await;
    let progress = &done["progress"];
    assert_eq!(
        (&progress["succeeded"], &progress["left"], &progress["wave"]),
        (&json!(30), &json!(0), &json!(4)),
        "1 + 5 + 20 + 4: {done}"
    );
    let overview = desk.until("/v1/overview", |body| body["cases"]["settled"] == 30).await;
    assert_eq!(overview["cases"]["stuck"], 1, "what came later was not meant");

    let ended = |acts: &Value| acts["items"][0]["act"] == "bulk_end";
    let acts = desk.until("/v1/acts?limit=100", ended).await;
    let acts = acts["items"].as_array().expect("acts");
    let (own, rest) = acts.split_first().expect("the end is the newest");
    assert_eq!((&own["actor"], &own["reason"]), (&json!("supervisor"), &json!("nothing is left")));
    assert_eq!(own["detail"]["succeeded"], 30, "{own}");
    let of_job = rest.iter().filter(|a| a["detail"]["bulk"] == "b-1").collect::<Vec<_>>();
    let count = |word: &str| of_job.iter().filter(|a| a["act"] == word).count();
    assert_eq!((count("retry"), count("bulk_start")), (30, 1));
    assert!(of_job.iter().all(|a| a["actor"] == "ann" && a["reason"] == "payment is mended"));
    assert_eq!(desk.post(&format!("{job}/start"), &json!({})).await.problem(), "conflict");
}

#[tokio::test]
async fn it_stops_by_itself_when_it_does_not_help_and_goes_on_after_a_restart() {
    let desk = Desk::open().await;
    refused(&desk, 3).await;
    let job = made(&desk, &retry(false)).await;
    desk.post(&format!("{job}/start"), &json!({"reason": "let us see"})).await;
    let stopped = desk.until(&job, |body| body["state"] == "stopped").await;
    assert_eq!(
        (&stopped["progress"]["failed"], &stopped["progress"]["left"]),
        (&json!(1), &json!(2)),
        "{stopped}"
    );
    assert_eq!(stopped["why"], "1 of 1 failed again: as told");
    let told = stops_told(&desk, 1).await;
    assert_eq!(told, ["1 of 1 failed again: as told"], "by the supervisor itself");

    let desk = desk.restart().await;
    assert_eq!(stops_told(&desk, 1).await, told, "what was told is not told again");
    desk.script.answer("payment.pay", StepReading::Done(Outcome::Compensated));
    assert_eq!(desk.get(&job).await.body["progress"]["left"], 2, "it is durable");
    desk.post(&format!("{job}/start"), &json!({})).await;
    let done = desk.until(&job, |body| body["state"] == "done").await;
    assert_eq!(done["progress"]["succeeded"], 2, "{done}");
    desk.until("/v1/overview", |body| body["cases"]["settled"] == 2).await;
}

/// What the supervisor itself has said of bulk acts that stopped, newest first, once that many are in the audit.
async fn stops_told(desk: &Desk, many: usize) -> Vec<String> {
    let own = |acts: &Value| -> Vec<String> {
        let acts = acts["items"].as_array().into_iter().flatten();
        let own = acts.filter(|a| a["act"] == "bulk_stop" && a["actor"] == "supervisor");
        own.filter_map(|a| a["reason"].as_str().map(str::to_owned)).collect()
    };
    own(&desk.until("/v1/acts?limit=100", |acts| own(acts).len() == many).await)
}

#[tokio::test]
async fn one_that_a_restart_interrupts_is_told_as_stopped_by_the_supervisor() {
    let desk = Desk::open().await;
    refused(&desk, 3).await;
    desk.post("/v1/services/payment/pause", &json!({"reason": "maintenance"})).await;
    let job = made(&desk, &retry(false)).await;
    desk.post(&format!("{job}/start"), &json!({})).await;
    desk.until(&job, |body| body["progress"]["waiting"] == 1).await;

    let desk = desk.restart().await;
    let found = desk.get(&job).await.body;
    let why = "the supervisor was restarted; start it again to go on";
    assert_eq!(
        (&found["state"], &found["why"], &found["progress"]["waiting"]),
        (&json!("stopped"), &json!(why), &json!(0))
    );
    assert!(found["endedAt"].is_string(), "{found}");
    assert_eq!(stops_told(&desk, 1).await, [why]);
}

#[tokio::test]
async fn somebody_can_stop_it_while_a_wave_waits() {
    let desk = Desk::open().await;
    refused(&desk, 3).await;
    desk.post("/v1/services/payment/pause", &json!({"reason": "maintenance"})).await;
    let job = made(&desk, &retry(false)).await;
    desk.post(&format!("{job}/start"), &json!({})).await;
    desk.until(&job, |body| body["progress"]["waiting"] == 1).await;
    let stopped = desk.post(&format!("{job}/stop"), &json!({"reason": "not now"})).await;
    assert_eq!(
        (&stopped.body["state"], &stopped.body["why"]),
        (&json!("stopped"), &json!("stopped by ann"))
    );
    assert_eq!(desk.post(&format!("{job}/stop"), &json!({})).await.problem(), "conflict");
    assert_eq!(desk.get("/v1/acts?limit=1").await.body["items"][0]["reason"], "not now");
    desk.until(&job, |body| body["progress"]["waiting"] == 0).await;
}

#[tokio::test]
async fn steps_are_waived_and_cases_are_planned_again_in_bulk() {
    let desk = Desk::open().await;
    refused(&desk, 2).await;
    let filter = json!({"state": "stuck"});
    let replan = json!({"act": "replan", "reason": "a new rule", "filter": filter});
    let job = made(&desk, &replan).await;
    desk.post(&format!("{job}/start"), &json!({})).await;
    let done = desk.until(&job, |body| body["state"] == "done").await;
    assert_eq!(done["progress"]["succeeded"], 2, "{done}");
    assert_eq!(done["sample"][0]["subject"], "order/failed");

    let group = desk.get("/v1/groups").await.body[0]["id"].clone();
    let waive = json!({"act": "waive", "reason": "paid in cash", "filter": {"group": group}});
    let job = made(&desk, &waive).await;
    desk.post(&format!("{job}/start"), &json!({})).await;
    desk.until(&job, |body| body["state"] == "done").await;
    let waived = desk.get("/v1/steps?outcome=waived").await.body;
    assert_eq!(waived["items"].as_array().map(Vec::len), Some(2), "{waived}");
}

#[tokio::test]
async fn a_bulk_act_says_what_it_means() {
    let desk = Desk::open().await;
    for body in [
        json!({"act": "retry", "reason": "x"}),
        json!({"act": "retry", "reason": " ", "ids": ["s-1-1-0"]}),
        json!({"act": "retry", "reason": "x", "filter": {}}),
        json!({"act": "retry", "reason": "x", "ids": ["c-1"]}),
        json!({"act": "replan", "reason": "x", "ids": ["s-1-1-0"]}),
        json!({"act": "delete", "reason": "x", "ids": ["c-1"]}),
        json!({"act": "retry", "reason": "x", "filter": {"service": "payment"}}),
    ] {
        assert_eq!(desk.post("/v1/bulk", &body).await.problem(), "invalid-request", "{body}");
    }
    assert_eq!(desk.get("/v1/bulk/b-9").await.problem(), "not-found");
    assert!(desk.get("/v1/bulk/9").await.detail().contains("as in `b-3`"));
}
