//! `docs/guides/effects-outside.md`, lived: a payment service on the kit charges cards at a network outside of its tables.
//! Whatever goes wrong on the way, in the end nobody has paid for a failed saga, and nobody can any more.

mod card_network;

use amends_engine::StepState;
use amends_server::config::Layers;
use amends_server::{Config, Running, start};
use amends_service::axum::serve;
use amends_service::rusqlite::{Connection, params};
use amends_service::serde_json::{Value, json};
use amends_service::{
    ActionContext, Effect, Failure, Kit, KitConfig, Refusal, SagaId, Sqlite, Undo,
};
use amends_store::{Archive, CaseFilter, PageRequest};
use card_network::{Bank, Cancelled, CardNetwork, Charged};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const GUIDE: &str = include_str!("../../../docs/guides/effects-outside.md");
const THIS: &str = include_str!("effects_outside.rs");

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS payments (saga TEXT NOT NULL, request TEXT NOT NULL, amount INTEGER NOT NULL)";

async fn pay(
    network: CardNetwork,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let amount = body["amount"].as_i64().unwrap_or(0);
    match network.charge(context.request_id(), amount).await {
        Charged::Yes => {}
        Charged::No(why) => return Err(Failure::new("declined", why).status(402)),
        Charged::NobodyKnows(why) => {
            return Err(Failure::new("card-unsure", why).status(502).effect_unknown());
        }
    }
    // From here on the card is charged, so no failure is without effect any more.
    print_receipt(&body).map_err(Failure::effect_unknown)?;
    let (saga, request) = (context.saga().to_string(), context.request_id().to_owned());
    Ok(context.effect(move |connection| {
        connection
            .execute("INSERT INTO payments VALUES (?1, ?2, ?3)", params![saga, request, amount])
            .map_err(|error| Failure::from(error).effect_unknown())?;
        Ok(json!({ "paid": amount }))
    }))
}

fn refund(desk: &RefundDesk, connection: &Connection, undo: &Undo) -> Result<(), Refusal> {
    let done = undo.requests.iter().map(|request| request.id.as_str());
    let uncertain = undo.uncertain.iter().map(|request| request.id.as_str());
    for id in done.chain(uncertain) {
        match desk.cancelled(id) {
            Some(Cancelled { refunded: true }) => undo.found_effect(),
            Some(Cancelled { refunded: false }) => {}
            None => return Err(Refusal::try_later("the card network is being asked")),
        }
    }
    connection.execute("DELETE FROM payments WHERE saga = ?1", [undo.saga.as_str()])?;
    Ok(())
}

/// Asks the network beside the transactions, and keeps its answers until the step comes again.
#[derive(Clone)]
struct RefundDesk {
    network: CardNetwork,
    runtime: tokio::runtime::Handle,
    answers: Arc<Mutex<HashMap<String, Cancelled>>>,
}

impl RefundDesk {
    /// What the network said; none, and it is asked, if it has not said anything yet.
    fn cancelled(&self, request_id: &str) -> Option<Cancelled> {
        let said = self.answers.lock().expect("not poisoned").get(request_id).copied();
        if said.is_none() {
            let (desk, id) = (self.clone(), request_id.to_owned());
            self.runtime.spawn(async move {
                // Without an answer the step comes again, and so does this question.
                if let Some(said) = desk.network.cancel(&id).await {
                    desk.answers.lock().expect("not poisoned").insert(id, said);
                }
            });
        }
        said
    }
}

/// Work after the charge that may fail.
fn print_receipt(body: &Value) -> Result<(), Failure> {
    match body["paper"] == "none" {
        true => Err(Failure::new("no-receipt", "the printer has no paper")),
        false => Ok(()),
    }
}

/// How long a story waits; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

struct Shop {
    payment: String,
    bank: Bank,
    supervisor: Running,
    _folder: tempfile::TempDir,
}

