//! Watching: events as they happen, numbers, probes.

use super::desk::Desk;
use crate::http::HttpLimits;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// One event of a stream: its name, id and data.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) event: String,
    id: Option<u64>,
    pub(super) data: Value,
}

pub(super) struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    pub(super) async fn open(desk: &Desk, path: &str, last: Option<&str>) -> Self {
        let request =
            last.into_iter().fold(Request::get(path), |r, last| r.header("last-event-id", last));
        let request = request.header("host", "localhost");
        let answer =
            desk.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
        let answer = answer.expect("routes do not fail");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; none when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((one, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| one.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
                let told = Told {
                    event: field("event:").unwrap_or_default().to_owned(),
                    id: field("id:").and_then(|id| id.parse().ok()),
                    data: field("data:")
                        .and_then(|d| serde_json::from_str(d).ok())
                        .unwrap_or(Value::Null),
                };
                self.text = rest.to_owned();
                return Some(told);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.body.next())
                .await
                .expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("text"));
        }
    }
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens_and_again_after_a_break() {
    let desk = Desk::open().await;
    let mut stream = Stream::open(&desk, "/v1/events?kind=report", None).await;
    let case = desk.report("o-1", "r-1").await;
    let first = stream.next().await.expect("an event");
    assert_eq!(
        (&*first.event, &first.data["caseId"], &first.data["subject"]),
        ("report", &json!(case), &json!("order/failed"))
    );
    drop(stream);
    let other = desk.report("o-2", "r-2").await;
    let last = first.id.expect("an id").to_string();
    let mut again = Stream::open(&desk, "/v1/events?kind=report", Some(&last)).await;
    assert_eq!(again.next().await.expect("the missed one").data["caseId"], json!(other));
}

#[tokio::test]
async fn a_listener_from_before_a_restart_is_told_of_the_gap() {
    let desk = Desk::open().await;
    let mut stream = Stream::open(&desk, "/v1/events", Some("123456")).await;
    desk.report("o-1", "r-1").await;
    assert_eq!(stream.next().await.expect("an event").event, "gap");
    assert_ne!(stream.next().await.expect("an event").event, "gap");
}

#[tokio::test]
async fn one_case_can_be_watched() {
    let desk = Desk::open().await;
    let case = desk.report("o-1", "r-1").await;
    desk.payment_step(&case, "done").await;
    let mut stream = Stream::open(&desk, &format!("/v1/events?case={case}"), Some("0")).await;
    desk.report("o-2", "r-2").await;
    loop {
        let told = stream.next().await.expect("an event");
        assert_eq!(told.data["caseId"], json!(case), "only this case: {told:?}");
        if told.event == "step" && told.data["state"] == "compensated" {
            return;
        }
    }
}

#[tokio::test]
async fn streams_are_counted_and_end_with_the_supervisor() {
    let desk = Desk::with(HttpLimits { event_streams: 1, ..HttpLimits::default() }).await;
    let mut stream = Stream::open(&desk, "/v1/events", None).await;
    let second = desk.get("/v1/events").await;
    assert_eq!((second.status, second.problem()), (StatusCode::TOO_MANY_REQUESTS, "overloaded"));
    desk.stop.send_replace(true);
    assert_eq!(stream.next().await, None);
    for path in ["/v1/events?kind=reports", "/v1/events?case=7", "/v1/events?since=1"] {
        assert_eq!(desk.get(path).await.problem(), "invalid-filter", "{path}");
    }
}

#[tokio::test]
async fn numbers_probes_and_links() {
    let desk = Desk::open().await;
    let case = desk.report("o-1", "r-1").await;
    desk.payment_step(&case, "done").await;
    assert_eq!(desk.get("/livez").await.body, json!("ok\n"));
    assert_eq!(desk.get("/healthz").await.body, json!("ok\n"));
    let verbose = desk.get("/readyz?verbose").await.body;
    assert!(verbose.as_str().expect("text").contains("[+] store ok"), "{verbose}");
    let index = desk.get("/v1").await.body;
    for path in index["links"].as_object().expect("links").values().filter_map(Value::as_str) {
        let head =
            Request::builder().method("OPTIONS").uri(path).body(Body::empty()).expect("a request");
        assert_ne!(desk.send(head).await.status, StatusCode::NOT_FOUND, "{path} leads somewhere");
    }
    desk.stop.send_replace(true);
    let ready = desk.get("/readyz?verbose").await;
    assert_eq!((ready.status, ready.problem()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert!(ready.body["errors"].to_string().contains("[-] serving"), "{ready:?}");
    assert_eq!(desk.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_hears_that_there_is_news_and_nothing_of_what() {
    let desk = Desk::open().await;
    let first = desk.report("o-1", "r-1").await;
    let mut of_all = Stream::open(&desk, "/live", None).await;
    let mut of_first = Stream::open(&desk, &format!("/live?case={first}"), None).await;
    let mut of_rulebooks = Stream::open(&desk, "/live?kind=rulebook", None).await;
    // The first tick comes at once: what happened before the stream was open is news too.
    for stream in [&mut of_all, &mut of_first, &mut of_rulebooks] {
        assert_eq!(stream.next().await.expect("the first").event, "changed");
    }
    desk.report("o-2", "r-2").await;
    let tick = of_all.next().await.expect("a tick");
    assert_eq!((&*tick.event, &tick.data), ("changed", &Value::Null));
    let act = json!({"act": "replan", "reason": "to be sure"});
    desk.post(&format!("/v1/cases/{first}/acts"), &act).await;
    assert_eq!(of_first.next().await.expect("its act").event, "changed");
    let refused = desk.get("/live?kinds=step").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    // Nothing happened to a rulebook: the stream ends with the supervisor, and without another tick.
    desk.stop.send_replace(true);
    assert_eq!(of_rulebooks.next().await, None);
}
