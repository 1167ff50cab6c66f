//! What an operator sees first: numbers that follow the work, and groups that name the trouble.

use super::desk::Desk;
use amends_engine::StepReading;
use serde_json::{Value, json};

fn service<'v>(overview: &'v Value, name: &str) -> &'v Value {
    let services = overview["services"].as_array().expect("services");
    services.iter().find(|s| s["name"] == name).expect("the service")
}

#[tokio::test]
async fn the_overview_follows_the_work() {
    let desk = Desk::open().await;
    let empty = desk.get("/v1/overview").await.body;
    assert_eq!((&empty["cases"], &empty["troubles"]), (&json!({}), &json!([])));
    assert_eq!(empty["minutes"].as_array().map(Vec::len), Some(60));

    desk.report("o-1", "r-1").await;
    desk.until("/v1/overview", |body| body["cases"]["settled"] == 1).await;
    desk.script.answer("payment.pay", StepReading::Refused);
    let case = desk.report("o-2", "r-2").await;
    let step = desk.payment_step(&case, "stuck").await;

    let overview = desk.get("/v1/overview").await.body;
    assert_eq!(overview["cases"], json!({"settled": 1, "stuck": 1}));
    let sum = |field: &str| {
        let minutes = overview["minutes"].as_array().expect("minutes").iter();
        minutes.map(|m| m[field].as_u64().expect("a number")).sum::<u64>()
    };
    assert_eq!((sum("reported"), sum("settled")), (2, 1));
    assert_eq!(overview["timeToSettle"]["cases"], 1);
    assert!(overview["timeToSettle"]["p99Ms"].is_u64(), "{overview}");
    let payment = service(&overview, "payment");
    assert_eq!((&payment["progress"]["stuck"], &payment["breaker"]), (&json!(1), &json!("closed")));
    assert_eq!(payment["attempts"]["requests"], 2);
    assert_eq!(payment["attempts"]["errorRate"], 0.0, "a refusal is an answer");
    let trouble = &overview["troubles"][0];
    assert_eq!((&trouble["stepId"], &trouble["why"]), (&step["id"], &json!("refused")));
    assert_eq!(trouble["subject"], "compensate payment.pay");
}

#[tokio::test]
async fn cases_are_exported_whole_in_both_formats() {
    let desk = Desk::open().await;
    for n in 0..3 {
        desk.report(&format!("o-{n}"), &format!("r-{n}")).await;
    }
    desk.until("/v1/overview", |body| body["cases"]["settled"] == 3).await;
    let lines = desk.get("/v1/cases:export?sort=oldest").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let text = lines.body.as_str().expect("text");
    let rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let sagas: Vec<_> = rows.iter().map(|row| row["sagaId"].clone()).collect();
    assert_eq!(json!(sagas), json!(["o-0", "o-1", "o-2"]));
    assert_eq!(
        rows[0]["sentence"],
        "order failed: failed; both undone; settled, proven: everything that could stand has answered or is fenced"
    );

    let sheet = desk.get("/v1/cases:export?format=csv&saga=o-1").await;
    assert!(sheet.header("content-disposition").contains("cases.csv"), "{sheet:?}");
    let text = sheet.body.as_str().expect("text");
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("id,saga_id,state") && lines[1].contains(",o-1,settled,"));
    for path in ["/v1/cases:export?format=xml", "/v1/cases:export?limit=5"] {
        assert_eq!(desk.get(path).await.problem(), "invalid-filter", "{path}");
    }
}