/// A supervisor, a payment service on the kit, and a card network.
async fn open() -> Shop {
    let folder = tempfile::tempdir().expect("a folder");
    let bank = Bank::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let payment = format!("http://{}", listener.local_addr().expect("bound"));
    let rules = format!(
        "
rulebook: shop
settle: {{ quiet: 100ms }}
services:
  order: {{ actions: {{ place: {{ effect: none, calls: [payment.pay] }} }} }}
  payment:
    url: \"{payment}\"
    actions: {{ pay: {{ compensation: refund }} }}
rules:
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("a file");
    let mut layers = Layers::defaults();
    layers.flag("listen", "listen", "127.0.0.1:0");
    layers.flag("data", "data", &folder.path().join("data").display().to_string());
    layers.flag("rules", "rules", &folder.path().join("rules.yaml").display().to_string());
    let supervisor = start(Config::from_layers(&layers).expect("valid")).await.expect("starts");

    let network = bank.network();
    let desk = RefundDesk {
        network: network.clone(),
        runtime: tokio::runtime::Handle::current(),
        answers: Arc::default(),
    };
    let mut config = KitConfig::new("payment");
    config.supervisor = Some(format!("http://{}", supervisor.address));
    let store = Sqlite::open(folder.path().join("payment.sqlite"), SCHEMA).expect("opens");
    let kit = Kit::builder(config, store)
        .expect("valid")
        .action("pay", move |context, body| pay(network.clone(), context, body))
        .compensation("pay", move |connection, undo| refund(&desk, connection, undo))
        .build();
    let background = kit.spawn_background();
    let router = kit.router();
    tokio::spawn(async move {
        let _background = background;
        serve(listener, router).await
    });
    Shop { payment, bank, supervisor, _folder: folder }
}

impl Shop {
    /// Pays as order would; gives the status and the problem's or the answer's body.
    async fn pay(&self, saga: &str, body: &Value) -> (u16, Value) {
        let request = Request::post(format!("{}/pay", self.payment))
            .header(header::CONTENT_TYPE, "application/json")
            .header("saga-id", saga)
            .header("request-id", format!("r-{saga}"))
            .body(Full::new(amends_service::axum::body::Bytes::from(body.to_string())))
            .expect("a request");
        let answer = self.bank.client().request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("whole").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// The outcomes of the saga's case, once it is settled.
    async fn settled(&self, saga: &str) -> Vec<String> {
        let store = self.supervisor.supervisor.store();
        let saga = SagaId::new(saga).expect("valid");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let filter = CaseFilter { saga: Some(saga.clone()), ..CaseFilter::default() };
            let page = store.cases(filter, PageRequest::first(1)).await.expect("readable");
            if let Some(case) = page.items.first().filter(|listed| listed.case.settled_at.is_some())
            {
                return case
                    .steps
                    .iter()
                    .filter_map(|step| match step.state {
                        StepState::Done(outcome) => Some(outcome.to_string()),
                        _ => None,
                    })
                    .collect();
            }
            assert!(Instant::now() < deadline, "{saga} never settles: {:?}", page.items);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_was_charged_before_the_failure_gets_its_money_back() {
    let shop = open().await;
    let (status, problem) = shop.pay("o-1", &json!({ "amount": 30, "paper": "none" })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("no-receipt")));
    assert_eq!(problem["type"], "https://amends.dev/problems/effect-unknown");
    assert_eq!(shop.settled("o-1").await, ["compensated"]);
    assert_eq!(shop.bank.charged(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_whose_answer_was_lost_is_found_and_undone() {
    let shop = open().await;
    shop.bank.lose_next_answer();
    let (status, problem) = shop.pay("o-1", &json!({ "amount": 30 })).await;
    assert_eq!((status, &problem["code"]), (502, &json!("card-unsure")));
    assert_eq!(shop.settled("o-1").await, ["compensated"]);
    assert_eq!(shop.bank.charged(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_never_arrived_is_nothing_and_cannot_arrive_any_more() {
    let shop = open().await;
    shop.bank.swallow_next_request();
    let (status, _) = shop.pay("o-1", &json!({ "amount": 30 })).await;
    assert_eq!(status, 502);
    assert_eq!(shop.settled("o-1").await, ["nothing_to_compensate"]);
    assert!(matches!(shop.bank.network().charge("r-o-1", 30).await, Charged::No(_)));
    assert_eq!(shop.bank.charged(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_went_well_is_refunded_when_its_saga_fails_later() {
    let shop = open().await;
    let (status, _) = shop.pay("o-1", &json!({ "amount": 30 })).await;
    assert_eq!((status, shop.bank.charged()), (200, 30));
    let report = json!({
        "code": "cart-lost",
        "history": [{ "service": "payment", "action": "pay", "requestId": "r-o-1", "state": "succeeded" }]
    });
    let request = Request::post(format!("http://{}/v1/reports", shop.supervisor.address))
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-type", "dev.amends.report.v1")
        .header("ce-source", "order")
        .header("ce-id", "e-1")
        .header("ce-subject", "o-1")
        .body(Full::new(amends_service::axum::body::Bytes::from(report.to_string())))
        .expect("a request");
    let taken = shop.bank.client().request(request).await.expect("an answer");
    assert_eq!(taken.status(), 202);
    assert_eq!(shop.settled("o-1").await, ["compensated"]);
    assert_eq!(shop.bank.charged(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_leaves_nothing_to_undo() {
    let shop = open().await;
    let (status, problem) = shop.pay("o-1", &json!({ "amount": 1_000_000 })).await;
    assert_eq!(
        (status, &problem["type"]),
        (402, &json!("https://amends.dev/problems/action-failed"))
    );
    assert_eq!(shop.settled("o-1").await, [""; 0]);
    assert_eq!(shop.bank.cancellations(), 0, "the network is not even asked");
}

#[test]
fn the_guide_shows_this_code() {
    let mut shown = 0;
    for block in GUIDE.split("```rust\n").skip(1) {
        let (code, _) = block.split_once("```").expect("the block ends");
        assert!(THIS.contains(code), "this is not in effects_outside.rs:\n{code}");
        shown += 1;
    }
    assert!(shown > 2, "the guide has lost its code");
}
