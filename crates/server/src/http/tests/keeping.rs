//! What is taken is kept: whatever a sender makes up is either refused with a problem that says where and how to mend
//! it, or it is written, read back, and the same after a restart.

use super::desk::{Desk, Reply, binary};
use amends_engine::StepReading;
use amends_protocol::{SagaId, Timestamp};
use amends_store::Archive;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

/// Documents of each kind.
const DOCUMENTS: usize = 150;

/// Texts of JSON that readers and writers of JSON differ about.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "0.1",
    "0.30000000000000004",
    "5e-324",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "123456789.123456789e-10",
    "8.41428953718263E-15",
    "3.141592653589793238462643383",
    "9007199254740993",
    "9007199254740993.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "1.50",
    "1e22",
    "1e23",
    "1E-400",
];
const TEXTS: &[&str] = &[
    r#""""#,
    r#""\u0000""#,
    r#""a\u0000b""#,
    r#""\ud83d\ude00""#,
    r#""\u2028\u007f\u0085\ufeff\uffff""#,
    r#""\\u0000 \"quoted\" \/""#,
    "\"\u{1f600}\u{e000}\u{10ffff}\"",
    r#""$serde_json::private::RawValue""#,
    r#""{\"a\":1}""#,
];
const KEYS: &[&str] = &[
    r#""""#,
    r#""a""#,
    r#""\u0000""#,
    r#""a.b""#,
    r#""__proto__""#,
    r#""$serde_json""#,
    r#""0""#,
    r#""\ud83d\ude00""#,
    r#""code""#,
];
/// What no document may hold.
const REFUSED: &[&str] = &[
    "1e400",
    "-1e400",
    r#""\ud800""#,
    r#""\udc00x""#,
    r#""\ud800\ud800""#,
    r#"{"$serde_json::private::Number":"1"}"#,
    r#"{"$serde_json::private::RawValue":"[1"}"#,
    "nan",
    "\"\u{0}\"",
];

/// A value as text.
fn any_value() -> impl Strategy<Value = String> {
    let float = any::<f64>().prop_filter("finite", |f| f.is_finite());
    let leaf = prop_oneof![
        4 => select(NUMBERS).prop_map(str::to_owned),
        4 => select(TEXTS).prop_map(str::to_owned),
        2 => float.prop_map(|f| format!("{f:e}")),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<String>().prop_map(|s| Value::from(s).to_string()),
        1 => select(&["true", "false", "null"][..]).prop_map(str::to_owned),
    ];
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((select(KEYS), inner), 0..4).prop_map(|members| object(&members)),
        ]
    });
    // Near the limit of depth, where readers give up.
    (nested, prop_oneof![8 => Just(0_usize), 1 => 92..99_usize]).prop_map(|(value, levels)| {
        (0..levels).fold(value, |inner, n| match n % 2 {
            0 => format!("[{inner}]"),
            _ => format!("{{\"a\":{inner}}}"),
        })
    })
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// Business data as text: an object.
fn any_data() -> impl Strategy<Value = String> {
    vec((select(KEYS), any_value()), 0..4).prop_map(|members| object(&members))
}

/// The same documents each time.
fn documents(seed: u8) -> Vec<String> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut one = || any_data().new_tree(&mut runner).expect("documents can be made").current();
    (0..DOCUMENTS).map(|_| one()).collect()
}

/// What a document says.
fn meaning(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A refusal that helps: a 4xx with a place or a field in its detail.
#[track_caller]
fn is_told(reply: &Reply, text: &str) {
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{text}: {reply:?}");
    reply.problem();
    let detail = format!("{} {}", reply.detail(), reply.body["errors"]);
    let says_where = [" line ", " byte ", "`data", "`ce-", "`a", "`deadline", "attribute"];
    assert!(says_where.iter().any(|place| detail.contains(place)), "{text}: {detail}");
}

fn raw(path: &str, kind: &str, body: String) -> Request<Body> {
    let request = Request::post(path).header("content-type", kind).header("amends-actor", "ann");
    request.body(Body::from(body)).expect("a request")
}

/// The event of a report with this data, as the body of a structured request.
fn event(n: usize, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"dev.amends.report.v1","source":"order","id":"r-{n}","subject":"o-{n}","data":{{"code":"failed","action":"place","data":{data}}}}}"#
    )
}

