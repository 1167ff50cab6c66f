//! Effects against real sockets: what a refused, silent, broken or redirecting service is read as.

use super::*;
use amends_protocol::{
    ActionName, CallbackProof, CaseId, Evidence, HistoryState, Outcome, Report, ReportData, SagaId,
    StepId, Verb,
};
use amends_rulebook::Rulebook;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn book(address: SocketAddr, timeout: &str) -> Arc<Rulebook> {
    let text = format!(
        "rulebook: shop
services:
  pay:
    url: \"http://{address}\"
    retry_policy: {{ timeout: {timeout} }}
    actions: {{ charge: {{ compensation: refund }} }}
  old:
    url: \"http://{address}\"
    actions:
      book:
        compensation: unbook
        endpoints: {{ compensate: {{ method: POST, path: /unbook, done: [200] }} }}
rules:
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    Rulebook::from_yaml(&text).expect("a valid rulebook")
}

fn saga() -> SagaId {
    SagaId::new("o/1").expect("a saga id")
}

fn send(rulebook: &Arc<Rulebook>) -> Effect {
    let name = ActionName::new("pay", "charge");
    let report = Report {
        id: "r-1".to_owned(),
        source: "order".to_owned(),
        saga_id: saga(),
        time: None,
        traceparent: None,
        data: ReportData { code: "x".to_owned(), ..ReportData::default() },
    };
    Effect::Send(Box::new(SendStep {
        step: StepId::derive(CaseId(1), 1, &saga(), "compensate", &name),
        proof: CallbackProof::new("p-0"),
        key: None,
        attempt: 1,
        verb: Verb::Compensate,
        action_id: rulebook.action("pay", "charge").expect("an action"),
        action: name,
        rulebook: Arc::clone(rulebook),
        saga: saga(),
        request_ids: Vec::new(),
        report: Arc::new(report),
        data: None,
        veil: amends_engine::Veil::default(),
    }))
}

fn poll(rulebook: &Arc<Rulebook>, location: &str) -> Effect {
    let Effect::Send(send) = send(rulebook) else { unreachable!("made above") };
    Effect::Poll(Box::new(PollStep {
        step: send.step,
        key: None,
        attempt: 1,
        verb: send.verb,
        action: send.action,
        action_id: send.action_id,
        rulebook: send.rulebook,
        saga: send.saga,
        location: location.into(),
    }))
}

async fn step(effect: Effect) -> StepResult {
    let outbound = HttpOutbound::new(HttpOptions::default());
    match outbound.perform(effect, Permit::default()).await {
        EffectResult::Step(result) => result,
        other => panic!("not a step: {other:?}"),
    }
}

async fn walk(rulebook: &Arc<Rulebook>, service: &str) -> HistoryResult {
    let outbound = HttpOutbound::new(HttpOptions::default());
    let walk = ReadHistory {
        case: CaseId(1),
        service: service.into(),
        rulebook: Arc::clone(rulebook),
        saga: saga(),
    };
    match outbound.perform(Effect::ReadHistory(Box::new(walk)), Permit::default()).await {
        EffectResult::History(result) => result,
        other => panic!("not a walk: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_comes_back_and_the_connection_is_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route("/amends/v1/compensate/charge", post(|| async { StatusCode::NO_CONTENT }));
    let listener = axum::serve::ListenerExt::tap_io(listener, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let outbound = HttpOutbound::new(HttpOptions::default());
    let book = book(address, "10s");
    for _ in 0..20 {
        let EffectResult::Step(result) = outbound.perform(send(&book), Permit::default()).await
        else {
            panic!("a step was sent")
        };
        assert_eq!(result.answer, StepReading::Done(Outcome::Compensated), "{result:?}");
    }
    assert!(connections.load(Ordering::Relaxed) < 20, "connections are pooled");
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let result = step(send(&book(address, "10s"))).await;
    assert_eq!(result.answer, StepReading::NotSent, "{result:?}");
    let message = result.message.expect("a message");
    if cfg!(unix) {
        assert_eq!(message, format!("connection refused: {address}"));
    }
    assert!(message.contains("refused"), "{message}");
}

/// Before there is a connection it may be sent, and then no more.
#[tokio::test]
async fn what_is_withdrawn_while_it_connects_is_not_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let book = book(listener.local_addr().expect("an address"), "20s");
    let heard = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).await.expect("it is closed");
        heard
    });
    let outbound = HttpOutbound::new(HttpOptions::default());
    let looks = AtomicUsize::new(0);
    let may = Permit::while_true(move || looks.fetch_add(1, Ordering::Relaxed) == 0);
    for may in [may, Permit::while_true(|| false)] {
        let EffectResult::Step(result) = outbound.perform(send(&book), may).await else {
            panic!("a step")
        };
        assert_eq!(result.answer, StepReading::NotSent, "{result:?}");
        assert!(result.message.is_some_and(|why| why.contains("taken the case over")));
    }
    assert_eq!(heard.await.expect("no panic"), b"");
}

