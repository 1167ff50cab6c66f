//! The front door of a service process: serves a router, and does the transport's planned faults, which no handler can
//! do. It decides nothing about the business.
//!
//! - closed: every request is turned away with 503 and nothing happens;
//! - a broken answer: the service did its work, but the answer becomes a bare 500;
//! - a lost answer: the service did its work, but the connection breaks instead of an answer;
//! - a late request: the connection breaks before the service has the request, which arrives all the same when the
//!   compensation of its action has been there (see [`crate::late`]).
//!
//! An answer is broken or lost once: whoever asks again under the same request id hears it.

use crate::faults::{By, FaultKind};
use crate::late::{Key, Late};
use crate::serving;
use amends_protocol::headers;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Where the supervisor asks for compensations; the action follows.
const COMPENSATE: &str = "/amends/v1/compensate/";
/// Largest request that the door reads; the kit's own limit.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// What the door does about requests.
#[derive(Debug)]
pub struct Door {
    /// By the fault's word.
    troubles: BTreeMap<&'static str, Trouble>,
    closed: AtomicBool,
    late: Late,
    /// Requests of which an answer was broken or lost.
    struck: Mutex<HashSet<String>>,
}

/// What a planned fault does at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    BrokenAnswer,
    LostAnswer,
    Late,
}

impl Trouble {
    /// What a fault does at the door of a service, if it does anything there.
    fn at(service: &str, kind: &FaultKind) -> Option<Self> {
        let (at, trouble) = match kind.by {
            By::BrokenAnswer(at) => (at, Self::BrokenAnswer),
            By::LostAnswer(at) => (at, Self::LostAnswer),
            By::Late(at) => (at, Self::Late),
            By::Service | By::Down(_) | By::Closed(_) => return None,
        };
        (at == service).then_some(trouble)
    }
}

/// The planned loss of an answer: hyper closes the connection on it.
#[derive(Debug)]
struct AnswerLost;

impl std::fmt::Display for AnswerLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the plan loses this answer")
    }
}

impl std::error::Error for AnswerLost {}

impl Door {
    /// The open door of a service, where these faults are planned.
    #[must_use]
    pub fn new(service: &str, faults: &[&'static FaultKind]) -> Arc<Self> {
        let trouble = |kind: &&'static FaultKind| Some((kind.word, Trouble::at(service, kind)?));
        Arc::new(Self {
            troubles: faults.iter().filter_map(trouble).collect(),
            closed: AtomicBool::new(false),
            late: Late::default(),
            struck: Mutex::default(),
        })
    }

    /// Turns everybody away from now on, or lets them in again.
    pub fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }

