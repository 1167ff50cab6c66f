//! `docs/guides/legacy-service.md` as its reader lives it: services that know nothing of Amends, a real supervisor, the
//! page's rulebook and commands. What the services met is what the page says that they meet.

mod support;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use support::page::{blocks, run, shows};
use support::{Supervisor, eventually, scratch, write};

const PAGE: &str = include_str!("../../../docs/guides/legacy-service.md");

/// A request as one of the services got it.
#[derive(Clone, Debug)]
struct Got {
    line: String,
    headers: HeaderMap,
    body: String,
    at: Instant,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// What billing and stock have, and what was asked of them.
#[derive(Default)]
struct Books {
    got: Vec<Got>,
    /// Refunds that were really paid, by key: the payment of each.
    refunds: BTreeMap<String, String>,
    /// Reservations that were released.
    released: BTreeSet<String>,
    /// Answers that the next request of this payment or reservation will not get.
    loses: BTreeSet<String>,
    /// Payments during whose next request billing is being maintained.
    maintains: BTreeSet<String>,
}

/// Billing and stock, each on a port of its own.
struct Town {
    billing: String,
    stock: String,
    books: Arc<Mutex<Books>>,
    _runtime: tokio::runtime::Runtime,
}

type Shared = State<Arc<Mutex<Books>>>;

impl Town {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let books: Arc<Mutex<Books>> = Arc::default();
        let serve = |router: Router<Arc<Mutex<Books>>>| {
            let listener =
                runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
            let address = listener.local_addr().expect("bound").to_string();
            let router = router
                .layer(axum::middleware::from_fn_with_state(Arc::clone(&books), write_down))
                .with_state(Arc::clone(&books));
            runtime.spawn(async move { axum::serve(listener, router).await });
            address
        };
        let billing = serve(Router::new().route("/payments/{id}/refunds", post(refund)));
        let stock = serve(Router::new().route("/reservations/{id}", delete(release)));
        Self { billing, stock, books, _runtime: runtime }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("not poisoned")
    }

    /// The requests about one saga, in their order.
    fn got(&self, saga: &str) -> Vec<Got> {
        self.books().got.iter().filter(|got| got.header("saga-id") == saga).cloned().collect()
    }
}

async fn write_down(
    State(books): Shared,
    request: Request,
    next: axum::middleware::Next,
) -> Response {
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 16).await.expect("a short body");
    books.lock().expect("not poisoned").got.push(Got {
        line: format!("{} {} HTTP/1.1", head.method, head.uri),
        headers: head.headers.clone(),
        body: String::from_utf8(bytes.to_vec()).expect("UTF-8"),
        at: Instant::now(),
    });
    next.run(Request::from_parts(head, Body::from(bytes))).await
}

/// A refund as billing makes it: one per key, none of what is disputed, gone or paid back by somebody else.
async fn refund(
    State(books): Shared,
    Path(payment): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut books = books.lock().expect("not poisoned");
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    if !asked["amount"].is_number() || headers.get("x-tenant").is_none() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match payment.as_str() {
        "p-2" => return StatusCode::NOT_FOUND.into_response(),
        "p-3" => return (StatusCode::UNPROCESSABLE_ENTITY, "disputed").into_response(),
        "p-7" => return (StatusCode::CONFLICT, "refunded before").into_response(),
        _ => {}
    }
    if books.maintains.remove(&payment) {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
    }
    let key = headers["idempotency-key"].to_str().expect("text").to_owned();
    let status = match books.refunds.insert(key, payment.clone()) {
        None => StatusCode::CREATED,
        Some(_) => StatusCode::OK,
    };
    match books.loses.remove(&payment) {
        true => lost(),
        false => status.into_response(),
    }
}

