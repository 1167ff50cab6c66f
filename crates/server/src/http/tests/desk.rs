//! A supervisor with scripted services, and a way to call it.

use crate::access::{Access, Keyring};
use crate::books::Rejections;
use crate::clock::SystemClock;
use crate::http::{App, HttpLimits};
use crate::ingest::{Channel, Channels};
use crate::nodes::Nodes;
use crate::outbound::{Outbound, Permit};
use crate::routes::router;
use crate::shell::{Driver, DriverOptions};
use crate::supervisor::Supervisor;
use amends_engine::{Effect, HistoryResult, StepReading, StepResult};
use amends_node::EffectResult;
use amends_protocol::{CallbackProof, Outcome, Verb};
use amends_rulebook::Rulebook;
use amends_store::{SqliteOptions, SqliteStore};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// How long a story waits for something to become true. Generous: it only matters when a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const BOOK: &str = r#"
rulebook: shop
services:
  order:   { url: "http://127.0.0.1:1", actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: "http://127.0.0.1:1", actions: { pay: { compensation: refund } } }
rules:
  - on: order/failed
    compensate: [payment.pay]
  - on: "*/*"
    compensate: recorded
"#;

/// The rulebook of another team.
const MARKET: &str = r#"
rulebook: bazaar
services:
  kiosk: { url: "http://127.0.0.1:1", actions: { vend: { compensation: unvend, calls: [cashbox.charge] } } }
  cashbox:  { url: "http://127.0.0.1:1", actions: { charge: { compensation: repay } } }
rules:
  - on: kiosk/melted
    compensate: [cashbox.charge]
"#;

/// Services that answer each step as the script says; without a word in it, a step is simply done.
#[derive(Clone, Default)]
pub(super) struct Script {
    readings: Arc<Mutex<HashMap<String, StepReading>>>,
    /// What came with the requests for steps.
    proofs: Arc<Mutex<HashMap<String, CallbackProof>>>,
    /// The business data of the last request for each step.
    data: Arc<Mutex<HashMap<String, Value>>>,
    /// What is said with each answer.
    words: Arc<Mutex<Option<String>>>,
}

impl Script {
    pub(super) fn answer(&self, action: &str, reading: StepReading) {
        self.readings.lock().expect("not poisoned").insert(action.to_owned(), reading);
    }

    /// What the service was sent with a step.
    pub(super) fn proof(&self, step: &str) -> String {
        let proofs = self.proofs.lock().expect("not poisoned");
        proofs.get(step).expect("it was sent").reveal().to_owned()
    }

    /// From now on every answer says this.
    pub(super) fn say(&self, text: &str) {
        *self.words.lock().expect("not poisoned") = Some(text.to_owned());
    }

    /// The business data that the service was sent with a step.
    pub(super) fn asked_with(&self, step: &str) -> Value {
        self.data.lock().expect("not poisoned").get(step).expect("it was sent").clone()
    }

    fn reading(&self, action: &str, verb: Verb) -> StepReading {
        let plain = match verb {
            Verb::Compensate => Outcome::Compensated,
            Verb::Retry => Outcome::Retried,
            Verb::Notify => Outcome::Notified,
        };
        self.readings
            .lock()
            .expect("not poisoned")
            .get(action)
            .cloned()
            .unwrap_or(StepReading::Done(plain))
    }
}

impl Outbound for Script {
    async fn perform(&self, effect: Effect, _: Permit) -> EffectResult {
        let answer = match effect {
            Effect::Send(send) => {
                let (step, proof) = (send.step.to_string(), send.proof.clone());
                let data = Value::Object(send.data().clone());
                self.data.lock().expect("not poisoned").insert(step.clone(), data);
                self.proofs.lock().expect("not poisoned").insert(step, proof);
                self.reading(&send.action.to_string(), send.verb)
            }
            Effect::Poll(poll) => self.reading(&poll.action.to_string(), poll.verb),
            Effect::ReadHistory(_) => {
                return EffectResult::History(HistoryResult::NoHistory);
            }
        };
        let words = self.words.lock().expect("not poisoned").clone();
        let words = words.unwrap_or_else(|| "as told".to_owned());
        EffectResult::Step(StepResult::new(answer, None).telling(vec![]).saying(words))
    }
}

