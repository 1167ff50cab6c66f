//! `docs/guides/adopt-the-kit.md`, lived: a coupon service as it was, then with the kit beside its own routes and tables;
//! a supervisor whose rule is in shadow first, then asks, then acts.

use amends_api::{StepAct, StepStateName};
use amends_protocol::StepId;
use amends_server::config::Layers;
use amends_server::{Config, Running, start};
use amends_service::axum::body::Body;
use amends_service::axum::extract::{Path, State};
use amends_service::axum::http::{HeaderMap, Request, StatusCode, header};
use amends_service::axum::response::{IntoResponse, Response};
use amends_service::axum::routing::{get, post};
use amends_service::axum::{Json, Router, serve};
use amends_service::rusqlite::{Connection, params};
use amends_service::serde_json::{Value, json};
use amends_service::{
    ActionContext, Effect, Failure, Kit, KitConfig, KitError, Refusal, SagaId, Sqlite, Undo,
};
use amends_store::{Archive, CaseFilter, PageRequest};
use http_body_util::BodyExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tower::ServiceExt;

const GUIDE: &str = include_str!("../../../docs/guides/adopt-the-kit.md");
const THIS: &str = include_str!("adopting_the_kit.rs");

/// The service's own table, as it has always been.
const OWN_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS coupons (code TEXT PRIMARY KEY, used INTEGER NOT NULL DEFAULT 0)";

mod before {
    //! The service as it was.

    use super::*;

    pub type Database = Arc<Mutex<Connection>>;

    pub fn routes(database: Database) -> Router {
        Router::new()
            .route("/coupons/{code}", get(show))
            .route("/coupons/{code}/redeem", post(redeem))
            .with_state(database)
    }