/// A release as stock makes it, without keys.
async fn release(State(books): Shared, Path(reservation): Path<String>) -> Response {
    let mut books = books.lock().expect("not poisoned");
    let status = match reservation.as_str() {
        "none" => StatusCode::NOT_FOUND,
        _ if books.released.insert(reservation.clone()) => StatusCode::NO_CONTENT,
        _ => StatusCode::GONE,
    };
    match books.loses.remove(&reservation) {
        true => lost(),
        false => status.into_response(),
    }
}

/// The work is done, and the connection breaks within the answer.
fn lost() -> Response {
    let mut answer =
        Response::new(Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(
            std::io::Error::other("lost"),
        )])));
    *answer.status_mut() = StatusCode::CREATED;
    answer
}

/// The page's rulebook, with the services where they really are.
fn rulebook(town: &Town) -> String {
    let (_, rest) = PAGE.split_once("```yaml\n").expect("the page has a rulebook");
    let (text, _) = rest.split_once("```").expect("it ends");
    assert!(text.contains("127.0.0.1:7201") && text.contains("127.0.0.1:7202"));
    text.replace("127.0.0.1:7201", &town.billing).replace("127.0.0.1:7202", &town.stock)
}

#[test]
fn the_guide_works_as_printed() {
    let folder = scratch();
    let town = Town::start();
    town.books().maintains.insert("p-4".to_owned());
    town.books().loses.insert("A/7".to_owned());
    write(folder.path(), "shop.yaml", &rulebook(&town));
    let mut supervisor: Option<Supervisor> = None;
    let mut ran = 0;
    for mut block in blocks(PAGE) {
        if let Some(arguments) = block.script.trim().strip_prefix("amends serve ") {
            let arguments: Vec<_> = arguments.split_whitespace().collect();
            supervisor = Some(Supervisor::start(folder.path(), &arguments));
            continue;
        }
        let url = supervisor.as_ref().map(|s| s.url.as_str());
        block.script = block.script.replace("http://127.0.0.1:7100", url.unwrap_or_default());
        // What only looks may look again: a page shows how it comes out.
        let looks: String =
            block.script.lines().rev().take_while(|l| l.starts_with("amends cases ")).collect();
        let mut output = run(&block.script, folder.path(), url);
        let place = format!("docs/guides/legacy-service.md:{}", block.line);
        assert!(output.ok, "{place}: the commands failed:\n{}\n{}", block.script, output.text);
        for line in block.shown.lines().filter(|line| !line.trim().is_empty()) {
            eventually(&format!("{place} shows\n  {line}\nafter\n{}", output.text), || {
                if output.text.lines().any(|there| shows(there, line)) {
                    return Some(());
                }
                let is_a_look = looks.contains(" show ") || looks.contains(" list ");
                let last = block.script.lines().last().filter(|_| is_a_look)?;
                output = run(last, folder.path(), url);
                None
            });
        }
        ran += 1;
    }
    assert!(ran > 7, "the page has lost its commands");
    billing_got_what_the_page_shows(&town);
    each_attempt_had_the_same_key(&town);
    let books = town.books();
    let paid: Vec<&str> = books.refunds.values().map(String::as_str).collect();
    assert_eq!(paid, ["p-1", "p-4", "p-5"], "what could be refunded was, once");
    assert_eq!(books.released, BTreeSet::from(["A/7".to_owned()]));
}

fn billing_got_what_the_page_shows(town: &Town) {
    let (_, rest) = PAGE.split_once("```http\n").expect("the page shows a request");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let (head, body) = shown.split_once("\n\n").expect("a head and a body");
    let (line, headers) = head.split_once('\n').expect("headers");
    let got = town.got("order-1");
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!((got[0].line.as_str(), got[0].body.as_str()), (line, body.trim()));
    for (name, value) in headers.lines().filter_map(|header| header.split_once(": ")) {
        assert_eq!(got[0].header(name), value, "{name}");
    }
}