/// What a case, its step, its group and its service say of a pause is one thing.
#[tokio::test]
async fn in_a_pause_everything_says_so_and_nothing_names_a_next_try() {
    let desk = Desk::open().await;
    desk.script.answer("payment.pay", StepReading::NotSent);
    let case = desk.report("o-1", "r-1").await;
    desk.until("/v1/groups", |body| body[0]["cause"] == "unreachable").await;
    desk.post("/v1/services/payment/pause", &json!({"reason": "maintenance"})).await;
    let page = desk
        .until(&format!("/v1/cases/{case}"), |body| {
            body["sentence"].as_str().is_some_and(|text| text.contains("payment is paused"))
        })
        .await;
    let steps = page["plan"].as_array().expect("a plan");
    let step = steps.iter().find(|step| step["action"] == "payment.pay").expect("its step");
    assert_eq!((&step["state"], &step["cause"]), (&json!("due"), &json!("paused")), "{step}");
    assert!(step["dueAt"].is_null(), "{step}");
    let listed = desk.get(&format!("/v1/steps?case={case}&service=payment")).await.body;
    assert_eq!(listed["items"][0]["cause"], "paused", "{listed}");
    assert_eq!(desk.get("/v1/cases").await.body["items"][0]["sentence"], page["sentence"]);
    let groups = desk.get("/v1/groups").await.body;
    assert_eq!((&groups[0]["cause"], groups.as_array().map(Vec::len)), (&json!("paused"), Some(1)));
    assert!(groups[0]["nextTryAt"].is_null(), "{groups}");
    let overview = desk.get("/v1/overview").await.body;
    assert_eq!(service(&overview, "payment")["health"], "paused");
    assert_eq!(service(&overview, "payment")["paused"], true);
}

#[tokio::test]
async fn a_service_that_answers_nothing_but_errors_is_failing_until_it_answers() {
    let desk = Desk::open().await;
    let empty = desk.get("/v1/overview").await.body;
    assert_eq!(service(&empty, "payment")["health"], "idle", "nobody knows");
    desk.script.answer("payment.pay", StepReading::Unknown);
    desk.report("o-1", "r-1").await;
    let wish = |body: &Value| service(body, "payment")["attempts"]["requests"] != 0;
    let failing = desk.until("/v1/overview", wish).await;
    let payment = service(&failing, "payment");
    assert_eq!(
        (&payment["health"], &payment["attempts"]["errorRate"]),
        (&json!("failing"), &json!(1.0))
    );
    desk.script.answer("payment.pay", StepReading::Done(amends_protocol::Outcome::Compensated));
    let retried =
        json!({"act": {"act": "retry", "reason": "now"}, "filter": {"service": "payment"}});
    desk.post("/v1/steps:act", &retried).await;
    let wish = |body: &Value| body["cases"]["settled"] == 1;
    let well = desk.until("/v1/overview", wish).await;
    assert_eq!(service(&well, "payment")["health"], "healthy", "{well}");
}

#[tokio::test]
async fn groups_name_the_cause_and_disappear_with_it() {
    let desk = Desk::open().await;
    assert_eq!(desk.get("/v1/groups").await.body, json!([]));
    desk.script.answer("payment.pay", StepReading::NotSent);
    for n in 0..3 {
        desk.report(&format!("o-{n}"), &format!("r-{n}")).await;
    }
    let groups = desk
        .until("/v1/groups", |body| {
            body[0]["cause"] == "unreachable" && body[0]["count"] == 3 && body[1].is_null()
        })
        .await;
    let group = &groups[0];
    assert_eq!(
        (&group["service"], &group["action"], &group["verb"], &group["stuck"]),
        (&json!("payment"), &Value::Null, &Value::Null, &json!(false)),
        "an outage is of the service, whatever is asked"
    );
    let title = group["title"].as_str().expect("text");
    assert!(title.starts_with("payment unreachable: 3 waiting since "), "{title}");
    assert!(group["exampleStep"].is_string() && group["since"].is_string(), "{group}");

    let id = group["id"].as_str().expect("an id");
    for (path, rows) in [
        (format!("/v1/cases?group={id}"), 3),
        (format!("/v1/cases?group={id}&q=o-1"), 1),
        (format!("/v1/steps?group={id}"), 3),
        (format!("/v1/cases?group={id}&older_than=1d"), 0),
        ("/v1/cases?group=g-0".to_owned(), 0),
    ] {
        let page = desk.get(&path).await.body;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(rows), "{path}: {page}");
    }
    assert_eq!(desk.get("/v1/cases?group=7").await.problem(), "invalid-filter");

    let done = StepReading::Done(amends_protocol::Outcome::Compensated);
    desk.script.answer("payment.pay", done);
    desk.until("/v1/groups", |body| *body == json!([])).await;
    desk.until("/v1/overview", |body| body["cases"]["settled"] == 3).await;
}