#[tokio::test]
async fn silence_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let result = step(send(&book(address, "50ms"))).await;
    assert_eq!(result.answer, StepReading::Unknown, "{result:?}");
    assert_eq!(result.message.as_deref(), Some("no answer within 50 ms"));
    drop(listener);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut some = [0; 16];
        socket.read_exact(&mut some).await.expect("a request");
    });
    let result = step(send(&book(address, "10s"))).await;
    assert_eq!(result.answer, StepReading::Unknown, "{result:?}");
    let message = result.message.expect("a message");
    assert!(
        message.starts_with("connection ") && message.ends_with(&address.to_string()),
        "{message}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&followed);
    let elsewhere = move || async move {
        seen.fetch_add(1, Ordering::Relaxed);
        StatusCode::NO_CONTENT
    };
    let router = Router::new()
        .route("/amends/v1/compensate/charge", post(|| async { Redirect::temporary("/elsewhere") }))
        .route("/elsewhere", post(elsewhere));
    let result = step(send(&book(serve(router).await, "10s"))).await;
    assert_eq!(result.answer, StepReading::Definite, "{result:?}");
    assert_eq!(followed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let huge = || async { (StatusCode::OK, vec![b' '; (1 << 20) + 1]) };
    let router = Router::new().route("/amends/v1/compensate/charge", post(huge));
    let result = step(send(&book(serve(router).await, "10s"))).await;
    assert_eq!((result.answer, result.status), (StepReading::Unknown, Some(200)));
    assert!(result.message.expect("a message").contains("1048576"));
}

#[tokio::test]
async fn a_poll_looks_where_it_was_told_and_nowhere_else() {
    let router = Router::new().route("/jobs/7", get(|| async { "{\"outcome\":\"compensated\"}" }));
    let address = serve(router).await;
    let book = book(address, "10s");
    assert_eq!(step(poll(&book, "/jobs/7")).await.answer, StepReading::Done(Outcome::Compensated));
    assert_eq!(
        step(poll(&book, &format!("http://{address}/jobs/7"))).await.answer,
        StepReading::Done(Outcome::Compensated)
    );
    let result = step(poll(&book, "http://192.0.2.1/jobs/7")).await;
    // Not `NotSent`: that would be a sign that the service is gone, and it is well.
    assert_eq!(result.answer, StepReading::Unsendable);
    assert!(result.message.expect("a message").contains("leaves"));
}

#[tokio::test]
async fn a_history_is_read_with_the_asked_service_as_the_default() {
    let history = || async {
        let entry = |more: &str| {
            format!("{{\"action\":\"charge\",\"requestId\":\"q-1\",\"state\":\"succeeded\"{more}}}")
        };
        format!(
            "{{\"sagaId\":\"o/1\",\"entries\":[{},{}]}}",
            entry(""),
            entry(",\"service\":\"rider\"")
        )
    };
    let router = Router::new()
        .route("/amends/v1/history/o%2F1", get(history))
        .route("/amends/v1/history/{saga}", get(history));
    let book = book(serve(router).await, "10s");
    let evidence = |service: &str| Evidence::new(service, "charge", "q-1", HistoryState::Succeeded);
    assert_eq!(
        walk(&book, "pay").await,
        HistoryResult::Told(vec![evidence("pay"), evidence("rider")].into())
    );
    assert_eq!(walk(&book, "old").await, HistoryResult::NoHistory);
}

#[tokio::test]
async fn a_history_that_is_not_there_is_empty_and_a_broken_one_is_a_failure() {
    let nothing = |answer: Response| async move {
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 1_000).await.expect("a short body");
        let answer = move || {
            let again = Response::from_parts(parts.clone(), axum::body::Body::from(body.clone()));
            async move { again }
        };
        walk(&book(serve(Router::new().fallback(answer)).await, "10s"), "pay").await
    };
    let empty = HistoryResult::Told(Vec::new().into());
    let its_own = (StatusCode::NOT_FOUND, [("saga-id", "o/1")]);
    assert_eq!(nothing(its_own.into_response()).await, empty);
    let its_own = (StatusCode::NO_CONTENT, [("saga-id", "o/1")]);
    assert_eq!(nothing(its_own.into_response()).await, empty);
    let ours = "{\"type\":\"https://amends.dev/problems/not-found\",\"status\":404}";
    assert_eq!(nothing((StatusCode::NOT_FOUND, ours).into_response()).await, empty);
    // What stands before a service says the same while it is deployed.
    for (page, status) in [
        ((StatusCode::NOT_FOUND, "default backend - 404").into_response(), 404),
        ((StatusCode::NOT_FOUND, [("saga-id", "another")]).into_response(), 404),
        (StatusCode::NO_CONTENT.into_response(), 204),
    ] {
        assert_eq!(nothing(page).await, HistoryResult::Unproven { status });
    }
    let wrong = Router::new().fallback(|| async { "{\"sagaId\":\"another\",\"entries\":[]}" });
    let busy = Router::new().fallback(|| async {
        (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")]).into_response()
    });
    let HistoryResult::Failed { message, unreachable: false, .. } =
        walk(&book(serve(wrong).await, "10s"), "pay").await
    else {
        panic!("another saga's History must not be taken")
    };
    assert!(message.contains("another"), "{message}");
    let HistoryResult::Failed { retry_after_ms: Some(2_000), unreachable: false, .. } =
        walk(&book(serve(busy).await, "10s"), "pay").await
    else {
        panic!("a busy service is a failure with a pause")
    };
}

/// Answers with these pages, whatever is asked first; tells with what `after` each was asked for.
async fn paging(
    pages: &'static [(&'static str, &'static str)],
) -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let tell = move |uri: Uri| {
        let query = uri.query().unwrap_or_default().to_owned();
        let page = pages.iter().find(|(after, _)| *after == query);
        seen.lock().expect("not poisoned").push(query);
        async move {
            match page {
                Some((_, body)) => ([("content-type", "application/json")], *body).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let router = Router::new().route("/amends/v1/history/{saga}", get(tell));
    (serve(router).await, asked)
}

#[tokio::test]
async fn a_history_is_read_page_by_page_to_its_end() {
    let (address, asked) = paging(&[
        ("", r#"{"sagaId":"o/1","entries":[{"action":"charge","requestId":"r-1","state":"started"}],"next":"2&x"}"#),
        ("after=2%26x", r#"{"sagaId":"o/1","entries":[],"next":"3"}"#),
        ("after=3", r#"{"sagaId":"o/1","entries":[{"action":"charge","requestId":"r-2","state":"failed"}],"next":null}"#),
    ])
    .await;
    let HistoryResult::Told(told) = walk(&book(address, "10s"), "pay").await else {
        panic!("told")
    };
    let requests: Vec<_> = told.iter().filter_map(|e| e.request_id.as_deref()).collect();
    assert_eq!(requests, ["r-1", "r-2"]);
    assert_eq!(*asked.lock().expect("not poisoned"), ["", "after=2%26x", "after=3"]);
}

#[tokio::test]
async fn a_history_whose_end_is_not_found_is_none() {
    const FIRST: &str = r#"{"sagaId":"o/1","entries":[],"next":"1"}"#;
    for (pages, why) in [
        (&[("", FIRST), ("after=1", FIRST)][..], "leads to itself"),
        (&[("", FIRST)], "HTTP 404"),
        (&[("", r#"{"sagaId":"o/1","entries":[],"next":7}"#)], "no place to go on"),
        (&[("", r#"{"sagaId":"o/1","entries":[],"next":""}"#)], "no place to go on"),
        (&[("", FIRST), ("after=1", r#"{"sagaId":"o/2","entries":[]}"#)], "saga `o/2`"),
    ] {
        let (address, _) = paging(pages).await;
        let HistoryResult::Failed { message, .. } = walk(&book(address, "10s"), "pay").await else {
            panic!("it must fail: {why}")
        };
        assert!(message.contains(why), "{message}");
    }
}

/// A rulebook whose service speaks TLS.
fn secure_book(address: SocketAddr) -> Arc<Rulebook> {
    let plain = book(address, "10s");
    let text = plain.sources()[0].text.replace("http://", "https://");
    Rulebook::from_yaml(&text).expect("a valid rulebook")
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_service_that_cannot_prove_its_name_is_sent_nothing() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let router = Router::new().fallback(move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let result = step(send(&secure_book(serve(router).await))).await;
    assert_eq!(result.answer, StepReading::NotSent, "{result:?}");
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn a_build_without_tls_says_so() {
    let address = serve(Router::new()).await;
    let result = step(send(&secure_book(address))).await;
    assert_eq!(result.answer, StepReading::Unsendable);
    assert!(result.message.expect("a message").contains("speaks no `https`"));
}

/// Four services of 64 requests at once behind one address: each wave finds the connections of the one before.
#[tokio::test]
async fn idle_connections_follow_what_is_in_use() {
    const AT_ONCE: usize = 256;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let opened = Arc::new(AtomicUsize::new(0));
    // Nobody is answered before all of a wave have asked, so that each needs a connection of its own.
    let all_asked = Arc::new(tokio::sync::Barrier::new(AT_ONCE));
    let router = Router::new().route(
        "/amends/v1/compensate/{action}",
        post(move || {
            let all_asked = Arc::clone(&all_asked);
            async move {
                all_asked.wait().await;
                axum::Json(serde_json::json!({ "outcome": "compensated" }))
            }
        }),
    );
    let counted = Arc::clone(&opened);
    tokio::spawn(async move {
        let counting = axum::serve::ListenerExt::tap_io(listener, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        axum::serve(counting, router).await
    });
    let (outbound, book) = (HttpOutbound::new(HttpOptions::default()), book(address, "20s"));
    for _ in 0..3 {
        let mut wave = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (outbound, effect) = (outbound.clone(), send(&book));
            wave.spawn(async move { outbound.perform(effect, Permit::default()).await });
        }
        while let Some(ended) = wave.join_next().await {
            let Ok(EffectResult::Step(result)) = ended else { panic!("no step") };
            assert_eq!(result.answer, StepReading::Done(Outcome::Compensated), "{result:?}");
        }
    }
    // One more here and there: a request that was about to open one may find an idle one first.
    let opened = opened.load(Ordering::Relaxed);
    assert!(opened < AT_ONCE * 3 / 2, "{opened} connections for {AT_ONCE} at once");
}

#[tokio::test]
async fn over_all_services_so_many_requests_are_under_way_and_the_others_wait() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&busy), Arc::clone(&most));
    let count = move || async move {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        now.fetch_sub(1, Ordering::SeqCst);
        axum::Json(serde_json::json!({ "outcome": "compensated" }))
    };
    let router = Router::new().route("/amends/v1/compensate/charge", post(count));
    let book = book(serve(router).await, "5s");
    let outbound = HttpOutbound::new(HttpOptions { at_once: 2, ..HttpOptions::default() });
    let tries = (0..12).map(|_| outbound.perform(send(&book), Permit::default()));
    for result in futures_util::future::join_all(tries).await {
        let EffectResult::Step(result) = result else { panic!("a step") };
        assert_eq!(result.answer, StepReading::Done(Outcome::Compensated), "{result:?}");
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
