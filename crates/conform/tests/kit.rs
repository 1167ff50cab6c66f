//! A participant that is built on the service kit keeps every promise.

mod rig;

use amends_service::axum::Router;
use amends_service::axum::body::{Bytes, to_bytes};
use amends_service::axum::extract::{Query, Request, State};
use amends_service::axum::http::StatusCode;
use amends_service::axum::middleware::{Next, from_fn_with_state};
use amends_service::axum::response::{IntoResponse as _, Response};
use amends_service::axum::routing::get;
use amends_service::rusqlite::{Connection, params};
use amends_service::serde_json::{Value, json};
use amends_service::{
    ActionContext, Effect, Failure, Kit, KitConfig, Refusal, SagaId, Sqlite, axum::Json,
    signing_key,
};
use rig::{
    KEY, Ports, config, ended, examine, of_restarts, process, serve, serve_at, story,
    unused_address,
};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT NOT NULL, saga TEXT NOT NULL, final INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS receipts (saga TEXT NOT NULL);
";

async fn redeem(context: ActionContext<Sqlite>, body: Value) -> Result<Effect<Sqlite>, Failure> {
    if let Some(url) = body["call"].as_str() {
        for _ in 0..body["calls"].as_u64().unwrap_or(1) {
            context.call(url, "payment", "pay", &json!({ "coupon": body["coupon"] })).await?;
        }
    }
    if let Some(code) = body["fail"].as_str() {
        return Err(Failure::new(code, "the coupon is too old"));
    }
    let saga = context.saga().to_string();
    Ok(context.effect(move |tx| {
        let row = params![body["coupon"].as_str(), saga, body["final"] == true];
        tx.execute("INSERT INTO redeemed (coupon, saga, final) VALUES (?1, ?2, ?3)", row)?;
        Ok(json!({ "redeemed": body["coupon"] }))
    }))
}

/// It has no undo.
async fn relay(context: ActionContext<Sqlite>, body: Value) -> Result<Effect<Sqlite>, Failure> {
    if let Some(code) = body["fail"].as_str() {
        return Err(Failure::new(code, "there is no paper"));
    }
    Ok(context.effect(|_| Ok(json!({ "relayed": true }))))
}

/// `slow`: where undos go that are told of later.
fn build(config: KitConfig, file: &Path, slow: Option<UnboundedSender<SagaId>>) -> Kit<Sqlite> {
    Kit::builder(config, Sqlite::open(file, SCHEMA).expect("opens"))
        .expect("valid settings")
        .action("redeem", redeem)
        .action("relay", relay)
        .compensation("redeem", move |tx, undo| {
            if undo.requests.iter().any(|request| request.body["final"] == true) {
                return Err(Refusal::new("the goods have been handed out"));
            }
            match &slow {
                Some(slow) => {
                    undo.answer_later();
                    slow.send(undo.saga.clone()).expect("somebody works");
                }
                None => restore(tx, &undo.saga)?,
            }
            Ok(())
        })
        .notice("send-receipt", |tx, notice| {
            tx.execute("INSERT INTO receipts (saga) VALUES (?1)", [notice.saga.as_str()])?;
            Ok(())
        })
        .build()
}

fn restore(tx: &Connection, saga: &SagaId) -> Result<(), Refusal> {
    tx.execute("DELETE FROM redeemed WHERE saga = ?1", [saga.as_str()])?;
    Ok(())
}

/// How often something of a saga is in a table.
async fn count(kit: &Kit<Sqlite>, table: &'static str, saga: String) -> Json<Value> {
    let query = format!("SELECT count(*) FROM {table} WHERE saga = ?1");
    let count: i64 =
        kit.read(move |c| c.query_row(&query, [saga], |row| row.get(0))).await.expect("readable");
    Json(json!({ "count": count }))
}

type Asked = Query<HashMap<String, String>>;

