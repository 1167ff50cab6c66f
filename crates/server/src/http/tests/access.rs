//! Who is let in, and to what: every route is tried by nobody, by who holds too little, and by who holds enough.

use super::desk::{Desk, PATIENCE, Reply, binary, payment};
use crate::access::{Keyring, Needs, NewToken, ROUTES};
use crate::clock::{Clock as _, SystemClock};
use crate::http::{HttpLimits, openapi_json};
use amends_api::access::{Principal, PrincipalKind, Within, may};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tower::ServiceExt as _;

/// A gate with its keys.
pub(super) struct Gate {
    pub(super) desk: Desk,
    keys: Keyring,
}

impl Gate {
    async fn open() -> Self {
        Self::with(HttpLimits::default()).await
    }

    pub(super) async fn with(limits: HttpLimits) -> Self {
        Self::before(Desk::with(limits).await)
    }

    /// Before what stands already.
    pub(super) fn before(desk: Desk) -> Self {
        let (desk, keys) = desk.guarded();
        Self { desk, keys }
    }

    /// With a case that needs a person, and its step.
    pub(super) async fn with_a_stuck_case() -> (Self, String, String) {
        let desk = Desk::open().await;
        let (case, step) = desk.stuck("o-1").await;
        (Self::before(desk), case, step)
    }

    /// A token that allows this.
    pub(super) async fn token(&self, grants: &[&str]) -> String {
        self.make_token(grants, false).await
    }

    /// A token of which every use is told.
    pub(super) async fn token_for_emergencies(&self) -> String {
        self.make_token(&["admin"], true).await
    }

    /// What a browser sends that shows a token, if any.
    pub(super) async fn form(&self, path: &str, token: &str, fields: &str) -> Reply {
        let mut request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.desk.send(request.body(Body::from(fields.to_owned())).expect("a request")).await
    }

    async fn make_token(&self, grants: &[&str], break_glass: bool) -> String {
        let new = NewToken {
            name: "test".to_owned(),
            grants: grants.iter().map(|text| text.parse().expect(text)).collect(),
            expires_in: None,
            break_glass,
            made_by: "test".to_owned(),
        };
        let now = SystemClock.now();
        self.keys.make_token(self.desk.supervisor.store(), new, now).await.expect("made").token
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.header("content-type", "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.desk.send(request.body(body).expect("a request")).await
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Reply {
        self.ask("GET", path, token, None).await
    }

    /// The status alone: the body of some answers has no end.
    pub(super) async fn status(&self, method: &str, path: &str, token: &str) -> StatusCode {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).expect("a request");
        self.desk.router.clone().oneshot(request).await.expect("routes do not fail").status()
    }
}

pub(super) fn of(request: Request<Body>, token: &str) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    let value = format!("Bearer {token}").parse().expect("a value");
    head.headers.insert(header::AUTHORIZATION, value);
    Request::from_parts(head, body)
}

/// Paths without braces: what stood in them is no id of anything.
pub(super) fn tried(path: &str) -> String {
    path.replace(['{', '}'], "")
}

/// What is open to all, each for its reason.
const OPEN: [&str; 11] = [
    "/v1",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/healthz",
    "/login",
    "/login/provider",
    "/login/callback",
    "/logout",
    "/assets/{hash}/{name}",
    "/v1/steps/{id}/outcome",
];