    pub async fn show(State(database): State<Database>, Path(code): Path<String>) -> Response {
        let database = database.lock().expect("not poisoned");
        let query = "SELECT used FROM coupons WHERE code = ?1";
        match database.query_row(query, [&code], |row| row.get::<_, bool>(0)) {
            Ok(used) => Json(json!({ "coupon": code, "used": used })).into_response(),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
    }

    pub async fn redeem(State(database): State<Database>, Path(code): Path<String>) -> Response {
        let database = database.lock().expect("not poisoned");
        let update = "UPDATE coupons SET used = 1 WHERE code = ?1 AND used = 0";
        match database.execute(update, [&code]) {
            Ok(1) => Json(json!({ "redeemed": code })).into_response(),
            Ok(_) => StatusCode::CONFLICT.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// What was redeemed for which saga: what the undo needs to know, and the old table does not say.
const REDEEMED_FOR: &str =
    "CREATE TABLE IF NOT EXISTS redeemed_for (saga TEXT NOT NULL, code TEXT NOT NULL)";

fn kit(file: &FilePath, supervisor: &str) -> Result<Kit<Sqlite>, KitError> {
    let mut config = KitConfig::new("coupon");
    config.supervisor = Some(supervisor.to_owned());
    // The file that the service has already; the kit adds its tables, all named `amends_…`.
    let store = Sqlite::open(file, REDEEMED_FOR)?;
    Ok(Kit::builder(config, store)?
        .action("redeem", redeem)
        .compensation("redeem", restore)
        .build())
}

async fn redeem(context: ActionContext<Sqlite>, body: Value) -> Result<Effect<Sqlite>, Failure> {
    let code = body["coupon"].as_str().unwrap_or_default().to_owned();
    let saga = context.saga().to_string();
    Ok(context.effect(move |connection| {
        let update = "UPDATE coupons SET used = 1 WHERE code = ?1 AND used = 0";
        if connection.execute(update, [&code])? == 0 {
            return Err(Failure::new("used", format!("coupon `{code}` is used")).status(409));
        }
        connection.execute("INSERT INTO redeemed_for VALUES (?1, ?2)", params![saga, code])?;
        Ok(json!({ "redeemed": code }))
    }))
}

fn restore(connection: &Connection, undo: &Undo) -> Result<(), Refusal> {
    let saga = undo.saga.as_str();
    let restore =
        "UPDATE coupons SET used = 0 WHERE code IN (SELECT code FROM redeemed_for WHERE saga = ?1)";
    connection.execute(restore, [saga])?;
    connection.execute("DELETE FROM redeemed_for WHERE saga = ?1", [saga])?;
    Ok(())
}

fn routes(kit: &Kit<Sqlite>, database: before::Database) -> Router {
    let own = Router::new().route("/coupons/{code}", get(before::show)).with_state(database);
    let old = Router::new()
        .route("/coupons/{code}/redeem", post(redeem_at_the_old_address))
        .with_state(kit.router());
    own.merge(old).nest("/kit", kit.router())
}

/// Callers keep their address. What they send of the saga context goes along.
async fn redeem_at_the_old_address(
    State(kit): State<Router>,
    Path(code): Path<String>,
    mut headers: HeaderMap,
) -> Response {
    headers.remove(header::CONTENT_LENGTH);
    let mut request = Request::new(Body::from(json!({ "coupon": code }).to_string()));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("/redeem");
    *request.headers_mut() = headers;
    kit.oneshot(request).await.into_response()
}

/// How long the story waits; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

struct Shop {
    app: Router,
    supervisor: Running,
    rules: PathBuf,
    _folder: tempfile::TempDir,
}

/// The guide's rulebook with another mode of its rule.
fn rulebook(coupon: &str, mode: &str) -> String {
    let (_, rest) = GUIDE.split_once("```yaml\n").expect("the guide has a rulebook");
    let (text, _) = rest.split_once("```").expect("it ends");
    assert!(text.contains("mode: shadow") && text.contains("http://coupon:8080"));
    text.replace("mode: shadow", &format!("mode: {mode}")).replace("http://coupon:8080", coupon)
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("coupons.sqlite");
        let own = Connection::open(&file).expect("opens");
        own.execute_batch(OWN_TABLE).expect("made");
        for code in ["SPRING", "SUMMER", "AUTUMN", "WINTER"] {
            own.execute("INSERT INTO coupons (code) VALUES (?1)", [code]).expect("issued");
        }
        let database: before::Database = Arc::new(Mutex::new(own));
        // It is at work before it is adopted.
        let as_it_was = before::routes(Arc::clone(&database));
        assert_eq!(redeem_old(&as_it_was, "WINTER", "").await.0, StatusCode::OK);

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let coupon = format!("http://{}", listener.local_addr().expect("bound"));
        let rules = folder.path().join("rules.yaml");
        std::fs::write(&rules, rulebook(&coupon, "shadow")).expect("a file");
        let mut layers = Layers::defaults();
        layers.flag("listen", "listen", "127.0.0.1:0");
        layers.flag("data", "data", &folder.path().join("data").display().to_string());
        layers.flag("rules", "rules", &rules.display().to_string());
        let config = Config::from_layers(&layers).expect("valid");
        let supervisor = start(config).await.expect("starts");

        let kit = kit(&file, &format!("http://{}", supervisor.address)).expect("opens");
        let app = routes(&kit, database);
        let (background, served) = (kit.spawn_background(), app.clone());
        tokio::spawn(async move {
            let _background = background;
            serve(listener, served).await
        });
        Self { app, supervisor, rules, _folder: folder }
    }

    /// Another mode, and the supervisor looks.
    async fn set_mode(&self, mode: &str) {
        let text = std::fs::read_to_string(&self.rules).expect("readable");
        let (before, rest) = text.split_once("mode: ").expect("a mode");
        let (_, after) = rest.split_once('\n').expect("a line");
        std::fs::write(&self.rules, format!("{before}mode: {mode}\n{after}")).expect("a file");
        let hash = || self.supervisor.supervisor.active_books()[0].hash().to_owned();
        let (old, deadline) = (hash(), Instant::now() + PATIENCE);
        self.supervisor.look_at_files();
        while hash() == old {
            assert!(Instant::now() < deadline, "the new rulebook is never active");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Order fails after it redeemed this coupon; gives the step on it once it is in a state.
    async fn fail(&self, saga: &str, coupon: &str, wanted: StepStateName) -> StepId {
        let (status, answer) = redeem_old(&self.app, coupon, saga).await;
        assert_eq!((status, &answer), (StatusCode::OK, &json!({ "redeemed": coupon })));
        let report = json!({
            "code": "cart-lost",
            "history": [{ "service": "coupon", "action": "redeem", "requestId": format!("r-{saga}"), "state": "succeeded" }]
        });
        let event: amends_protocol::Report = serde_json::from_value(json!({
            "id": format!("e-{saga}"), "source": "order", "sagaId": saga, "data": report
        }))
        .expect("a report");
        self.supervisor.supervisor.report(event).await.expect("taken");
        self.step(saga, wanted).await
    }

    async fn step(&self, saga: &str, wanted: StepStateName) -> StepId {
        let store = self.supervisor.supervisor.store();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let filter = CaseFilter {
                saga: Some(SagaId::new(saga).expect("valid")),
                ..CaseFilter::default()
            };
            let page = store.cases(filter, PageRequest::first(1)).await.expect("readable");
            let mut steps = page.items.iter().flat_map(|case| &case.steps);
            if let Some(step) = steps.find(|step| step.state.name() == wanted) {
                return step.id;
            }
            assert!(Instant::now() < deadline, "{saga}: no step is {wanted}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn is_used(&self, coupon: &str) -> bool {
        let request = Request::get(format!("/coupons/{coupon}")).body(Body::empty());
        let (_, body) = ask(&self.app, request.expect("a request")).await;
        body["used"].as_bool().expect("said")
    }
}

async fn redeem_old(app: &Router, coupon: &str, saga: &str) -> (StatusCode, Value) {
    let mut request = Request::post(format!("/coupons/{coupon}/redeem"));
    if !saga.is_empty() {
        request = request.header("saga-id", saga).header("request-id", format!("r-{saga}"));
    }
    ask(app, request.body(Body::empty()).expect("a request")).await
}

async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let answer = app.clone().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("whole").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_adopts_the_kit_one_action_and_one_mode_at_a_time() {
    let shop = Shop::open().await;
    // What was there before is there still, and whoever knows nothing of sagas is served as ever.
    assert!(shop.is_used("WINTER").await);
    let (status, problem) = redeem_old(&shop.app, "WINTER", "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("used")));

    shop.fail("o-1", "SPRING", StepStateName::Shadow).await;
    assert!(shop.is_used("SPRING").await, "a rule in shadow sends nothing");

    shop.set_mode("ask").await;
    let asking = shop.fail("o-2", "SUMMER", StepStateName::Stuck).await;
    assert!(shop.is_used("SUMMER").await, "nothing is sent before a person says yes");
    let yes = StepAct::Approve { reason: "looks right".to_owned() };
    shop.supervisor.supervisor.act_on_step(asking, yes, "ann").await.expect("approved");
    assert_eq!(shop.step("o-2", StepStateName::Done).await, asking);
    assert!(!shop.is_used("SUMMER").await);

    shop.set_mode("auto").await;
    shop.fail("o-3", "AUTUMN", StepStateName::Done).await;
    assert!(!shop.is_used("AUTUMN").await);
    assert!(shop.is_used("SPRING").await, "what was planned in shadow stays there");
}

#[test]
fn the_guide_shows_this_code() {
    let mut shown = 0;
    for block in GUIDE.split("```rust\n").skip(1) {
        let (code, _) = block.split_once("```").expect("the block ends");
        for piece in code.split("…\n") {
            assert!(THIS.contains(piece), "this is not in adopting_the_kit.rs:\n{piece}");
        }
        shown += 1;
    }
    assert!(shown > 3, "the guide has lost its code");
}