/// One running supervisor.
pub(super) struct Desk {
    pub(super) router: Router,
    pub(super) script: Script,
    pub(super) supervisor: Supervisor<SqliteStore>,
    driver: JoinHandle<()>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) folder: TempDir,
    limits: HttpLimits,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }

    /// The problem's code, after a look at what every problem has.
    #[track_caller]
    pub(super) fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16(), "{self:?}");
        assert!(self.body["detail"].is_string() && self.body["retryable"].is_boolean(), "{self:?}");
        let code = self.body["code"].as_str().expect("a code");
        assert_eq!(self.body["type"], format!("https://amends.dev/problems/{code}"));
        code
    }

    pub(super) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

impl Desk {
    pub(super) async fn open() -> Self {
        Self::with(HttpLimits::default()).await
    }

    pub(super) async fn with(limits: HttpLimits) -> Self {
        Self::driven(limits, DriverOptions::default()).await
    }

    /// One whose loop is told otherwise.
    pub(super) async fn driven(limits: HttpLimits, options: DriverOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("a store");
        let script = Script::default();
        let (supervisor, driver) =
            Driver::start(store, script.clone(), SystemClock, options).await.expect("a driver");
        let book = Rulebook::from_yaml(BOOK).expect("a valid rulebook");
        supervisor.activate(book, "test", "to begin with").await.expect("active");
        Self::around(supervisor, driver, script, folder, limits)
    }

    fn around(
        supervisor: Supervisor<SqliteStore>,
        driver: JoinHandle<()>,
        script: Script,
        folder: TempDir,
        limits: HttpLimits,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let open = Channel::read("reports", &["*".to_owned()]).expect("a channel");
        let app = App::new(supervisor.clone(), Rejections::default(), limits, stopping)
            .with_backups(folder.path().join("backups"))
            .hearing(Channels {
                kafka: vec![open.clone()],
                nats: vec![open],
                ..Channels::default()
            });
        Self { router: router(app), script, supervisor, driver, stop, folder, limits }
    }

    /// The same supervisor with values that no answer shows.
    pub(super) fn withholding(mut self, values: crate::Withheld) -> Self {
        let (stopping, limits) = (self.stop.subscribe(), self.limits);
        self.supervisor.withhold(&values);
        let app = App::new(self.supervisor.clone(), Rejections::default(), limits, stopping)
            .withholding(values);
        self.router = router(app);
        self
    }

    /// The same supervisor as a node among others.
    pub(super) fn among(mut self, nodes: Nodes) -> Self {
        let (stopping, limits) = (self.stop.subscribe(), self.limits);
        let app = App::new(self.supervisor.clone(), Rejections::default(), limits, stopping);
        self.router = router(app.among(nodes));
        self
    }

    /// The same supervisor behind a gate that lets in only who is known.
    pub(super) fn guarded(mut self) -> (Self, Keyring) {
        let stopping = self.stop.subscribe();
        let limits = self.limits;
        let access = Access { is_required: true, ..Access::default() };
        let keys = access.keys.clone();
        let app = App::new(self.supervisor.clone(), Rejections::default(), limits, stopping)
            .with_backups(self.folder.path().join("backups"))
            .guarded_by(access);
        self.router = router(app);
        (self, keys)
    }