/// The same in binary mode.
fn bare(n: usize, data: &str) -> Request<Body> {
    let mut request = binary(&format!("o-{n}"), &format!("r-{n}"), &Value::Null);
    *request.body_mut() =
        Body::from(format!(r#"{{"code":"failed","action":"place","data":{data}}}"#));
    request
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// The data of the only report of a saga's case.
async fn kept(desk: &Desk, saga: &str) -> Option<Map<String, Value>> {
    let cases = desk.get(&format!("/v1/cases?saga={saga}")).await.body;
    let id = cases["items"][0]["id"].as_str()?;
    let report = desk.get(&format!("/v1/cases/{id}/reports/0")).await.body;
    Some(report["data"]["data"].as_object().cloned().unwrap_or_default())
}

#[tokio::test]
async fn the_data_of_a_report_is_the_same_after_a_restart_in_all_three_modes() {
    let desk = Desk::open().await;
    let mut sent = Vec::new();
    for (n, data) in documents(1).into_iter().enumerate() {
        let reply = match n % 3 {
            0 => desk.send(bare(n, &data)).await,
            1 => desk.send(raw("/v1/reports", STRUCTURED, event(n, &data))).await,
            _ => desk.send(raw("/v1/reports:batch", BATCH, format!("[{}]", event(n, &data)))).await,
        };
        if reply.status.is_success() {
            sent.push((format!("o-{n}"), meaning(&data), data));
        } else {
            is_told(&reply, &data);
        }
    }
    assert!(sent.len() * 10 > DOCUMENTS * 8, "{} of {DOCUMENTS} were taken", sent.len());
    let desk = desk.restart().await;
    for (saga, meant, text) in sent {
        assert_eq!(kept(&desk, &saga).await, Some(meant), "{text}");
    }
    assert_eq!(desk.get("/v1/quarantine").await.body, json!({"cases": [], "rows": []}));
}

#[tokio::test]
async fn what_an_announcement_and_an_edit_bring_is_the_same_after_a_restart() {
    let desk = Desk::open().await;
    let (_, step) = desk.stuck("edited").await;
    let path = format!("/v1/steps/{step}/acts");
    let (mut announced, mut edited) = (Vec::new(), None);
    for (n, data) in documents(2).into_iter().enumerate() {
        let begin = format!(
            r#"{{"sagaId":"s-{n}","service":"order","deadline":"9999-12-30T22:00:00Z","data":{data}}}"#
        );
        let reply = desk.send(raw("/v1/sagas", "application/json", begin)).await;
        match reply.status.is_success() {
            true => announced.push((SagaId::new(&format!("s-{n}")).expect("valid"), data.clone())),
            false => is_told(&reply, &data),
        }
        let edit = format!(r#"{{"act":"edit","reason":"other data","data":{data}}}"#);
        let reply = desk.send(raw(&path, "application/json", edit)).await;
        match reply.status.is_success() {
            true => {
                desk.until(&format!("/v1/steps/{step}"), |step| step["state"] == "stuck").await;
                edited = Some(data);
            }
            false => is_told(&reply, &data),
        }
    }
    let desk = desk.restart().await;
    assert!(announced.len() * 10 > DOCUMENTS * 8, "{} were taken", announced.len());
    for (saga, text) in announced {
        let row = desk.supervisor.store().saga(&saga).await.expect("reads").expect("is there");
        assert_eq!((&*row.data, row.deadline), (&meaning(&text), Timestamp::LAST), "{text}");
    }
    let edited = edited.expect("some were taken");
    let step = desk.get(&format!("/v1/steps/{step}")).await.body;
    assert_eq!(step["edited"].as_object(), Some(&meaning(&edited)), "{edited}");
    assert_eq!(desk.get("/v1/quarantine").await.body, json!({"cases": [], "rows": []}));
}

#[tokio::test]
async fn what_could_not_be_kept_is_refused_with_its_place_in_every_mode() {
    let desk = Desk::open().await;
    let (_, step) = desk.stuck("edited").await;
    let deep = |levels: usize| (1..levels).fold("1".to_owned(), |inner, _| format!("[{inner}]"));
    let bad = REFUSED.iter().map(|text| (*text).to_owned()).chain([deep(101), deep(130)]);
    for (n, bad) in bad.enumerate() {
        let data = format!(r#"{{"a":{bad}}}"#);
        is_told(&desk.send(bare(n, &data)).await, &bad);
        is_told(&desk.send(raw("/v1/reports", STRUCTURED, event(n, &data))).await, &bad);
        let begin = format!(
            r#"{{"sagaId":"s-{n}","service":"order","deadline":"2099-01-01T00:00:00Z","data":{data}}}"#
        );
        is_told(&desk.send(raw("/v1/sagas", "application/json", begin)).await, &bad);
        let edit = format!(r#"{{"act":"edit","reason":"x","data":{data}}}"#);
        let path = format!("/v1/steps/{step}/acts");
        is_told(&desk.send(raw(&path, "application/json", edit)).await, &bad);
    }
    let reports = desk.get("/v1/cases").await.body;
    assert_eq!(reports["items"].as_array().map(Vec::len), Some(1), "none of them was taken");
}

#[tokio::test]
async fn in_a_batch_what_could_not_be_kept_is_refused_alone() {
    let desk = Desk::open().await;
    for (n, bad) in REFUSED.iter().enumerate().filter(|(_, bad)| !["nan", "\"\0\""].contains(bad)) {
        let (good, other) =
            (event(2 * n, r#"{"a":1}"#), event(2 * n + 1, &format!(r#"{{"a":{bad}}}"#)));
        let reply = desk.send(raw("/v1/reports:batch", BATCH, format!("[{other},{good}]"))).await;
        assert_eq!(reply.problem(), "invalid-report", "{bad}: {reply:?}");
        assert_eq!(reply.body["events"][0]["status"], 400, "{bad}: {reply:?}");
        assert_eq!(reply.body["events"][1]["duplicate"], false, "{bad}: {reply:?}");
    }
}

#[tokio::test]
async fn times_at_the_ends_of_the_calendar_are_kept_or_refused() {
    let desk = Desk::open().await;
    let mut taken = Vec::new();
    for (n, (time, is_kept)) in [
        ("0000-01-01T00:00:00Z", true),
        ("0000-01-01T00:00:00.0004Z", true),
        ("1969-12-31T23:59:59.9996Z", true),
        ("2016-12-31T23:59:60Z", true),
        ("9999-12-30T22:00:00Z", true),
        ("9999-12-31T23:59:59.999999999Z", false),
        ("-000001-12-31T23:59:59Z", false),
        ("0000-01-01T00:00:00+00:01", false),
        ("10000-01-01T00:00:00Z", false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = binary(&format!("o-{n}"), &format!("r-{n}"), &json!({"code": "failed"}));
        request.headers_mut().insert("ce-time", time.parse().expect("a header"));
        let reply = desk.send(request).await;
        let begin = json!({"sagaId": format!("s-{n}"), "service": "order", "deadline": time});
        let begun = desk.send(raw("/v1/sagas", "application/json", begin.to_string())).await;
        if is_kept {
            assert!(reply.status.is_success() && begun.status.is_success(), "{time}: {reply:?}");
            taken.push((n, Timestamp::parse(time).expect("it was taken")));
        } else {
            is_told(&reply, time);
            is_told(&begun, time);
        }
    }
    let desk = desk.restart().await;
    for (n, time) in taken {
        let saga = SagaId::new(&format!("s-{n}")).expect("valid");
        let row = desk.supervisor.store().saga(&saga).await.expect("reads").expect("is there");
        assert_eq!(row.deadline, time);
        let path = format!("/v1/cases?saga=o-{n}");
        assert_eq!(desk.get(&path).await.body["items"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(desk.get("/v1/quarantine").await.body, json!({"cases": [], "rows": []}));
}

#[tokio::test]
async fn what_a_callback_and_a_plan_by_hand_say_is_the_same_after_a_restart() {
    let desk = Desk::open().await;
    desk.script
        .answer("payment.pay", StepReading::Accepted { location: None, retry_after_ms: None });
    for (n, message) in TEXTS.iter().enumerate() {
        let case = desk.report(&format!("o-{n}"), &format!("r-{n}")).await;
        let step = desk.payment_step(&case, "accepted").await;
        let id = step["id"].as_str().expect("an id");
        let outcome = format!(
            r#"{{"outcome":"compensated","message":{message},"history":[{{"service":"order","action":"place","requestId":"q","state":"failed"}}]}}"#
        );
        let path = format!("/v1/steps/{id}/outcome");
        let reply = desk.send(raw(&path, "application/json", outcome)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{message}: {reply:?}");
        let plan = format!(r#"{{"act":"plan","reason":{message},"compensate":["order.place"]}}"#);
        let path = format!("/v1/cases/{case}/acts");
        let reply = desk.send(raw(&path, "application/json", plan)).await;
        if !reply.status.is_success() {
            reply.problem();
        }
    }
    let before = seen(&desk).await;
    let desk = desk.restart().await;
    assert_eq!(seen(&desk).await, before);
    assert_eq!(desk.get("/v1/quarantine").await.body, json!({"cases": [], "rows": []}));
}

/// Everything that people see of all cases, as far as it does not change by itself.
async fn seen(desk: &Desk) -> Vec<Value> {
    let mut all = Vec::new();
    for n in 0..TEXTS.len() {
        let path = format!("/v1/cases/c-{}", n + 1);
        all.push(desk.until(&path, |case| case["state"] == "settled").await);
    }
    all.push(desk.get("/v1/acts").await.body);
    all
}
