//! A store that work is under way in is moved from its folder into PostgreSQL: nothing is lost, and services are
//! asked under the keys that they know.

#![cfg(feature = "postgres")]

mod support;

use amends_api::{CaseState, ClosedOn};
use amends_engine::{CaseExtra, CaseRow, ReportRole, ReportRow, Write as Row};
use amends_private_server::PostgresServer;
use amends_protocol::{CaseId, Report, ReportData, SagaId, Timestamp};
use amends_store::{Ledger, SqliteOptions, SqliteStore};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::process::{Process, Streams};
use support::{Done, Legacy, Supervisor, amends, command, eventually, finish, scratch, write};

/// A service of the protocol that takes everything with 202, or has undone everything already.
struct Participant {
    slow: Arc<AtomicBool>,
    /// Path, key and body of each request.
    heard: Arc<Mutex<Vec<(String, String, Value)>>>,
    _runtime: tokio::runtime::Runtime,
}

type Shared = (Arc<AtomicBool>, Arc<Mutex<Vec<(String, String, Value)>>>);

impl Participant {
    fn start(listener: TcpListener, slow: bool) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        listener.set_nonblocking(true).expect("a socket");
        let (slow, heard) = (Arc::new(AtomicBool::new(slow)), Arc::default());
        let app = Router::new().fallback(take).with_state((Arc::clone(&slow), Arc::clone(&heard)));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            axum::serve(listener, app).await
        });
        Self { slow, heard, _runtime: runtime }
    }

    fn asked(&self) -> Vec<(String, String, Value)> {
        self.heard.lock().expect("not poisoned").clone()
    }
}