#[tokio::test]
async fn the_table_has_every_route_and_no_other() {
    let document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let listed: BTreeSet<_> =
        ROUTES.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    let missing: Vec<_> = described.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    // The others are pages; the router knows each, and takes no method that the table has not.
    let gate = Gate::open().await;
    let token = gate.token(&["admin", "report:*"]).await;
    for (_, path, _) in ROUTES {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let status = gate.status(method, &tried(path), &token).await;
            let is_listed = ROUTES.iter().any(|(m, p, _)| *m == method && p == path);
            let is_taken = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_taken, is_listed, "{method} {path}: {status}");
            let is_refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
            assert!(!is_refused || *path == "/login", "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn nobody_gets_anything_and_hears_how_to_be_known() {
    let gate = Gate::open().await;
    for (method, path, _) in ROUTES.iter().filter(|(_, path, _)| !OPEN.contains(path)) {
        let reply = gate.ask(method, &tried(path), "", None).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"amends\"", "{method} {path}");
    }
    for (method, path) in [("GET", "/nowhere"), ("GET", "/v1/nowhere"), ("PATCH", "/v1/cases")] {
        let reply = gate.ask(method, path, "", None).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "nobody learns what there is: {path}");
    }
    for probe in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(gate.get(probe, "").await.status, StatusCode::OK, "{probe}");
        assert_eq!(gate.get(probe, "wrong").await.status, StatusCode::OK, "{probe}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_known_opens_nothing_at_all() {
    let gate = Gate::open().await;
    let good = gate.token(&["admin"]).await;
    for wrong in ["amends_0_0", &good[1..], &format!("{good}x"), &good.to_uppercase()] {
        for path in ["/v1/cases", "/v1", "/openapi.json"] {
            assert_eq!(gate.get(path, wrong).await.status, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    // Not in the address, where every log would have it.
    for address in [format!("/v1/cases?token={good}"), format!("/v1/cases?access_token={good}")] {
        assert_eq!(gate.get(&address, "").await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_others() {
    let gate = Gate::open().await;
    for scope in ["report:*", "read", "read:data", "act", "rules", "tokens", "admin"] {
        let token = gate.token(&[scope]).await;
        let grant = scope.parse().expect(scope);
        let who =
            Principal { name: String::new(), kind: PrincipalKind::Token, grants: vec![grant] };
        for (method, path, needs) in ROUTES {
            let status = gate.status(method, &tried(path), &token).await;
            let is_open = match needs {
                Needs::Nothing | Needs::Known => true,
                Needs::The(right, _) => may(&who, *right, Within::Everywhere),
            };
            let is_own = *path == "/v1/steps/{id}/outcome";
            assert!(
                is_own || (status == StatusCode::FORBIDDEN) != is_open,
                "{scope}: {method} {path} {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_service_reports_only_as_itself() {
    let gate = Gate::open().await;
    let (order, payment) =
        (gate.token(&["report:order"]).await, gate.token(&["report:payment"]).await);
    let report = |id: &str| binary("o-1", id, &json!({"code": "failed", "action": "place"}));
    let foreign = gate.desk.send(of(report("r-1"), &payment)).await;
    assert_eq!((foreign.status, foreign.problem()), (StatusCode::FORBIDDEN, "forbidden"));
    assert!(foreign.detail().contains("`report:order`"), "{}", foreign.detail());
    assert_eq!(gate.desk.send(of(report("r-1"), &order)).await.status, StatusCode::ACCEPTED);
    let admin = gate.token(&["admin"]).await;
    let by_admin = gate.desk.send(of(report("r-2"), &admin)).await;
    assert_eq!(by_admin.status, StatusCode::FORBIDDEN, "who administers is no service");

    let begin = json!({"sagaId": "o-9", "service": "order", "deadline": "2099-01-01T00:00:00Z"});
    let begun = |token: String| {
        let (gate, begin) = (&gate, begin.clone());
        async move { gate.ask("POST", "/v1/sagas", &token, Some(begin)).await.status }
    };
    assert_eq!(begun(payment.clone()).await, StatusCode::FORBIDDEN);
    assert_eq!(begun(order.clone()).await, StatusCode::CREATED);
    for path in ["/v1/sagas/o-9/end", "/v1/sagas/o-1/end"] {
        let is_own = path.contains("o-9");
        let ended = gate.ask("POST", path, &payment, None).await;
        assert!(!is_own || ended.status == StatusCode::FORBIDDEN, "{path}: {ended:?}");
    }
    assert_eq!(gate.get("/v1/sagas/o-9", &payment).await.status, StatusCode::NOT_FOUND);
    assert_eq!(gate.get("/v1/sagas/o-9", &order).await.status, StatusCode::OK);
}

#[tokio::test]
async fn of_a_batch_each_report_is_judged_for_itself() {
    let gate = Gate::open().await;
    let token = gate.token(&["report:order"]).await;
    let event = |source: &str, id: &str| {
        json!({
            "specversion": "1.0", "type": "dev.amends.report.v1", "source": source, "id": id, "subject": "o-1",
            "data": {"code": "failed"},
        })
    };
    let batch = json!([event("order", "1"), event("payment", "2")]);
    let request = Request::post("/v1/reports:batch")
        .header("content-type", "application/cloudevents-batch+json")
        .body(Body::from(batch.to_string()))
        .expect("a request");
    let reply = gate.desk.send(of(request, &token)).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
    assert_eq!(reply.body["events"][1]["status"], 403, "{reply:?}");
    assert!(reply.body["events"][0]["caseId"].is_string(), "{reply:?}");
}

#[tokio::test]
async fn a_service_answers_only_for_its_own_steps() {
    let gate = Gate::open().await;
    gate.desk.script.answer("payment.pay", amends_engine::StepReading::Refused);
    let order = gate.token(&["report:order"]).await;
    let report = binary("o-1", "r-1", &json!({"code": "failed", "action": "place"}));
    let taken = gate.desk.send(of(report, &order)).await;
    let case = taken.body["caseId"].as_str().expect("a case").to_owned();
    let reader = gate.token(&["read"]).await;
    let began = Instant::now();
    let step = loop {
        let shown = gate.get(&format!("/v1/cases/{case}"), &reader).await;
        let step = payment(&shown.body).cloned().unwrap_or_default();
        if step["state"] == "stuck" {
            break step["id"].as_str().expect("an id").to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "{shown:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let path = format!("/v1/steps/{step}/outcome");
    let proof = gate.desk.script.proof(&step);
    let outcome = |proof: Option<&str>| Some(json!({"outcome": "compensated", "proof": proof}));
    let nobody = gate.ask("POST", &path, "", outcome(None)).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{nobody:?}");
    let unknown =
        gate.ask("POST", "/v1/steps/s-9-9-0000000000000000/outcome", "", outcome(None)).await;
    assert_eq!(
        unknown.body["detail"], nobody.body["detail"],
        "nobody learns which steps there are"
    );
    for who in [&order, &reader, &gate.token(&["admin"]).await] {
        let other = gate.ask("POST", &path, who, outcome(Some(&proof))).await;
        assert_eq!(other.status, StatusCode::FORBIDDEN, "{other:?}");
    }
    let own = gate.token(&["report:payment"]).await;
    let told = gate.ask("POST", &path, &own, outcome(Some(&proof))).await;
    assert!(told.status.is_success() || told.status == StatusCode::CONFLICT, "{told:?}");
    let guess = gate.ask("POST", &path, "", outcome(Some("00000000"))).await;
    assert_eq!(guess.status, StatusCode::FORBIDDEN, "a wrong proof is none: {guess:?}");
}

#[tokio::test]
async fn who_may_for_one_rulebook_sees_and_does_nothing_of_another() {
    let gate = Gate::open().await;
    let all = gate.token(&["report:order", "read"]).await;
    let report = binary("o-1", "r-1", &json!({"code": "failed", "action": "place"}));
    let case =
        gate.desk.send(of(report, &all)).await.body["caseId"].as_str().expect("a case").to_owned();
    let (own, other) = (gate.token(&["act@shop"]).await, gate.token(&["act@market"]).await);
    let path = format!("/v1/cases/{case}");
    assert_eq!(gate.get(&path, &own).await.status, StatusCode::OK);
    assert_eq!(gate.get(&path, &other).await.status, StatusCode::NOT_FOUND);
    let act = || Some(json!({"act": "note", "reason": "x"}));
    let acted = gate.ask("POST", &format!("{path}/acts"), &other, act()).await;
    assert_eq!(acted.status, StatusCode::NOT_FOUND, "{acted:?}");
    // Lists show one's own rulebook, and no other even if it is asked for.
    let listed = gate.get("/v1/cases", &own).await;
    assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(1), "{listed:?}");
    let listed = gate.get("/v1/cases?limit=5", &other).await;
    assert_eq!(listed.body["items"], json!([]), "{listed:?}");
    let asked = gate.get("/v1/cases?rulebook=shop", &other).await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN);
    let twice = gate.get("/v1/cases?rulebook=market&rulebook=shop", &other).await;
    assert_eq!(twice.status, StatusCode::FORBIDDEN);
    // What is for all rulebooks at once is not for them.
    for path in
        ["/v1/overview", "/v1/events", "/v1/acts", "/v1/services", "/metrics", "/v1/quarantine"]
    {
        let reply = gate.get(path, &own).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        assert!(reply.detail().contains("not only `shop`"), "{}", reply.detail());
    }
    // A bulk act needs the right for every target.
    let step = gate.get(&path, &own).await.body["plan"][0]["id"].clone();
    let bulk = json!({"act": "retry", "reason": "x", "ids": [step]});
    assert_eq!(
        gate.ask("POST", "/v1/bulk", &other, Some(bulk.clone())).await.status,
        StatusCode::NOT_FOUND
    );
    let acts = json!({"act": {"act": "retry", "reason": "x"}, "ids": [step], "dryRun": true});
    let many = gate.ask("POST", "/v1/steps:act", &other, Some(acts)).await;
    assert_eq!(many.status, StatusCode::NOT_FOUND, "{many:?}");
    let made = gate.ask("POST", "/v1/bulk", &own, Some(bulk)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let number = made.body["id"].as_str().expect("a number").to_owned();
    for (method, path) in [("GET", ""), ("POST", "/start"), ("POST", "/stop")] {
        let reply =
            gate.ask(method, &format!("/v1/bulk/{number}{path}"), &other, Some(json!({}))).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{method} {path}: {reply:?}");
    }
}

#[tokio::test]
async fn every_act_names_whoever_is_known_and_no_header() {
    let gate = Gate::open().await;
    let token = gate.token(&["act"]).await;
    let request = Request::post("/v1/services/payment/pause")
        .header("content-type", "application/json")
        .header("amends-actor", "ann")
        .body(Body::from(json!({"reason": "x"}).to_string()))
        .expect("a request");
    let reply = gate.desk.send(of(request, &token)).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let acts = gate.get("/v1/acts", &token).await;
    assert_eq!(acts.body["items"][0]["actor"], "token:test", "{acts:?}");
}

#[tokio::test]
async fn nobody_makes_a_token_for_more_than_they_hold() {
    let gate = Gate::open().await;
    let token = gate.token(&["tokens", "act@shop"]).await;
    let wanted = |grants: &[&str]| Some(json!({"name": "ci", "grants": grants}));
    for more in ["admin", "act", "read:data", "report:*", "report:order", "rules@shop"] {
        let reply = gate.ask("POST", "/v1/tokens", &token, wanted(&["read", more])).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::FORBIDDEN, "forbidden"), "{more}");
    }
    let made = gate.ask("POST", "/v1/tokens", &token, wanted(&["act@shop"])).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let new = made.body["token"].as_str().expect("a token").to_owned();
    let who = gate.get("/v1/whoami", &new).await;
    assert_eq!(
        (&who.body["name"], &who.body["grants"]),
        (&json!("token:ci"), &json!(["act@shop"]))
    );
    let listed = gate.get("/v1/tokens", &token).await.body.to_string();
    assert!(!listed.contains(&new) && !listed.contains(new.splitn(3, '_').nth(2).expect("a part")));
    // Nor takes one away that holds more.
    let admin = gate.token(&["admin"]).await;
    let id = admin.split('_').nth(1).expect("an id").to_owned();
    let path = format!("/v1/tokens/{id}");
    assert_eq!(gate.ask("DELETE", &path, &token, None).await.status, StatusCode::FORBIDDEN);
    let own = format!("/v1/tokens/{}", made.body["id"].as_str().expect("an id"));
    assert_eq!(gate.ask("DELETE", &own, &token, None).await.status, StatusCode::OK);
    let gone = gate.get("/v1/whoami", &new).await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
    assert!(gone.detail().contains("revoked"), "{}", gone.detail());
    let acts = gate.get("/v1/acts", &admin).await.body["items"].clone();
    let names: Vec<_> = acts.as_array().expect("acts").iter().map(|act| &act["act"]).collect();
    assert_eq!(names[..2], [&json!("token_revoke"), &json!("token_make")]);
}

#[tokio::test]
async fn a_browser_is_known_by_a_session_until_it_logs_out() {
    let gate = Gate::open().await;
    let page = |path: &str, cookie: &str| {
        let request = Request::get(path).header("accept", "text/html").header("cookie", cookie);
        gate.desk.send(request.body(Body::empty()).expect("a request"))
    };
    let sent = page("/cases?state=stuck", "").await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    assert_eq!(sent.header("location"), "/login?next=%2Fcases%3Fstate%3Dstuck");
    assert_eq!(page("/login?next=%2Fcases", "").await.status, StatusCode::OK);

    let token = gate.token(&["read"]).await;
    let login = |body: String| {
        let request = Request::post("/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header("cookie", "amends-session=chosen-by-somebody-else");
        gate.desk.send(request.body(Body::from(body)).expect("a request"))
    };
    assert_eq!(login("token=wrong&next=/".to_owned()).await.status, StatusCode::UNAUTHORIZED);
    let entered = login(format!("token={token}&next=%2F%2Fevil.example")).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = entered.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    assert!(!cookie.contains(&token) && !cookie.contains("chosen"), "{cookie}");

    let cases = page("/cases", &cookie).await;
    assert_eq!(cases.status, StatusCode::OK);
    assert!(cases.body.to_string().contains("acting as token:test"), "{cases:?}");
    let sessions = gate.get("/v1/sessions", &token).await;
    assert_eq!(sessions.body.as_array().map(Vec::len), Some(1), "{sessions:?}");
    let out = Request::post("/logout").header("cookie", &cookie).body(Body::empty());
    let out = gate.desk.send(out.expect("a request")).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    assert_eq!(page("/cases", &cookie).await.status, StatusCode::SEE_OTHER, "it is over");
}

#[tokio::test]
async fn a_stream_of_events_ends_when_its_token_is_revoked() {
    use http_body_util::BodyExt as _;
    let gate = Gate::open().await;
    let token = gate.token(&["read"]).await;
    let request = Request::get("/v1/events").header("host", "localhost").body(Body::empty());
    let request = of(request.expect("a request"), &token);
    let answer = gate.desk.router.clone().oneshot(request).await.expect("routes do not fail");
    assert_eq!(answer.status(), StatusCode::OK);
    let mut events = answer.into_body();
    let happens = |id: &'static str| gate.desk.supervisor.pause("payment", true, "ann", id);
    happens("one").await.expect("paused");
    let first = events.frame().await.expect("an event").expect("readable");
    assert!(first.into_data().is_ok_and(|data| !data.is_empty()));
    let id = token.split('_').nth(1).expect("an id");
    let now = SystemClock.now();
    gate.keys.revoke(gate.desk.supervisor.store(), id, now).await.expect("revoked");
    happens("two").await.expect("paused");
    while let Some(frame) = events.frame().await {
        let data = frame.expect("readable").into_data().expect("data");
        assert!(!String::from_utf8_lossy(&data).contains("two"), "{data:?}");
    }
}

/// A case that holds something in every place where business data can be.
async fn case_with_data(gate: &Gate, all: &str) -> (String, String) {
    gate.desk.script.answer("payment.pay", amends_engine::StepReading::Refused);
    gate.desk.script.say("the bank of PLANTED says no");
    let evidence = json!([{
        "service": "payment", "action": "pay", "requestId": "q-1", "state": "succeeded",
        "data": { "iban": "PLANTED" },
    }]);
    let data = json!({
        "code": "failed", "action": "place", "message": "no rider for PLANTED",
        "data": { "iban": "PLANTED" }, "history": evidence,
    });
    let reported = gate.desk.send(of(binary("o-1", "r-1", &data), all)).await;
    let case = reported.body["caseId"].as_str().expect("a case").to_owned();
    let path = format!("/v1/cases/{case}");
    let began = Instant::now();
    loop {
        let shown = gate.get(&path, all).await.body;
        if let Some(step) = payment(&shown).filter(|step| step["state"] == "stuck") {
            return (case, step["id"].as_str().expect("an id").to_owned());
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {shown}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whoever may only `read` sees how everything stands, and nothing of what it is about, in any answer and on any page;
/// nor do they find it out by searching, or change what they can't see.
#[tokio::test]
async fn stored_rows_with_their_secret_fields_are_for_administrators() {
    let (gate, case, _) = Gate::with_a_stuck_case().await;
    let (data, admin) = (gate.token(&["read:data"]).await, gate.token(&["admin"]).await);
    let (rows, all) =
        (format!("/v1/quarantine/{case}"), format!("/v1/quarantine/{case}?secrets=shown"));
    assert_eq!(gate.get(&rows, &data).await.status, StatusCode::OK);
    let refused = gate.get(&all, &data).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert!(refused.detail().contains("`admin`"), "{}", refused.detail());
    assert_eq!(gate.get(&all, &admin).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_may_read_sees_no_business_data_anywhere() {
    let gate = Gate::open().await;
    let all = gate.token(&["report:*", "read:data", "act"]).await;
    let (read, act) = (gate.token(&["read"]).await, gate.token(&["act"]).await);
    let (case, step) = case_with_data(&gate, &all).await;
    let shown = gate.get(&format!("/v1/cases/{case}"), &all).await.body.to_string();
    assert!(shown.contains("PLANTED") && !shown.contains("needs_read_data"), "{shown}");
    let waived = json!({"act": "edit", "reason": "x", "data": { "iban": "PLANTED-2" }});
    let edited =
        gate.ask("POST", &format!("/v1/steps/{step}/acts"), &all, Some(waived.clone())).await;
    assert_eq!(edited.status, StatusCode::OK, "{edited:?}");
    let mut looked_at = 0;
    for (method, path, _) in ROUTES
        .iter()
        .filter(|(method, path, _)| *method == "GET" && !["/v1/events", "/live"].contains(path))
    {
        let id = if path.contains("steps") { &step } else { &case };
        let path = path.replace("{id}", id).replace("{position}", "0").replace("{name}", "shop");
        for token in [&read, &act] {
            let reply = gate.ask(method, &path, token, None).await;
            let answer = format!("{} {:?}", reply.body, reply.headers);
            assert!(!answer.contains("PLANTED"), "{path}: {answer}");
            looked_at += usize::from(reply.status == StatusCode::OK);
        }
    }
    assert!(looked_at > 40, "only {looked_at} answers were looked at");
    for path in [
        "/v1/cases:export?format=csv",
        "/cases?view=causes",
        "/v1/steps?state=stuck",
        "/v1/acts?case=c-1",
    ] {
        let answer = gate.get(path, &read).await;
        assert!(
            answer.status == StatusCode::OK && !answer.body.to_string().contains("PLANTED"),
            "{path}: {answer:?}"
        );
    }
    let case_of_read = gate.get(&format!("/v1/cases/{case}"), &read).await.body;
    assert_eq!(case_of_read["hidden"], "needs_read_data");
    for search in [
        "/v1/cases?q=PLANTED",
        "/v1/cases?customer=kim",
        "/v1/steps?q=PLANTED",
        "/v1/cases:export?q=PLANTED",
    ] {
        let refused = gate.get(search, &read).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{search}: {refused:?}");
        assert!(refused.detail().contains("read:data"), "{}", refused.detail());
    }
    for filter in [json!({ "q": "PLANTED" }), json!({ "customer": "kim" })] {
        let word = if filter["q"].is_null() { "replan" } else { "retry" };
        let bulk = json!({ "act": word, "reason": "x", "filter": filter, "dryRun": true });
        let refused = gate.ask("POST", "/v1/bulk", &act, Some(bulk.clone())).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{bulk}: {refused:?}");
    }
    let blind = gate.ask("POST", &format!("/v1/steps/{step}/acts"), &act, Some(waived)).await;
    assert_eq!(blind.status, StatusCode::FORBIDDEN, "who can't see data edits none: {blind:?}");
}