fn router(kit: &Kit<Sqlite>) -> Router {
    let look = async |State(kit): State<Kit<Sqlite>>, asked: Asked| {
        count(&kit, "redeemed", asked["saga"].clone()).await
    };
    let read = async |State(kit): State<Kit<Sqlite>>, asked: Asked| {
        count(&kit, "receipts", asked["saga"].clone()).await
    };
    let observing = Router::new()
        .route("/effects", get(look))
        .route("/receipts", get(read))
        .with_state(kit.clone());
    observing.merge(kit.router())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_on_the_service_kit_passes_every_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free().await;
    let mut settings = KitConfig::new("coupon");
    settings.supervisor = Some(format!("http://{}", ports.supervisor));
    settings.signing_keys = vec![signing_key(KEY).expect("a key")];
    let kit = build(settings, &folder.path().join("coupon.sqlite"), None);
    let background = kit.spawn_background();
    let (url, _server) = serve(router(&kit)).await;

    let examination = examine(&url, config(&ports.config()), ports.stands, &[]).await;
    background.stop().await;

    assert!(examination.is_conformant(), "\n{}", story(&examination));
    // The kit answers steps at once.
    assert_eq!(ended(&examination, "skipped"), &of_restarts() | &BTreeSet::from(["step-accepted"]));
    assert_eq!(ended(&examination, "blocked"), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_on_the_service_kit_that_calls_back_passes_every_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free().await;
    let mut settings = KitConfig::new("coupon");
    settings.supervisor = Some(format!("http://{}", ports.supervisor));
    settings.signing_keys = vec![signing_key(KEY).expect("a key")];
    let (slow, mut begun) = unbounded_channel::<SagaId>();
    let kit = build(settings, &folder.path().join("coupon.sqlite"), Some(slow));
    let background = kit.spawn_background();
    let worker = kit.clone();
    tokio::spawn(async move {
        while let Some(saga) = begun.recv().await {
            let of = saga.clone();
            let work = move |tx: &Connection| restore(tx, &of);
            worker.finish_undo(&saga, "redeem", work).await.expect("durable");
        }
    });
    let (url, _server) = serve(router(&kit)).await;

    let examination = examine(&url, config(&ports.config()), ports.stands, &[]).await;
    background.stop().await;

    assert!(examination.is_conformant(), "\n{}", story(&examination));
    assert_eq!(ended(&examination, "skipped"), of_restarts());
    assert_eq!(ended(&examination, "blocked"), BTreeSet::new());
}

/// Steps that were taken and are looked for at their `Location`: the kit's answers, when they are there.
type Taken = Arc<Mutex<HashMap<String, watch::Receiver<Option<Bytes>>>>>;

/// Lets a service on the kit answer its steps later: 202 at once, and the outcome where it says. What the kit refuses is
/// refused at once.
async fn later(State(taken): State<Taken>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(id) = path.strip_prefix("/taken/") {
        let answer = taken.lock().expect("whole").get(id).map(|taken| taken.borrow().clone());
        return match answer {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(None) => accepted(id),
            Some(Some(body)) => ([("content-type", "application/json")], body).into_response(),
        };
    }
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    let id = key.map(|key| key.trim_matches('"').to_owned());
    let (true, Some(id)) = (path.starts_with("/amends/v1/compensate/"), id) else {
        return next.run(request).await;
    };
    let answer = next.run(request).await;
    if answer.status() != StatusCode::OK {
        return answer;
    }
    // The outcome is durable, and told at the second look.
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("whole");
    let (tell, told) = watch::channel(None);
    if taken.lock().expect("whole").insert(id.clone(), told).is_none() {
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            tell.send_replace(Some(body));
        });
    } else {
        tell.send_replace(Some(body));
    }
    accepted(&id)
}

fn accepted(id: &str) -> Response {
    (StatusCode::ACCEPTED, [("location", format!("/taken/{id}"))], "{}").into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_on_the_service_kit_that_answers_steps_later_passes_every_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free().await;
    let mut settings = KitConfig::new("coupon");
    settings.supervisor = Some(format!("http://{}", ports.supervisor));
    settings.signing_keys = vec![signing_key(KEY).expect("a key")];
    let kit = build(settings, &folder.path().join("coupon.sqlite"), None);
    let background = kit.spawn_background();
    let service = router(&kit).layer(from_fn_with_state(Taken::default(), later));
    let (url, _server) = serve(service).await;

    let examination = examine(&url, config(&ports.config()), ports.stands, &[]).await;
    background.stop().await;

    assert!(examination.is_conformant(), "\n{}", story(&examination));
    assert_eq!(ended(&examination, "skipped"), of_restarts());
    assert_eq!(ended(&examination, "blocked"), BTreeSet::new());
}

/// The test that is a participant where the kit starts this file's binary as one.
const PARTICIPANT: &str = "a_participant_on_the_service_kit_in_a_process_of_its_own";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the participant that another test starts"]
async fn a_participant_on_the_service_kit_in_a_process_of_its_own() {
    let Ok(listen) = std::env::var("COUPON_LISTEN") else { return };
    let given = |name: &str| std::env::var(name).expect("given with the address");
    let mut settings = KitConfig::new("coupon");
    settings.supervisor = Some(given("SUPERVISOR_URL"));
    settings.signing_keys = vec![signing_key(KEY).expect("a key")];
    // What is left behind is looked for at once.
    (settings.unfinished_after_ms, settings.sweep_every_ms) = (50, 50);
    let kit = build(settings, Path::new(&given("COUPON_DATABASE")), None);
    let _background = kit.spawn_background();
    serve_at(&listen, router(&kit)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_on_the_service_kit_outlives_its_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = Ports::free().await;
    let (listen, file) = (unused_address().await, folder.path().join("coupon.sqlite"));
    let supervisor = format!("http://{}", ports.supervisor);
    let env = [
        ("COUPON_LISTEN", listen.as_str()),
        ("COUPON_DATABASE", file.to_str().expect("UTF-8")),
        ("SUPERVISOR_URL", supervisor.as_str()),
    ];
    let text = format!("{}{}", ports.config(), process(PARTICIPANT, &env));
    let only: Vec<&str> = of_restarts().into_iter().collect();
    let url = format!("http://{listen}");

    let examination = examine(&url, config(&text), ports.stands, &only).await;

    assert_eq!(ended(&examination, "passed"), of_restarts(), "\n{}", story(&examination));
}
