//! `amends conform` as a person and a CI system run it: verdicts, evidence, JSON, JUnit, exit codes, and what is said when
//! nothing can be tested. What the checks find is tested in `amends-conform`.

mod support;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Done, amends, scratch, unused_address, write};

const CONFIG: &str = "service: coupon\nactions: { redeem: { body: { coupon: \"C-{unique}\" } } }\n";

/// Checks that end in every way.
const SOME: &str = "forward-works,forward-names,forward-running,history-unknown-saga,compensate-undoes,compensate-repeat";

/// A service that does what it is asked, counts, and knows little of the protocol.
struct HalfAParticipant {
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl HalfAParticipant {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let app = Router::new().fallback(answer).with_state(Arc::new(AtomicU32::new(0)));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, _runtime: runtime }
    }

    fn conform(&self, folder: &Path, more: &[&str]) -> Done {
        let config = write(folder, "participant.yaml", CONFIG);
        amends(&[&["conform", &self.url, "--config", &config], more].concat())
    }
}

async fn answer(State(count): State<Arc<AtomicU32>>, uri: Uri) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    match uri.path() {
        "/redeem" => {
            let body = format!("{{\"redeemed\":{}}}", count.fetch_add(1, Ordering::SeqCst));
            (json, body).into_response()
        }
        path => match path.strip_prefix("/amends/v1/history/") {
            Some(saga) => {
                let body = format!("{{\"sagaId\":\"{saga}\",\"entries\":[]}}");
                (json, body).into_response()
            }
            None => (StatusCode::NOT_FOUND, "<no & such>").into_response(),
        },
    }
}

#[test]
fn people_see_each_verdict_with_its_evidence_and_a_count() {
    let (folder, service) = (scratch(), HalfAParticipant::start());
    let done = service.conform(folder.path(), &["--only", SOME]).exits(1);
    let verdicts: Vec<&str> = done.stdout.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        verdicts,
        [
            "passed   forward-works (redeem)",
            "failed   forward-names (redeem)",
            "skipped  forward-running",
            "passed   history-unknown-saga",
            "failed   compensate-undoes (redeem)",
            "blocked  compensate-repeat (redeem)",
            "2 passed, 2 failed, 1 skipped, 1 blocked by these",
        ]
    );
    for told in [
        "promise:  an answer says which saga and which request it belongs to",
        "why:      a caller that started the saga learns its id here",
        "page:     docs/reference/protocol.md#forward-requests",
        "expected: `saga-id: conform-",
        "came:     no `saga-id`",
        "sent:     POST /redeem",
        "answer:   200",
        "{\"redeemed\":1}",
        "add: slow: { body: { … } }",
        "came:     404 with `<no & such>`",
        "POST /amends/v1/compensate/redeem → 404",
        "`compensate-undoes` failed before",
    ] {
        assert!(done.stdout.contains(told), "`{told}` is not in:\n{}", done.stdout);
    }
    assert!(!done.stdout.contains('\u{1b}') && done.stderr.is_empty(), "{}", done.stderr);
}

#[test]
fn what_passes_is_no_finding_even_if_something_is_skipped() {
    let (folder, service) = (scratch(), HalfAParticipant::start());
    let done = service
        .conform(folder.path(), &["--only", "forward-works", "--only", "forward-running"])
        .exits(0);
    assert!(done.stdout.ends_with("1 passed, 0 failed, 1 skipped\n"), "{}", done.stdout);
}

#[test]
fn programs_get_one_object() {
    let (folder, service) = (scratch(), HalfAParticipant::start());
    let json = service.conform(folder.path(), &["--only", SOME, "--json"]).exits(1).json();
    assert_eq!(json["conformant"], false);
    assert_eq!(
        [&json["passed"], &json["failed"], &json["skipped"], &json["blocked"]],
        [2, 2, 1, 1]
    );
    let check = |id: &str| {
        let checks = json["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["check"] == id).expect("it was tried").clone()
    };
    let failed = check("compensate-undoes");
    assert_eq!((&failed["on"], &failed["verdict"]), (&"redeem".into(), &"failed".into()));
    assert_eq!(failed["finding"]["answer"]["status"], 404);
    assert_eq!(failed["finding"]["sent"]["path"], "/amends/v1/compensate/redeem");
    assert!(failed["finding"]["sent"]["headers"]["idempotency-key"].as_str().is_some());
    assert_eq!(failed["finding"]["story"].as_array().expect("a list").len(), 2);
    assert_eq!(check("forward-running")["add"], "slow: { body: { … } }");
    assert_eq!(check("compensate-repeat")["blocked_by"], "compensate-undoes");
}

#[test]
fn junit_is_well_formed_and_counts_what_is_unknown_as_skipped() {
    let (folder, service) = (scratch(), HalfAParticipant::start());
    let path = folder.path().join("results.xml");
    let file = path.to_str().expect("UTF-8");
    service.conform(folder.path(), &["--only", SOME, "--junit", file]).exits(1);
    let text = std::fs::read_to_string(&path).expect("written");
    let document = roxmltree::Document::parse(&text).expect("well-formed");
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).expect("one");
    let counts =
        ["tests", "failures", "skipped"].map(|name| suite.attribute(name).expect("a count"));
    assert_eq!(counts, ["6", "2", "2"]);
    let failure = suite
        .descendants()
        .filter(|node| node.has_tag_name("failure"))
        .find(|node| node.text().is_some_and(|text| text.contains("<no & such>")));
    let case = failure.and_then(|node| node.parent()).expect("in its test case");
    let named = ["classname", "name"].map(|name| case.attribute(name).expect("a name"));
    assert_eq!(named, ["coupon.redeem", "compensate-undoes"]);
}