async fn take(
    State((slow, heard)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // It has never kept a History.
    if method == Method::GET {
        return StatusCode::NOT_FOUND.into_response();
    }
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default().to_owned());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    heard.lock().expect("not poisoned").push((uri.to_string(), key.unwrap_or_default(), body));
    if slow.load(Ordering::SeqCst) {
        return StatusCode::ACCEPTED.into_response();
    }
    let answer = json!({ "outcome": "compensated", "history": [] }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

fn rules(folder: &Path, billing: &str, bank: &str, depot: &str) -> String {
    let text = format!(
        "rulebook: shop
settle: {{ quiet: 200ms }}
services:
  shop:
    actions:
      sell: {{ effect: none, calls: [\"billing.charge?\", \"bank.transfer?\", \"depot.reserve?\"] }}
  bank: {{ url: \"http://{bank}\", actions: {{ transfer: {{ compensation: undo }} }} }}
  depot:
    url: \"http://{depot}\"
    actions:
      reserve: {{ compensation: undo, retry_policy: {{ first: 10ms, cap: 50ms, timeout: 60s }} }}
  billing:
    url: \"http://{billing}\"
    actions:
      charge:
        compensation: refund
        retry_policy: {{ first: 10ms, cap: 50ms, attempts: 3, timeout: 60s }}
        endpoints:
          compensate:
            method: POST
            path: \"/payments/{{data.paymentId}}/refund\"
            done: [200]
            refused: [409]
rules:
  - {{ on: shop/refund, compensate: [billing.charge] }}
  - {{ on: shop/late, compensate: [bank.transfer] }}
  - {{ on: shop/slow, compensate: [depot.reserve] }}
"
    );
    write(folder, "shop.yaml", &text)
}

fn report(supervisor: &Supervisor, saga: &str, code: &str) -> String {
    let fixed =
        ["report", "send", "--source", "shop", "--action", "sell", "--data", "paymentId=p-1"];
    let sent = supervisor.run(&[&fixed[..], &["--saga", saga, "--code", code]].concat());
    sent.exits(0).stdout.trim().to_owned()
}

fn is(supervisor: &Supervisor, case: &str, state: &str) -> Option<()> {
    (supervisor.case(case)["state"] == state).then_some(())
}

/// What of a case must stay as it is, whatever happens to its store.
fn told(supervisor: &Supervisor, case: &str) -> Value {
    let shown = supervisor.case(case);
    let of = |step: &Value| json!([step["id"], step["service"], step["action"], step["outcome"]]);
    let steps: Vec<Value> = shown["plan"].as_array().expect("steps").iter().map(of).collect();
    json!([
        shown["id"],
        shown["sagaId"],
        shown["openedAt"],
        shown["rulebook"],
        shown["reports"],
        steps
    ])
}

/// Takes one request and never answers; gives the key that it came with.
fn take_and_hold(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().expect("a request");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("ASCII").to_lowercase();
    let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key:"));
    (stream, key.expect("a key").trim().to_owned())
}

/// Tells the supervisor the outcome of a step, as its service.
fn call_back(supervisor: &Supervisor, step: &str, proof: &str) -> String {
    let host = supervisor.url.strip_prefix("http://").expect("no TLS");
    let body = json!({ "outcome": "compensated", "proof": proof }).to_string();
    let mut stream = TcpStream::connect(host).expect("it listens");
    let request = format!(
        "POST /v1/steps/{step}/outcome HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn migrate(folder: &Path, to: &str) -> Done {
    finish(command().current_dir(folder).args(["migrate", "--from", "data", "--to", to]))
}

/// Moves the store; nobody starts on the folder any more, and a second move does nothing.
fn moves_once(folder: &Path, to: &str) {
    let moved = migrate(folder, to).exits(0);
    assert!(moved.stdout.contains("each table is the same on both sides"), "{}", moved.stdout);
    let again = migrate(folder, to).exits(0).stdout;
    assert!(again.contains("moved there before"), "{again}");
    let back = finish(command().current_dir(folder).args(["serve", "--data", "data"]));
    assert!(back.stderr.contains("MOVED-TO-POSTGRESQL"), "{}", back.exits(6).stderr);

    let folder_now = ["store", "status", "--data", "data"];
    let seen = finish(command().current_dir(folder).args(folder_now)).exits(0).stdout;
    assert!(seen.contains("moved into PostgreSQL") && seen.contains("held    by nobody"), "{seen}");
}

#[test]
fn a_store_moves_with_all_that_is_under_way() {
    let folder = scratch();
    let to = PostgresServer::shared().new_database();
    let billing = Legacy::start(200);
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (bank_at, depot_at) = (bind(), bind());
    let address = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
    let rules = rules(folder.path(), &billing.address, &address(&bank_at), &address(&depot_at));
    let bank = Participant::start(bank_at, true);
    let mut old = Supervisor::start(folder.path(), &["--rules", &rules, "--data", "data"]);

    let settled = report(&old, "order-1", "refund");
    eventually("order-1 settles", || is(&old, &settled, "settled"));
    billing.answer_with(409);
    let stuck = report(&old, "order-2", "refund");
    eventually("order-2 is stuck", || is(&old, &stuck, "stuck"));
    let late = report(&old, "order-3", "late");
    let (_, _, asked) = eventually("the bank has taken it", || {
        let step = &old.case(&late)["plan"][0];
        bank.asked().pop().filter(|_| step["state"] == "accepted")
    });
    let slow = report(&old, "order-4", "slow");
    let (held, key) = take_and_hold(&depot_at);
    eventually("it is in flight", || {
        (old.case(&slow)["plan"][0]["state"] == "in_flight").then_some(())
    });
    let cases = [&settled, &stuck, &late, &slow];
    let before = cases.map(|case| told(&old, case));
    let refused = migrate(folder.path(), &to).exits(6).stderr;
    assert!(refused.contains("in use by another supervisor"), "{refused}");
    old.kill();
    drop((held, old));

    moves_once(folder.path(), &to);
    let environment = [("AMENDS_CLUSTER_DATABASE", to.as_str()), ("AMENDS_CLUSTER_NODE", "one")];
    let new = Supervisor::start_with(
        &environment,
        folder.path(),
        &["--rules", &rules, "--data", "other"],
    );
    assert_eq!(cases.map(|case| told(&new, case)), before);
    new.run(&["audit", "verify"]).exits(0);

    // What was in flight is asked again, under its key.
    let depot = Participant::start(depot_at, false);
    eventually("order-4 settles", || is(&new, &slow, "settled"));
    assert!(depot.asked().iter().all(|(_, again, _)| again.trim() == key), "{:?}", depot.asked());
    // The proof that the bank was given before is believed.
    let (step, proof) = (asked["stepId"].as_str(), asked["callback"]["proof"].as_str());
    let answer = call_back(&new, step.expect("an id"), proof.expect("a proof"));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    eventually("order-3 settles", || is(&new, &late, "settled"));
    assert_eq!(bank.asked().len(), 1, "it was waited for, not asked again: {:?}", bank.asked());
    bank.slow.store(false, Ordering::SeqCst);
    // A person goes on with what was stuck: the same request under the same key.
    billing.answer_with(200);
    new.run(&["cases", "retry", &stuck, "--reason", "mended", "--yes"]).exits(0);
    eventually("order-2 settles", || is(&new, &stuck, "settled"));
    let heard = billing.heard();
    let keys = heard.iter().skip(1).map(|one| &one.headers["idempotency-key"]);
    assert_eq!(keys.collect::<BTreeSet<_>>().len(), 1, "{heard:?}");
    // Numbers go on.
    let next = report(&new, "order-5", "refund");
    assert!(!cases.contains(&&next), "{next}");
    eventually("order-5 settles", || is(&new, &next, "settled"));
    let status = finish(command().args(["store", "status", "--json"]).envs(environment)).json();
    assert_eq!(status["rows"]["cases"], 5);
    assert_eq!(status["heldBy"][0]["who"], "one");
    new.stop();
}

#[test]
fn where_to_and_from_where_is_checked_first() {
    let folder = scratch();
    let none = finish(command().current_dir(folder.path()).args(["migrate", "--from", "data"]));
    assert!(none.exits(2).stderr.contains("--to"));
    let secret = migrate(folder.path(), "postgres://amends:opensesame@db/amends").exits(1).stderr;
    assert!(secret.contains("cluster.password_file") && !secret.contains("opensesame"), "{secret}");
    let to = PostgresServer::shared().new_database();
    let empty = migrate(folder.path(), &to).exits(6).stderr;
    assert!(empty.contains("amends.sqlite"), "{empty}");
    let away = migrate(folder.path(), "postgres://amends@127.0.0.1:1/amends").exits(6).stderr;
    assert!(away.contains("amends.sqlite"), "the folder is looked at first: {away}");
    assert!(!folder.path().join("data").exists() || amends(&["store", "status"]).code != 0);
}

/// A stopped store with so many settled cases, each with its report.
fn fill(folder: &Path, cases: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = SqliteStore::open(folder, &SqliteOptions::default()).expect("opens");
    let at = |n: u64| Timestamp(1_700_000_000_000 + n.cast_signed());
    for from in (1..=cases).step_by(2_000) {
        let numbers = from..(from + 2_000).min(cases + 1);
        let rows = numbers.flat_map(|n| {
            let saga = SagaId::new(&format!("past-{n}")).expect("a saga id");
            let report = Report {
                id: format!("past-{n}"),
                source: "shop".to_owned(),
                saga_id: saga.clone(),
                time: None,
                traceparent: None,
                data: ReportData { code: "refund".to_owned(), ..ReportData::default() },
            };
            let (received_at, report) = (at(n), Arc::new(report));
            let role = ReportRole::Rule(0);
            let case = CaseRow {
                id: CaseId(n),
                saga,
                rulebook: None,
                state: CaseState::Settled,
                closed_on: Some(ClosedOn::Proven),
                opened_at: at(n),
                updated_at: at(n),
                settled_at: Some(at(n)),
                report: "shop/refund".into(),
                message: None,
                extra: CaseExtra::default(),
            };
            let report = ReportRow { case: CaseId(n), position: 0, received_at, role, report };
            [Row::Case(Box::new(case)), Row::Report(Box::new(report))]
        });
        runtime.block_on(store.commit(rows.collect::<Vec<_>>().into())).expect("commits");
    }
}

/// When a move is killed.
#[derive(Clone, Copy, Debug)]
enum Killed {
    /// So long after it was started, wherever it is then.
    After(Duration),
    /// Once it has copied, or compared, so many tenths.
    Copied(u32),
    Compared(u32),
}

impl Killed {
    /// Whether a line of what it says is of that moment, or of a later one.
    fn is_past(self, line: &str) -> bool {
        let said = |word: &str| {
            let tenths = line.strip_prefix(word)?.trim_start().split("0 %").next()?;
            tenths.parse::<u32>().ok().or((tenths.is_empty()).then_some(0))
        };
        match self {
            Self::After(_) => false,
            Self::Copied(tenths) => {
                said("copying").is_some_and(|now| now >= tenths) || said("comparing").is_some()
            }
            Self::Compared(tenths) => said("comparing").is_some_and(|now| now >= tenths),
        }
    }
}

/// Begins a move, and kills it. What it printed, if it had come to its end by then.
fn migrate_killed(folder: &Path, to: &str, killed: Killed) -> Option<Value> {
    let mut command = command();
    command.current_dir(folder).args(["migrate", "--from", "data", "--to", to, "--json"]);
    let streams = Streams { stdout: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
    let mut process = Process::start(&mut command, streams, "the binary runs");
    let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    match killed {
        Killed::After(time) => std::thread::sleep(time),
        _ => drop(lines.map_while(Result::ok).find(|line| killed.is_past(line))),
    }
    let mut printed = String::new();
    let mut stdout = process.stdout.take().expect("piped");
    process.kill();
    stdout.read_to_string(&mut printed).expect("UTF-8");
    serde_json::from_str(&printed).ok()
}

/// The digests of all tables, as `migrate --json` prints them; none if the move had come to its end before.
fn digests(printed: &Value) -> Option<Value> {
    (printed["wasDone"] == false).then(|| printed["tables"].clone())
}

/// Why no supervisor starts on the database; none if one does.
fn refused(folder: &Path, database: &str) -> Option<String> {
    let mut command = command();
    command.envs([("AMENDS_CLUSTER_DATABASE", database), ("AMENDS_CLUSTER_NODE", "early")]);
    command.args(["serve", "--data", "other", "--listen", "127.0.0.1:0", "--exit-with-parent"]);
    let streams = Streams { stdin: Stdio::piped(), stderr: Stdio::piped(), ..Streams::none() };
    let mut process = Process::start(command.current_dir(folder), streams, "the binary runs");
    let mut why = String::new();
    for line in BufReader::new(process.stderr.take().expect("piped")).lines() {
        why += &line.expect("UTF-8");
        if why.contains("listening on") {
            return None;
        }
    }
    Some(why)
}

/// Moves a store by a process that is killed again and again. None if one of them had come to its end and was killed
/// before it could say so.
fn moved_by_killed_processes(folder: &Path, to: &str) -> Option<Value> {
    let ms = |ms| Killed::After(Duration::from_millis(ms));
    let mut kills = vec![ms(3), ms(40), ms(90), Killed::Copied(0), ms(11), Killed::Copied(3)];
    kills.extend([Killed::Copied(6), ms(150), Killed::Copied(9), Killed::Compared(0), ms(270)]);
    kills.extend([Killed::Compared(4), ms(400)]);
    for killed in kills {
        if let Some(printed) = migrate_killed(folder, to, killed) {
            return digests(&printed);
        }
        if !matches!(killed, Killed::After(_)) {
            match refused(folder, to) {
                Some(why) => assert!(why.contains("`amends migrate` go on"), "{why}"),
                None => return None, // it had come to its end all the same
            }
        }
    }
    let last = ["migrate", "--from", "data", "--to", to, "--json"];
    digests(&finish(command().current_dir(folder).args(last)).exits(0).json())
}

#[test]
fn a_move_that_is_killed_again_and_again_comes_to_the_same() {
    const CASES: u64 = 12_000;
    let (folder, server) = (scratch(), PostgresServer::shared());
    fill(&folder.path().join("data"), CASES);
    let begin_anew =
        || std::fs::remove_file(folder.path().join("data/MOVED-TO-POSTGRESQL")).expect("there");
    let to = server.new_database();
    let arguments = ["migrate", "--from", "data", "--to", &to, "--json"];
    let whole = finish(command().current_dir(folder.path()).args(arguments)).exits(0).json();
    let whole = digests(&whole).expect("it was moved now");
    assert_eq!(whole.as_array().expect("tables").len(), 18);

    let killed = (0..5).find_map(|_| {
        begin_anew();
        moved_by_killed_processes(folder.path(), &server.new_database())
    });
    assert_eq!(killed.expect("one of five says what it compared"), whole);
}