    /// Serves until `stop` turns true, then lets the requests under way end.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        router: Router,
        stop: watch::Receiver<bool>,
    ) {
        let answer = move |request| {
            let (door, router) = (Arc::clone(&self), router.clone());
            async move { door.answer(router, request).await }
        };
        serving::serve(listener, tls, answer, stop).await;
    }

    async fn answer(
        &self,
        router: Router,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, AnswerLost> {
        if self.closed.load(Ordering::SeqCst) {
            return Ok(bare(StatusCode::SERVICE_UNAVAILABLE, "closed for a moment"));
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT_BYTES).collect().await else {
            return Ok(bare(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB"));
        };
        let body = body.to_bytes();
        let forward = parts.method == Method::POST && !parts.uri.path().starts_with("/amends/");
        let trouble = forward.then(|| self.planned(&body)).flatten();
        if trouble == Some(Trouble::Late)
            && let Some(key) = key(&parts, parts.uri.path().trim_start_matches('/'))
            && self.late.holds(&key)
        {
            self.late.hold(router, key, parts, body).await;
            return Err(AnswerLost);
        }
        let trouble = trouble.filter(|_| self.is_first(&parts));
        let compensated = parts.uri.path().strip_prefix(COMPENSATE);
        let compensated = compensated.and_then(|action| key(&parts, action));
        let request = Request::from_parts(parts, Body::from(body));
        let answer = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if let Some(key) = compensated {
            // Before the supervisor has its answer, so that a run doesn't end while an original is on its way.
            self.late.let_through(&router, &key).await;
        }
        match trouble {
            Some(Trouble::BrokenAnswer) => {
                Ok(bare(StatusCode::INTERNAL_SERVER_ERROR, "something broke on the way out"))
            }
            Some(Trouble::LostAnswer) => Err(AnswerLost),
            Some(Trouble::Late) | None => Ok(answer),
        }
    }

    /// What the plan does at this door to a request with this body.
    fn planned(&self, body: &Bytes) -> Option<Trouble> {
        #[derive(serde::Deserialize)]
        struct OnlyFault {
            fault: Option<String>,
        }
        let word = serde_json::from_slice::<OnlyFault>(body).ok()?.fault?;
        self.troubles.get(word.as_str()).copied()
    }

    /// Whether a request comes for the first time. One without an id always does.
    fn is_first(&self, parts: &Parts) -> bool {
        let Some(id) = parts.headers.get(headers::REQUEST_ID) else { return true };
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        struck.insert(String::from_utf8_lossy(id.as_bytes()).into_owned())
    }
}

/// What a request and the compensation that must come first have in common; nothing without a saga.
fn key(parts: &Parts, action: &str) -> Option<Key> {
    let saga = parts.headers.get(headers::SAGA_ID)?.to_str().ok()?;
    Some((saga.to_owned(), action.to_owned()))
}

/// An answer such as proxies and crashing frameworks give: no problem details.
fn bare(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, NoAnswer};
    use axum::routing::any;
    use serde_json::{Value, json};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(10);

    static FAULTS: [FaultKind; 3] = [
        kind("coupon-answer-broken", By::BrokenAnswer("coupon")),
        kind("delivery-answer-lost", By::LostAnswer("delivery")),
        kind("delivery-late", By::Late("delivery")),
    ];

    const fn kind(word: &'static str, by: By) -> FaultKind {
        FaultKind { word, by, weight: 1, explanation: "" }
    }

    /// A service that writes down what it was asked for, behind a door.
    struct House {
        url: String,
        door: Arc<Door>,
        work: Arc<Mutex<Vec<String>>>,
        stop: watch::Sender<bool>,
        serving: tokio::task::JoinHandle<()>,
    }

    async fn house(service: &str) -> House {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let work = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&work);
        let router = Router::new().fallback(any(async move |uri: http::Uri| {
            book.lock().expect("not poisoned").push(uri.path().to_owned());
            "{\"done\": true}"
        }));
        let (stop, stopped) = watch::channel(false);
        let door = Door::new(service, &FAULTS.each_ref());
        let serving = tokio::spawn(Arc::clone(&door).serve(listener, None, router, stopped));
        House { url, door, work, stop, serving }
    }

    impl House {
        fn worked(&self) -> Vec<String> {
            self.work.lock().expect("not poisoned").clone()
        }
    }

    async fn knock(house: &House, form: &Value) -> Result<u16, NoAnswer> {
        ask(house, "/request", "a", form).await
    }

    async fn ask(house: &House, path: &str, saga: &str, form: &Value) -> Result<u16, NoAnswer> {
        let url = format!("{}{path}", house.url);
        let answer = Client::default().post(&url, &[("saga-id", saga)], form, LIMIT).await?;
        Ok(answer.status.as_u16())
    }

    #[tokio::test]
    async fn an_answer_is_lost_only_where_the_plan_says_and_the_work_is_done_all_the_same() {
        let lost = json!({"fault": "delivery-answer-lost"});
        let delivery = house("delivery").await;
        assert!(matches!(knock(&delivery, &lost).await, Err(NoAnswer::Lost(_))));
        assert_eq!(delivery.worked(), ["/request"]);
        assert_eq!(knock(&delivery, &json!({})).await.expect("an answer"), 200);
        let rider = house("rider").await;
        assert_eq!(knock(&rider, &lost).await.expect("an answer"), 200);
        let coupon = house("coupon").await;
        assert_eq!(
            knock(&coupon, &json!({"fault": "coupon-answer-broken"})).await.expect("an answer"),
            500
        );
        assert_eq!(coupon.worked(), ["/request"]);
    }

    #[tokio::test]
    async fn a_late_request_comes_when_its_compensation_has_been_there() {
        let undo = "/amends/v1/compensate/request";
        let late = json!({"fault": "delivery-late"});
        let delivery = house("delivery").await;
        assert!(matches!(ask(&delivery, "/request", "a", &late).await, Err(NoAnswer::Lost(_))));
        // The compensation of another saga is none of its.
        assert_eq!(ask(&delivery, undo, "b", &json!({})).await.expect("an answer"), 200);
        assert_eq!(delivery.worked(), [undo]);
        // It has arrived by the time that its own compensation is answered, and once is enough.
        for _ in 0..2 {
            assert_eq!(ask(&delivery, undo, "a", &json!({})).await.expect("an answer"), 200);
        }
        assert_eq!(delivery.worked(), [undo, undo, "/request", undo]);
        // Asked again, it is not held up any more: its compensation has been there.
        assert_eq!(ask(&delivery, "/request", "a", &late).await.expect("an answer"), 200);
        // The fault is the delivery's alone.
        let coupon = house("coupon").await;
        assert_eq!(knock(&coupon, &late).await.expect("an answer"), 200);
    }

    #[tokio::test]
    async fn a_closed_door_answers_503_and_lets_nobody_work() {
        let sms = house("sms").await;
        sms.door.set_closed(true);
        assert_eq!(knock(&sms, &json!({})).await.expect("an answer"), 503);
        assert!(sms.worked().is_empty());
        sms.door.set_closed(false);
        assert_eq!(knock(&sms, &json!({})).await.expect("an answer"), 200);
    }

    #[tokio::test]
    async fn after_the_end_nobody_listens() {
        let mut sms = house("sms").await;
        sms.stop.send_replace(true);
        (&mut sms.serving).await.expect("it ends");
        assert!(matches!(knock(&sms, &json!({})).await, Err(NoAnswer::NotSent(_))));
    }
}