#[test]
fn a_participant_that_is_not_there_is_one_error() {
    let folder = scratch();
    let config = write(folder.path(), "participant.yaml", CONFIG);
    let url = format!("http://{}", unused_address());
    let done = amends(&["conform", &url, "--config", &config]).exits(3);
    assert!(done.stdout.is_empty(), "{}", done.stdout);
    let said: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(said.len(), 2, "{}", done.stderr);
    assert!(
        said[0].starts_with(&format!("error: cannot reach the participant at `{url}`: ")),
        "{}",
        said[0]
    );
    assert!(said[1].starts_with("help: is it running there?"), "{}", said[1]);
}

#[test]
fn mistakes_of_the_configuration_are_drawn_all_at_once() {
    let folder = scratch();
    let text = "service: coupon\nactions:\n  redeem: { bdy: {} }\nsigning: { file: no-key.txt }\nsupervisor: { listen: \"127.0.0.1:0\" }\n";
    let config = write(folder.path(), "participant.yaml", text);
    let done = amends(&["conform", "http://127.0.0.1:1", "--config", &config]).exits(1);
    for told in [
        "participant.yaml:3:13",
        "did you mean `body`?",
        "cannot read `no-key.txt`",
        "`127.0.0.1:0` takes any free port",
        "3 errors",
    ] {
        assert!(done.stderr.contains(told), "`{told}` is not in:\n{}", done.stderr);
    }
}

#[test]
fn a_command_line_that_is_wrong_says_what_would_be_right() {
    let folder = scratch();
    let config = write(folder.path(), "participant.yaml", CONFIG);
    for (arguments, told) in [
        (vec!["conform"], "<URL>"),
        (
            vec!["conform", "http://127.0.0.1:1", "--config", &config, "--only", "forward-wroks"],
            "no check `forward-wroks`",
        ),
        (vec!["conform", "ftp://127.0.0.1", "--config", &config], "must begin with `http://`"),
        (
            vec!["conform", "http://127.0.0.1:1", "--config", &config, "--timeout", "5"],
            "its unit is missing",
        ),
    ] {
        let done = amends(&arguments).exits(2);
        assert!(done.stderr.contains(told), "`{told}` is not in:\n{}", done.stderr);
    }
    amends(&["conform", "http://127.0.0.1:1", "--config", "no-such.yaml"]).exits(6);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let folder = scratch();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let text = format!("{CONFIG}supervisor: {{ listen: \"{address}\" }}\n");
    let config = write(folder.path(), "participant.yaml", &text);
    let done = amends(&["conform", "http://127.0.0.1:1", "--config", &config]).exits(6);
    assert!(done.stderr.contains(&format!("cannot listen at `{address}`")), "{}", done.stderr);
}

#[test]
fn a_whole_run_says_what_nobody_can_see() {
    let (folder, service) = (scratch(), HalfAParticipant::start());
    let done = service.conform(folder.path(), &[]).exits(1);
    let lines: Vec<&str> = done.stdout.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("not tried, since nobody can see it"));
    let told = &lines[at.expect("it is said")..];
    assert!(
        told.len() > 10 && told.last().is_some_and(|last| last.contains(" passed, ")),
        "{told:#?}"
    );
    assert!(told.iter().any(|line| line.contains("\"Compare in constant time\" (signatures): ")));
}

#[test]
fn a_process_that_does_not_come_up_is_one_error() {
    let folder = scratch();
    let text =
        format!("{CONFIG}process: {{ command: [sh, -c, 'echo no database >&2; exit 3'] }}\n");
    let config = write(folder.path(), "participant.yaml", &text);
    let url = format!("http://{}", unused_address());
    let done = amends(&["conform", &url, "--config", &config]).exits(6);
    let told = format!("ended before it listened at `{url}`: exit status: 3; it said: no database");
    assert!(
        done.stderr.starts_with("error: `sh -c ") && done.stderr.contains(&told),
        "{}",
        done.stderr
    );
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
}

#[test]
fn the_checks_are_listed_without_a_participant() {
    let listed = amends(&["conform", "--list"]).exits(0).stdout;
    assert!(listed.lines().count() > 50 && listed.contains("forward-repeat"), "{listed}");
    let json = amends(&["conform", "--list", "--json"]).exits(0).json();
    assert_eq!(json.as_array().expect("a list").len(), listed.lines().count());
    assert!(json[0]["why"].as_str().is_some() && json[0]["page"].as_str().is_some());
}