    /// Ends the supervisor and starts another one on the same store.
    pub(super) async fn restart(self) -> Self {
        let Self { router, script, supervisor, driver, folder, .. } = self;
        supervisor.stop();
        driver.await.expect("ends in order");
        drop((router, supervisor));
        let began = Instant::now();
        let store = loop {
            match SqliteStore::open(folder.path(), &SqliteOptions::default()) {
                Ok(store) => break store,
                // A task that still holds the old one is about to end.
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let options = DriverOptions::default();
        let (supervisor, driver) =
            Driver::start(store, script.clone(), SystemClock, options).await.expect("a driver");
        Self::around(supervisor, driver, script, folder, HttpLimits::default())
    }

    pub(super) async fn send(&self, mut request: Request<Body>) -> Reply {
        let host = request.headers_mut().entry("host");
        host.or_insert(HeaderValue::from_static("127.0.0.1:7100"));
        let answer = self.router.clone().oneshot(request).await.expect("routes do not fail");
        let (head, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Reply { status: head.status, headers: head.headers, body }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("amends-actor", "ann");
        self.send(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    /// Reports that placing the order of a saga failed after it was paid; gives the case.
    pub(super) async fn report(&self, saga: &str, id: &str) -> String {
        let reply =
            self.send(binary(saga, id, &json!({"code": "failed", "action": "place"}))).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        reply.body["caseId"].as_str().expect("a case").to_owned()
    }

    /// Asks again until the answer is as wished.
    pub(super) async fn until(&self, path: &str, wish: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let reply = self.get(path).await;
            if wish(&reply.body) {
                return reply.body;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain; last: {reply:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A second rulebook, and a case of it that needs a person; nothing of it has a word in common with the first.
    pub(super) async fn with_a_market(&self) -> String {
        let book = Rulebook::from_yaml(MARKET).expect("a valid rulebook");
        self.supervisor.activate(book, "test", "another team").await.expect("active");
        self.script.answer("cashbox.charge", StepReading::Refused);
        let report = Request::post("/v1/reports")
            .header("content-type", "application/json")
            .header("ce-specversion", "1.0")
            .header("ce-type", "dev.amends.report.v1")
            .header("ce-source", "kiosk")
            .header("ce-id", "kiosk-1")
            .header("ce-subject", "basket-1");
        let data = json!({"code": "melted", "action": "vend", "message": "icecream", "history": [
            {"service": "stranger", "action": "whisper", "requestId": "w-1", "state": "succeeded"},
        ]});
        let reply = self.send(report.body(Body::from(data.to_string())).expect("a request")).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        let case = reply.body["caseId"].as_str().expect("a case").to_owned();
        self.until(&format!("/v1/cases/{case}"), |case| case["state"] == "stuck").await;
        case
    }

    /// Reports on a saga while the payment refuses; gives the case and its stuck step.
    pub(super) async fn stuck(&self, saga: &str) -> (String, String) {
        self.script.answer("payment.pay", StepReading::Refused);
        let case = self.report(saga, &format!("r-{saga}")).await;
        let step = self.payment_step(&case, "stuck").await;
        (case, step["id"].as_str().expect("an id").to_owned())
    }

    /// The step on `payment.pay` of a case, once it is in a state.
    pub(super) async fn payment_step(&self, case: &str, state: &str) -> Value {
        let wish = |body: &Value| payment(body).is_some_and(|step| step["state"] == state);
        let body = self.until(&format!("/v1/cases/{case}"), wish).await;
        payment(&body).expect("just seen").clone()
    }
}

pub(super) fn payment(case: &Value) -> Option<&Value> {
    case["plan"].as_array()?.iter().find(|step| step["action"] == "payment.pay")
}

/// A form as a browser sends it from our own page.
pub(super) async fn send_form<T: AsRef<str>>(desk: &Desk, path: &str, fields: &[(T, T)]) -> Reply {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("host", "127.0.0.1:7100")
        .header("sec-fetch-site", "same-origin");
    desk.send(request.body(Body::from(body.finish())).expect("a request")).await
}

/// A report in binary mode.
pub(super) fn binary(saga: &str, id: &str, data: &Value) -> Request<Body> {
    Request::post("/v1/reports")
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-type", "dev.amends.report.v1")
        .header("ce-source", "order")
        .header("ce-id", id)
        .header("ce-subject", saga)
        .body(Body::from(data.to_string()))
        .expect("a request")
}