fn each_attempt_had_the_same_key(town: &Town) {
    for saga in ["order-4", "order-6"] {
        let got = town.got(saga);
        let keys: BTreeSet<&str> = got.iter().map(|got| got.header("idempotency-key")).collect();
        assert_eq!((got.len(), keys.len()), (2, 1), "{saga}: {got:?}");
    }
    let got = town.got("order-4");
    let pause = got[1].at.duration_since(got[0].at);
    assert!(pause >= Duration::from_secs(1), "`Retry-After` is a lower bound: {pause:?}");
    assert_eq!(town.got("order-5").len(), 1, "nothing was sent without the payment's id");
    assert_eq!(town.got("order-6")[0].line, "DELETE /reservations/A%2F7 HTTP/1.1");
}

/// Reports a failed sale after which this is to be undone.
fn report(supervisor: &Supervisor, saga: &str, action: &str, data: &[&str]) -> String {
    let history = format!("{action}=unknown");
    let mut arguments = vec!["report", "send", "--source", "shop", "--action", "sell"];
    arguments.extend(["--code", "out-of-stock", "--saga", saga, "--history", &history]);
    arguments.extend(data.iter().flat_map(|pair| ["--data", *pair]));
    supervisor.run(&arguments).exits(0).stdout.trim().to_owned()
}

fn ended(supervisor: &Supervisor, case: &str) -> (Value, u64) {
    eventually("an outcome", || {
        let step = supervisor.case(case)["plan"][0].clone();
        let tries = step["attempts"].as_u64().expect("a number");
        (!step["outcome"].is_null()).then(|| (step["outcome"].clone(), tries))
    })
}

#[test]
fn a_lost_answer_is_asked_for_again_and_the_money_goes_back_once() {
    let folder = scratch();
    let town = Town::start();
    town.books().loses.extend(["p-6".to_owned(), "R-6".to_owned()]);
    let rules = write(folder.path(), "shop.yaml", &rulebook(&town));
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);

    let billing = ["paymentId=p-6", "amount:=12", "tenant=north"];
    let with_keys = report(&supervisor, "order-a", "billing.charge", &billing);
    assert_eq!(ended(&supervisor, &with_keys), ("compensated".into(), 2));
    let got = town.got("order-a");
    assert_eq!(got[0].header("idempotency-key"), got[1].header("idempotency-key"));
    assert_eq!(got[0].body, got[1].body);
    assert_eq!(town.books().refunds.len(), 1, "one key, one refund");

    let without = report(&supervisor, "order-b", "stock.reserve", &["reservation=R-6"]);
    assert_eq!(ended(&supervisor, &without), ("compensated".into(), 2));
    assert_eq!(town.got("order-b").len(), 2);
}

#[test]
fn a_status_means_what_the_rulebook_says() {
    let folder = scratch();
    let town = Town::start();
    let rules = write(folder.path(), "shop.yaml", &rulebook(&town));
    let supervisor = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);
    let billing = |saga: &str, payment: &str| {
        let payment = format!("paymentId={payment}");
        report(&supervisor, saga, "billing.charge", &[&payment, "amount:=12", "tenant=north"])
    };
    assert_eq!(ended(&supervisor, &billing("a", "p-1")), ("compensated".into(), 1));
    assert_eq!(ended(&supervisor, &billing("b", "p-7")), ("compensated".into(), 1), "a 409");
    assert_eq!(ended(&supervisor, &billing("c", "p-2")), ("nothing_to_compensate".into(), 1));
    let none = report(&supervisor, "d", "stock.reserve", &["reservation=none"]);
    assert_eq!(ended(&supervisor, &none), ("nothing_to_compensate".into(), 1));

    let disputed = billing("e", "p-3");
    let stuck = eventually("stuck", || {
        let step = supervisor.case(&disputed)["plan"][0].clone();
        (step["state"] == "stuck").then_some(step)
    });
    assert_eq!(
        (&stuck["reason"], &stuck["message"]),
        (&"refused".into(), &"HTTP 422: disputed".into())
    );
    assert_eq!(town.got("e").len(), 1, "a refusal is not asked again");
}
