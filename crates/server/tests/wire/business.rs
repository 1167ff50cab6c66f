//! The business of the page: services on the kit, and a bank that speaks the protocol by itself and takes its time.

use amends_service::axum::extract::{Path, State};
use amends_service::axum::response::{IntoResponse, Response};
use amends_service::axum::routing::{get, post};
use amends_service::axum::{Json, Router, serve};
use amends_service::serde_json::{Value, json};
use amends_service::{
    ActionContext, Background, Effect, Failure, Kit, KitBuilder, KitConfig, Refusal, Sqlite,
    signing_key,
};
use http::{StatusCode, header};
use std::collections::HashSet;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// The coupon service's key: that of the specification's example.
pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The supervisor's rules; each `{NAME}` is the door to that service.
pub const RULEBOOK: &str = r#"
rulebook: food-order
settle: { quiet: 200ms }
services:
  order:    { actions: { place: { effect: none, calls: [payment.pay, bank.transfer] } } }
  payment:
    url: "{payment}"
    actions: { pay: { compensation: refund, calls: ["coupon.redeem?", delivery.request] } }
  coupon:
    url: "{coupon}"
    signing_key: coupon
    actions: { redeem: { compensation: restore } }
  delivery:
    url: "{delivery}"
    actions: { request: { compensation: cancel, calls: [rider.match, sms.send] } }
  rider:
    url: "{rider}"
    actions: { match: { compensation: release, on_failure: retry } }
  sms:
    url: "{sms}"
    actions: { send: { correction: send-cancellation } }
  bank:
    url: "{bank}"
    actions: { transfer: { compensation: return } }
rules:
  - on: payment/report-1
    compensate: recorded
    then: { notify: [sms.send-cancellation] }
  - on: "*/*"
    compensate: recorded
"#;

/// Where the services call each other and report.
pub struct Addresses {
    pub supervisor: String,
    pub coupon: String,
    pub delivery: String,
    pub rider: String,
}

/// A kit with what goes on beside its requests.
pub struct Service {
    _background: Background,
}

/// The one place where a kit is opened.
fn open(name: &str, folder: &FilePath, supervisor: &str) -> KitBuilder<Sqlite> {
    let mut config = KitConfig::new(name);
    config.supervisor = Some(supervisor.to_owned());
    if name == "coupon" {
        config.signing_keys = vec![signing_key(KEY).expect("a key")];
    }
    let store = Sqlite::open(folder.join(format!("{name}.sqlite")), "").expect("opens");
    Kit::builder(config, store).expect("a valid configuration")
}

/// Starts a service of the kit at its listener.
pub fn start(name: &str, folder: &FilePath, at: Arc<Addresses>, listener: TcpListener) -> Service {
    let kit = open(name, folder, &at.supervisor);
    let kit = match name {
        "payment" => kit
            .action("pay", move |context, body| pay(Arc::clone(&at), context, body))
            .compensation("pay", |_, _| Ok(())),
        "coupon" => kit.action("redeem", redeem).compensation("redeem", |_, undo| {
            match undo.requests.iter().any(|request| request.body["coupon"] == "GOLD") {
                true => Err(Refusal::new("the month is closed")),
                false => Ok(()),
            }
        }),
        "delivery" => kit
            .action("request", move |context, body| deliver(Arc::clone(&at), context, body))
            .compensation("request", |_, _| Ok(())),
        "rider" => {
            let met = Arc::default();
            kit.action("match", move |context, body| find_rider(Arc::clone(&met), context, body))
                .compensation("match", |_, _| Ok(()))
        }
        "sms" => kit.notice("send-cancellation", |_, _| Ok(())),
        other => panic!("no service `{other}`"),
    };
    let kit = kit.build();
    let background = kit.spawn_background();
    let router = kit.router();
    tokio::spawn(async move { serve(listener, router).await });
    Service { _background: background }
}

async fn pay(
    at: Arc<Addresses>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let form = json!({ "coupon": body["coupon"] });
    context.call(&at.coupon, "coupon", "redeem", &form).await?;
    let delivered = context.call(&at.delivery, "delivery", "request", &json!({})).await;
    if let Err(call) = delivered {
        let failure = Failure::new("report-1", "no word from delivery").caused_by(&call);
        return Err(failure.with("amount", body["amount"].clone()));
    }
    Ok(context.effect(move |_| Ok(json!({ "paid": body["amount"] }))))
}

async fn redeem(context: ActionContext<Sqlite>, body: Value) -> Result<Effect<Sqlite>, Failure> {
    Ok(context.effect(move |_| Ok(json!({ "redeemed": body["coupon"] }))))
}

async fn deliver(
    at: Arc<Addresses>,
    context: ActionContext<Sqlite>,
    _: Value,
) -> Result<Effect<Sqlite>, Failure> {
    context.call(&at.rider, "rider", "match", &json!({})).await?;
    Ok(context.effect(|_| Ok(json!({ "on": "the way" }))))
}

/// Where `busy` is said, there is no rider the first time.
async fn find_rider(
    met: Arc<Mutex<HashSet<String>>>,
    context: ActionContext<Sqlite>,
    body: Value,
) -> Result<Effect<Sqlite>, Failure> {
    let first = met.lock().expect("not poisoned").insert(context.request_id().to_owned());
    match first && body["busy"] == true {
        true => Err(Failure::new("no-rider", "all riders are busy")),
        false => Ok(context.effect(|_| Ok(json!({ "rider": "ann" })))),
    }
}

/// A participant without the kit: it takes steps with 202. What it does with an order ends in `later` is told by itself.
pub fn start_bank(listener: TcpListener) {
    async fn take(
        State(looks): State<Arc<Mutex<HashSet<String>>>>,
        Json(step): Json<Value>,
    ) -> Response {
        let saga = step["sagaId"].as_str().expect("a saga");
        match saga.ends_with("-polled") {
            true => {
                looks.lock().expect("not poisoned").insert(saga.to_owned());
                let location = format!("/returns/{saga}");
                (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
            }
            false => StatusCode::ACCEPTED.into_response(),
        }
    }
    async fn look(
        State(looks): State<Arc<Mutex<HashSet<String>>>>,
        Path(saga): Path<String>,
    ) -> Response {
        match looks.lock().expect("not poisoned").contains(&saga) {
            true => Json(json!({ "outcome": "compensated" })).into_response(),
            false => StatusCode::NOT_FOUND.into_response(),
        }
    }
    let router = Router::new()
        .route("/amends/v1/compensate/transfer", post(take))
        .route("/returns/{saga}", get(look))
        .with_state(Arc::default());
    tokio::spawn(async move { serve(listener, router).await });
}
